"""The state of the installation: workers, spool, store, ruleset and disk, and what of it needs a person."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

STALE_SECONDS: Final = 5.0
"""A worker reports every second; after this long without a report it hangs or is gone."""
GONE_SECONDS: Final = 3600.0
"""Reports older than this are of an earlier run and say nothing."""
DISK_LOW_BYTES: Final = 1_000_000_000
DISK_FULL_BYTES: Final = 200_000_000
LAG_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now: which part, how bad, and what to do, in one sentence."""

    cause: str
    """A key of `analyser.detect.gateway.CAUSES`."""
    sentence: str
    level: int | None = None


@dataclass(slots=True)
class Health:
    """What the last look found."""

    at: float = 0.0
    workers: list[dict[str, Any]] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    spool_segments: int = 0
    spool_age: float = 0.0
    """Seconds that the oldest closed segment has waited."""
    disk_free: int = 0


def look(run: Path, spool: Path, now: float | None = None) -> Health:
    """Read the workers' reports, the spool and the disk; never raises for what it finds."""
    at = time.time() if now is None else now
    health = Health(at=at)
    _workers(run, at, health)
    _spool(spool, at, health)
    try:
        health.disk_free = shutil.disk_usage(spool).free
    except OSError as error:
        health.conditions.append(Condition("disk", f"The disk of the state folder can't be read ({error.strerror}).", 4))
    else:
        if health.disk_free < DISK_LOW_BYTES:
            level = 4 if health.disk_free < DISK_FULL_BYTES else 3
            sentence = (
                f"Only {health.disk_free // 1_000_000} MB are free on the disk of the state folder; make room, or events will be lost."
            )
            health.conditions.append(Condition("disk", sentence, level))
    return health


def _workers(run: Path, at: float, health: Health) -> None:
    for path in sorted(run.glob("worker-*.json")):
        try:
            written = path.stat().st_mtime
            if at - written > GONE_SECONDS:
                continue
            report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            continue  # its worker has just ended
        except (OSError, msgspec.MsgspecError) as error:
            sentence = f"What a gateway worker reports can't be read ({path.name}: {error}); if this lasts, restart Schoolgate."
            health.conditions.append(Condition("worker", sentence))
            continue
        alive = _runs(report.get("pid"))
        stale = at - written > STALE_SECONDS
        health.workers.append(report | {"age": round(at - written, 1), "alive": alive, "stale": stale})
        name = report.get("name", path.stem)
        if stale:
            state = "does not answer" if alive else "has stopped"
            health.conditions.append(
                Condition(
                    "worker", f"The gateway worker {name} {state}; it is started again by itself; if this comes back, look at its log."
                )
            )
        if report.get("events_dropped"):
            sentence = f"The gateway worker {name} had to drop {report['events_dropped']} events, because its spool could not be written."
            health.conditions.append(Condition("spool", sentence))


def _spool(spool: Path, at: float, health: Health) -> None:
    oldest = at
    with os.scandir(spool) as found:
        for entry in found:
            if entry.name.endswith(".ndjson"):
                try:
                    oldest = min(oldest, entry.stat().st_mtime)
                except FileNotFoundError:
                    continue
                health.spool_segments += 1
    health.spool_age = max(0.0, at - oldest)
    if health.spool_age > LAG_SECONDS:
        sentence = f"Events wait {health.spool_age:.0f} seconds before they are stored; alerts come late."
        health.conditions.append(Condition("spool", sentence))


def _runs(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
