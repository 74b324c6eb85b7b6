"""What is asked of every layout, and how the answers are timed."""

import random
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

ASKED = 100_000
RUN = 100


@dataclass(slots=True)
class Layout:
    """One way to keep a list, built and open."""

    name: str
    bytes_an_entry: float
    build_seconds: float
    open_ms: float
    shared: bool
    """True when processes share one copy of it."""
    category: bool
    """True when it says which list and category an entry belongs to."""
    ask: Callable[[], dict[str, float]]
    """Ask all questions once; returns `median us`, `look-ups/s` and what else there is to say."""
    rounds: list[dict[str, float]] = field(default_factory=list)

    def figure(self, name: str) -> float:
        """The median of one figure over the rounds."""
        return statistics.median(one[name] for one in self.rounds)


def names(count: int) -> list[str]:
    """Made-up hosts of the shape of real ones."""
    chance = random.Random(1)
    return [f"{chance.getrandbits(36):x}.site{number % 5000}.example" for number in range(count)]


def asked_hosts(hosts: list[str]) -> list[str]:
    """Hosts of five labels, in no order: half of them listed, a quarter beside listed ones, a quarter of sites without any."""
    chance = random.Random(2)
    asked = [f"a.b.{host}" for host in chance.sample(hosts, ASKED // 2)]
    asked += [f"a.b.{chance.getrandbits(36):x}.site{chance.randrange(5000)}.example" for _ in range(ASKED // 4)]
    asked += [f"a.b.{chance.getrandbits(20):x}.other{chance.getrandbits(30):x}.example" for _ in range(ASKED // 4)]
    chance.shuffle(asked)
    return asked


def measure[Q](look_up: Callable[[Q], object], questions: Iterable[Q]) -> dict[str, float]:
    """Return the median in microseconds and look-ups per second of processor time, over runs of 100."""
    asked = list(questions)
    times: list[int] = []
    clock = time.process_time_ns
    for begin in range(0, len(asked), RUN):
        run = asked[begin : begin + RUN]
        start = clock()
        for question in run:
            look_up(question)
        times.append((clock() - start) // len(run))
    return figures(times)


def figures(times: list[int]) -> dict[str, float]:
    """Return the figures of nanoseconds per look-up, one for each run."""
    return {"median us": statistics.median(times) / 1000, "look-ups/s": len(times) / (sum(times) / 1e9)}
