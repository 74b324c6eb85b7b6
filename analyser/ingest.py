"""From the spool into the event store, exactly once: a segment's name and its rows stand in one transaction."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from analyser.store import LEDGER_SECONDS, EventStore, SegmentRecord
from rules.event import Event, decoder

CLOSED: Final = ".ndjson"
OPEN: Final = ".ndjson.part"
BYTES_AT_ONCE: Final = 1_000_000
"""About how much is stored in one transaction: 2,500 events, some 40 ms."""
ORPHAN_SECONDS: Final = 1.0
"""An open segment that nobody wrote for this long, and nobody holds, has lost its worker."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One closed segment, read: its events, and the lines that are none."""

    path: Path
    events: list[Event]
    torn: list[bytes]


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

    def __init__(self, spool: Path, store: EventStore) -> None:
        self.spool = spool
        self.aside = spool / "aside"
        self.aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._store = store
        self._stored: set[str] = set()
        """Segments of this run whose rows are stored and whose file is not gone yet."""
        leftover = [path.name for path in self._closed()]
        self._stored |= store.known_segments(leftover)
        self._forgotten = time.monotonic()

    def step(self) -> Ingested:
        """Store the oldest waiting segments, at most about a megabyte; returns at once when there are none."""
        result = Ingested()
        waiting = self._closed()
        chosen: list[Segment] = []
        size = 0
        for path in waiting:
            if path.name in self._stored:
                self._remove(path)
                continue
            if size >= BYTES_AT_ONCE:
                break
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                size += len(data)
                chosen.append(read_segment(path, data))
        if not chosen:
            return result
        for segment in chosen:
            if segment.torn:
                # Before the transaction: a crash in between writes the same file again, and no line is ever lost.
                result.torn.append(self._keep_aside(segment))
        result.events = [event for segment in chosen for event in segment.events]
        records = [SegmentRecord(segment.path.name, len(segment.events), len(segment.torn)) for segment in chosen]
        result.batch = self._store.add(_encoder.encode(result.events).decode(), records)
        self._stored.update(record.name for record in records)
        for segment in chosen:
            self._remove(segment.path)
        result.segments = len(chosen)
        result.waiting = len(waiting) - len(chosen)
        self._forget_old()
        return result

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
        return Segment(path, events, [])
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
    return Segment(path, good, torn)


def _plausible(event: Event) -> bool:
    return len(event.id) == 32 and 0 < event.time < 7e9


def _with_age(spool: Path) -> Iterator[tuple[int, Path]]:
    with os.scandir(spool) as found:
        for entry in found:
            if entry.name.endswith(CLOSED):
                with suppress(FileNotFoundError):
                    yield entry.stat().st_mtime_ns, Path(entry.path)


_encoder = msgspec.json.Encoder()
