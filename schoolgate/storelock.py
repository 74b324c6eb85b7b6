"""The lock of the event store: one process owns it, the console or for a moment a command."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from schoolgate.paths import StatePaths


@contextmanager
def store_lock(paths: StatePaths, patience: float = 0.0) -> Iterator[bool]:
    """Give True while this process may open the event store, False when another has it.

    The console waits (`patience`, in seconds) for a command that looks something up while no console runs.
    """
    with paths.console_lock.open("a") as file:
        end = time.monotonic() + patience
        mine = _locked(file)
        while not mine and time.monotonic() < end:
            time.sleep(0.05)
            mine = _locked(file)
        yield mine


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
