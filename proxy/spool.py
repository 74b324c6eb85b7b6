"""Events on their way out: a queue in memory, a thread that writes segments, and the console that picks them up.

A worker never waits for a disk. When the disk refuses for a moment or can't follow, `full` is true and the worker
answers 503 to new requests until it works again: nothing that was decided goes unwritten.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import structlog

from rules.event import Event, encoder

log = structlog.get_logger()

QUEUE_EVENTS = 20_000
"""Queued events from which new requests are refused; the answers under way still find room."""
FAILING_SECONDS = 1.0
"""A disk that refuses for so long closes the gateway for new requests: what waits in memory would die with the process."""
TICK_SECONDS = 0.08
"""A segment is written and renamed this often while there are events: below the contract's 100 ms."""
SEGMENT_EVENTS = 2_000
"""About 1 MB."""


class Spool:
    """Writes the events of one worker as closed segments below `folder`."""

    def __init__(self, folder: Path, worker: str, limit: int = QUEUE_EVENTS) -> None:
        self._folder = folder
        self._prefix = f"{worker}-{os.getpid()}-{int(time.time() * 1000)}"
        self._queue: deque[Event] = deque()
        self._limit = limit
        self._sequence = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._retry: list[Event] = []
        self.written = 0
        self._failing_since = 0.0

    def start(self) -> None:
        """Start the writer thread; raises `OSError` when the folder can't be made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """True when new requests have to wait outside."""
        return len(self._queue) >= self._limit or (self.failing and time.monotonic() - self._failing_since > FAILING_SECONDS)

    @property
    def failing(self) -> bool:
        """True while the disk refuses."""
        return self._failing_since > 0.0

    @property
    def waiting(self) -> int:
        """Events that are not on disk yet."""
        return len(self._queue) + len(self._retry)

    def put(self, event: Event) -> None:
        """Queue one event; never waits, never drops."""
        self._queue.append(event)

    def close(self) -> None:
        """Write everything that is queued and end the thread."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(TICK_SECONDS)
            while self._flush() and (self._queue or self._retry):
                pass

    def _flush(self) -> bool:
        """Write one segment; False when the disk refuses, in which case the events wait for the next tick."""
        batch = self._retry or self._take()
        if not batch:
            return True
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it was, or every later event is lost
            self._retry = batch
            if not self.failing:
                self._failing_since = time.monotonic()
                # The log may lie on the same full disk.
                with contextlib.suppress(Exception):
                    reason = getattr(error, "strerror", None) or type(error).__name__
                    log.error("events can't be written", error=reason)  # noqa: TRY400 - the sentence says it all
            return False
        self._retry = []
        self.written += len(batch)
        self._failing_since = 0.0
        return True

    def _take(self) -> list[Event]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(len(queue), SEGMENT_EVENTS))]

    def _write(self, batch: Iterable[Event]) -> None:
        # A sequence number is used once even when a write fails half-way: its torn file is adopted as it is, and the
        # events come again under their own ids in the next one.
        self._sequence += 1
        final = self._folder / f"{self._prefix}-{self._sequence:08d}.ndjson"
        part = final.with_name(final.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Held while we write: ingest adopts a part file only when it gets the lock, which a dead worker has let go.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            data = memoryview(encoder.encode_lines(batch))
            while data:
                data = data[os.write(descriptor, data) :]
            part.rename(final)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
