"""Policy reloads under load: nothing fails and nothing grows."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway_parts.client import LoadClient, Outcome, Target
from gateway_parts.origin import Origin
from gateway_parts.ours import Ours, policy_text
from gateway_parts.processes import resident_megabytes

RELOAD_WAIT = 20.0
SETTLING = 10
"""Reloads before memory counts: caches and pools fill in the first ones."""


@dataclass(slots=True)
class ReloadRun:
    """What the reloads did. Memory in MB over all workers."""

    asked: int
    taken: int = 0
    """Reloads that every worker was seen to take over."""
    requests: int = 0
    failed: int = 0
    seconds_p50: float = 0.0
    """From the written file to the last worker on the new ruleset."""
    seconds_worst: float = 0.0
    rss_start_mb: float = 0.0
    rss_settled_mb: float = 0.0
    rss_end_mb: float = 0.0
    p99_ms: float = 0.0
    notes: list[str] = field(default_factory=list)


def measure_reloads(ours: Ours, origin: Origin, times: int, say: Callable[[str], None]) -> ReloadRun:
    """Rewrite the policy `times` times while pages are asked for; put the first one back at the end."""
    first = ours.policy.read_text()
    workers = ours.workers()
    run = ReloadRun(times)
    target = Target(
        ours.proxy.host, ours.proxy.port, ours.proxy.scanned_host, origin.http_port, "/10k.html", connections=10, exact_bytes=10_000
    )
    client = LoadClient(target)
    outcomes: list[Outcome] = []
    load = threading.Thread(target=lambda: outcomes.append(client.run(times * RELOAD_WAIT + 60)), daemon=True)
    load.start()
    time.sleep(3)
    run.rss_start_mb = run.rss_settled_mb = resident_megabytes(workers)
    took: list[float] = []
    try:
        for number in range(1, times + 1):
            _rewrite(ours, policy_text(origin, f"reload {number}").replace("[text]\n", f"[text]\npage_threshold = {200 + number}\n", 1))
            seconds = _wait_taken(ours)
            if seconds is None:
                run.notes.append(f"reload {number} was not taken over within {RELOAD_WAIT:.0f} s")
                break
            took.append(seconds)
            if number == min(SETTLING, times):
                run.rss_settled_mb = resident_megabytes(workers)
            if number % 10 == 0:
                say(f"reload {number}/{times}: {resident_megabytes(workers):.0f} MB, {seconds:.1f} s")
    finally:
        client.stopping = True
        load.join(60)
        _rewrite(ours, first)
    run.rss_end_mb = resident_megabytes(workers)
    run.taken = len(took)
    if took:
        run.seconds_p50, run.seconds_worst = sorted(took)[len(took) // 2], max(took)
    if set(workers) - set(ours.workers()):
        run.notes.append("a worker died")
    if outcomes:
        outcome = outcomes[0]
        run.requests, run.failed = len(outcome.latencies), outcome.wrong + outcome.broken
        run.p99_ms = sorted(outcome.latencies)[int(len(outcome.latencies) * 0.99)] / 1e6 if outcome.latencies else 0.0
        if outcome.first_fault:
            run.notes.append(outcome.first_fault)
    return run


def _rewrite(ours: Ours, text: str) -> None:
    ours.rulesets = _rulesets(ours)
    temporary = ours.policy.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(ours.policy)


def _rulesets(ours: Ours) -> dict[str, object]:
    """Return the ruleset that each worker reports."""
    found: dict[str, object] = {}
    for report in (ours.state / "run").glob("worker-*.json"):
        with contextlib.suppress(OSError, ValueError):
            found[report.name] = json.loads(report.read_text()).get("ruleset")
    return found


def _wait_taken(ours: Ours) -> float | None:
    """Wait until every worker reports another ruleset than before; return the seconds, None when it does not happen."""
    began = time.monotonic()
    before = ours.rulesets
    while time.monotonic() - began < RELOAD_WAIT:
        now = _rulesets(ours)
        if now and all(now.get(name) not in (None, ruleset) for name, ruleset in before.items()):
            return time.monotonic() - began
        time.sleep(0.05)
    return None
