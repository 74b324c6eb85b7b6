"""From the spool into the event store, exactly once: a segment's name and its rows stand in one transaction."""

import fcntl
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from analyser.store import LEDGER_SECONDS, EventStore, SegmentRecord
from rules.event import Event, decoder

CLOSED: Final = ".ndjson"
OPEN: Final = ".ndjson.part"
BYTES_AT_ONCE: Final = 1_000_000
"""About how much is stored in one transaction: 2,500 events, some 40 ms."""
RACY_NANOSECONDS: Final = 20_000_000
ORPHAN_SECONDS: Final = 1.0
"""An open segment that nobody wrote for this long, and nobody holds, has lost its worker."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One closed segment, read: its events, and the lines that are none."""

    path: Path
    events: list[Event]
    torn: list[bytes]
    size: int = 0
    """Bytes of its file."""


@dataclass(slots=True)
class Ingested:
    """What one step brought in."""

    batch: int = 0
    events: list[Event] = field(default_factory=list)
    segments: int = 0
    torn: list[str] = field(default_factory=list)
    """Names of files in `aside` that hold lines which could not be read."""
    waiting: int = 0
    """Closed segments still in the spool after the step."""


class Ingest:
    """Reads one spool folder into one store; only one of it may run, which the store's own lock ensures."""

    def __init__(self, spool: Path, store: EventStore, hold: float = 0.0) -> None:
        self.spool = spool
        self.hold = hold
        """Seconds that plain allowed requests may wait for more of them: a transaction costs as much for one as for a thousand."""
        self.aside = spool / "aside"
        self.aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._store = store
        self._stored: set[str] = set()
        """Segments of this run whose rows are stored and whose file is not gone yet."""
        self._waiting: deque[Path] = deque(self._closed())
        """Closed segments of the last look into the spool, oldest first; a backlog of many is listed once, not at every step."""
        self._held: dict[str, Segment] = {}
        """Segments that are read and wait to be stored; their files stay in the spool."""
        self._held_since = 0.0
        self._held_bytes = 0
        self._stored |= store.known_segments([path.name for path in self._waiting])
        self._forgotten = time.monotonic()
        self._looked = 0.0
        self._stamp = 0

    def worth_a_step(self) -> bool:
        """Say by one `stat` whether the spool may hold something new; at least once a second it is looked into anyway."""
        now = time.monotonic()
        if self._waiting or now - self._looked > 1 or (self._held and now - self._held_since >= self.hold):
            return True
        try:
            # A change within the clock's grain of the last look may have the same stamp: it counts as news for a while.
            stamp = self.spool.stat().st_mtime_ns
            return stamp != self._stamp or time.time_ns() - stamp < RACY_NANOSECONDS
        except OSError:
            return True

    def step(self) -> Ingested:
        """Take in waiting segments, the oldest first, and store them, at most about a megabyte at once.

        What may hold an alert is stored in the same step, the rest after `hold` seconds at the latest. Raises OSError
        and duckdb.Error; then nothing was lost, and the next step tries again.
        """
        result = Ingested()
        if not self._waiting:
            self._stamp, self._looked = self.spool.stat().st_mtime_ns, time.monotonic()
            self._waiting.extend(self._closed())
        while self._waiting and self._held_bytes < BYTES_AT_ONCE:
            self._take_in(self._waiting[0])
            self._waiting.popleft()
        if self._held and (self._waiting or self._urgent() or time.monotonic() - self._held_since >= self.hold):
            try:
                self._store_all(list(self._held.values()), result)
            except Exception:
                if not result.batch:
                    raise
                # Some were stored one by one before it failed: those are looked at now, the rest is tried again.
            self._held_bytes = sum(segment.size for segment in self._held.values())
            result.torn = list(dict.fromkeys(result.torn))
        result.waiting = len(self._waiting)
        self._forget_old()
        return result

    def _take_in(self, path: Path) -> None:
        if path.name in self._stored:
            self._remove(path)
        elif path.name not in self._held:
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                if not self._held:
                    self._held_since = time.monotonic()
                self._held_bytes += len(data)
                self._held[path.name] = read_segment(path, data)

    def _urgent(self) -> bool:
        return any(
            segment.torn or any(event.level or event.action not in ("allow", "log") or event.fault for event in segment.events)
            for segment in self._held.values()
        )

    def _store_all(self, chosen: list[Segment], result: Ingested) -> None:
        for segment in chosen:
            if segment.torn:
                # Before the transaction: a crash in between writes the same file again, and no line is ever lost.
                result.torn.append(self._keep_aside(segment))
        try:
            self._store_some(chosen, result)
        except duckdb.DataError:
            # A value that the store can't hold, in a line that can be read: find the segment, then the line, so that it
            # does not stop the rest.
            if len(chosen) > 1:
                for segment in chosen:
                    self._store_all([segment], result)
            elif not chosen[0].events:
                raise
            else:
                self._store_all([self._without_bad_rows(chosen[0])], result)

    def _store_some(self, chosen: list[Segment], result: Ingested) -> None:
        events = [event for segment in chosen for event in segment.events]
        records = [SegmentRecord(segment.path.name, len(segment.events), len(segment.torn)) for segment in chosen]
        result.batch = self._store.add(_encoder.encode(events).decode(), records)
        result.events += events
        self._stored.update(record.name for record in records)
        for segment in chosen:
            self._held.pop(segment.path.name, None)
            self._remove(segment.path)
        result.segments += len(chosen)

    def _without_bad_rows(self, segment: Segment) -> Segment:
        held = [(event, self._store.can_hold(_encoder.encode([event]).decode())) for event in segment.events]
        bad = [_encoder.encode(event) for event, fits in held if not fits]
        if not bad:  # together they don't fit, each alone does: no rule says how, so the whole segment goes aside
            return Segment(segment.path, [], [*segment.torn, *(_encoder.encode(event) for event in segment.events)])
        return Segment(segment.path, [event for event, fits in held if fits], [*segment.torn, *bad])

    def adopt(self, *, now: float | None = None) -> int:
        """Close segments whose worker is gone; returns how many."""
        return sum(self._adopt(path, time.time() if now is None else now) for path in sorted(self.spool.glob("*" + OPEN)))

    def _adopt(self, path: Path, now: float) -> bool:
        try:
            held = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status, there = os.fstat(held), path.stat()
            # Its worker may have renamed it between our open and our lock; and a fresh one may not be locked yet.
            if status.st_ino != there.st_ino or now - status.st_mtime < ORPHAN_SECONDS:
                return False
            if status.st_size == 0:
                path.unlink()
                return False
            path.rename(path.with_name(path.name.removesuffix(".part")))
            return True
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            os.close(held)

    def _closed(self) -> list[Path]:
        return [path for _, path in sorted(_with_age(self.spool))]

    def _keep_aside(self, segment: Segment) -> str:
        target = self.aside / segment.path.name
        fresh = target.with_name(target.name + ".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(b"\n".join(segment.torn) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        return target.name

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._stored.discard(path.name)

    def _forget_old(self) -> None:
        if time.monotonic() - self._forgotten > 3600:
            self._forgotten = time.monotonic()
            self._store.forget_segments(time.time() - LEDGER_SECONDS)


def read_segment(path: Path, data: bytes) -> Segment:
    """Split a segment into events and unreadable lines; a last line without its line feed counts if it is whole."""
    try:
        events = decoder.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        events = None
    if events is not None and all(_plausible(event) for event in events):
        return Segment(path, events, [], len(data))
    good: list[Event] = []
    torn: list[bytes] = []
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            torn.append(line)
            continue
        if _plausible(event):
            good.append(event)
        else:
            torn.append(line)
    return Segment(path, good, torn, len(data))


def _plausible(event: Event) -> bool:
    return len(event.id) == 32 and 0 < event.time < 7e9


def _with_age(spool: Path) -> Iterator[tuple[int, Path]]:
    with os.scandir(spool) as found:
        for entry in found:
            if entry.name.endswith(CLOSED):
                with suppress(FileNotFoundError):
                    yield entry.stat().st_mtime_ns, Path(entry.path)


_encoder = msgspec.json.Encoder()
