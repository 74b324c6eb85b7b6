"""Two workers against one, on a machine where client, origin and console need the two cores too.

Left alone, the load takes part of what the second worker could use, so the measured rate can't double. So each worker
is held to the same share of a core of its own (`SHARE`, a limit of the kernel), and the rest of both cores is enough for
everything else: what is measured then is one core of that size against two.

Without leave to set such limits the workers are left alone, and the figure to read is `normalised`: when two workers pay
no more processor time per request than one (no lock, no shared cache line, no file in common slows them), two full
cores carry 2 x (cost with one / cost with two) times as much. `balance` is the lesser worker's share of the processor
time over the greater one's: whether the kernel spreads connections evenly.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway_parts.cases import CASES, figures_of, target_of
from gateway_parts.client import LoadClient, tls_context
from gateway_parts.origin import Origin
from gateway_parts.ours import Ours
from gateway_parts.processes import cpu_seconds

CONNECTIONS = 100
"""Enough for the kernel's hash to spread them evenly."""
SHARE = 0.6
"""Of a core, for each worker."""


@dataclass(slots=True)
class Scaling:
    """One case with one and with two workers, best rounds."""

    case: str
    one_rps: float = 0.0
    two_rps: float = 0.0
    one_cpu_per_1000: float = 0.0
    two_cpu_per_1000: float = 0.0
    balance: float = 0.0
    wrong: int = 0

    @property
    def ratio(self) -> float:
        """Return the measured rate of two workers over that of one."""
        return self.two_rps / self.one_rps if self.one_rps else 0.0

    @property
    def normalised(self) -> float:
        """Return how much more two full cores carry than one."""
        return 2 * self.one_cpu_per_1000 / self.two_cpu_per_1000 if self.two_cpu_per_1000 else 0.0


def measure_scaling(
    one: Ours, two: Ours, origin: Origin, names: list[str], seconds: float, rounds: int, say: Callable[[str], None]
) -> list[Scaling]:
    """Run the named cases through both in turn."""
    found = []
    for case in (case for case in CASES if case.name in names and not case.download):
        result = Scaling(case.name)
        for number in range(rounds):
            for ours in (one, two):
                say(f"scaling {number + 1}/{rounds}  {case.name:12} {len(ours.workers())} worker(s)")
                workers = ours.workers()
                marks: list[list[float]] = []

                def mark(workers: list[int] = workers, marks: list[list[float]] = marks) -> None:
                    marks.append([cpu_seconds([pid]) for pid in workers])

                client = LoadClient(target_of(case, ours.proxy, origin, CONNECTIONS), tls_context(str(ours.proxy.authority)))
                outcome = client.run(seconds, warm_up=1.5, begin=mark, end=mark)
                spent = [after - before for before, after in zip(*marks, strict=True)]
                figures = figures_of(outcome, sum(spent), sum(spent))
                result.wrong += outcome.wrong + outcome.broken
                _keep(result, ours is two, figures.requests_per_second, figures.cpu_seconds_per_1000, spent)
        found.append(result)
    return found


def _keep(result: Scaling, second: bool, rate: float, cost: float, spent: list[float]) -> None:
    if not rate:
        return
    if second:
        result.two_rps = max(result.two_rps, rate)
        if not result.two_cpu_per_1000 or cost < result.two_cpu_per_1000:
            result.two_cpu_per_1000, result.balance = cost, min(spent) / max(spent)
    else:
        result.one_rps = max(result.one_rps, rate)
        result.one_cpu_per_1000 = min(cost, result.one_cpu_per_1000 or cost)
