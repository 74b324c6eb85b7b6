"""How far a long command is: a bar for people on a terminal, a plain line now and then everywhere else."""
# ruff: noqa: PLC0415 - rich is loaded where a person watches

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from blocklists.reading import watched
from schoolgate import terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_SECONDS: Final = 5.0
"""Time between two lines where nobody watches: short commands say nothing."""


class Progress:
    """One step after the other; of each the bytes that it has taken, and of how many where that is known."""

    def __init__(self, bars: "Bars | None") -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._title = ""
        self._done = 0
        self._said = time.monotonic()

    def step(self, title: str, total: int | None = None) -> None:
        """Begin a step; `total` in bytes."""
        self._title, self._done = title, 0
        if self._bars is not None:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(title, total=total)

    def advance(self, size: int) -> None:
        """So many bytes more."""
        self.reached(self._done + size, None)

    def reached(self, done: int, total: int | None) -> None:
        """So many bytes are done, of so many where that is known."""
        self._done = done
        if self._bars is not None and self._task is not None:
            if total is not None:
                self._bars.update(self._task, total=total)
            self._bars.update(self._task, completed=done)
        elif time.monotonic() - self._said >= PLAIN_SECONDS:
            self._said = time.monotonic()
            terminal.say(f"{self._title}: {done / 1e6:,.0f}{f' of {total / 1e6:,.0f}' if total else ''} MB …")


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Progress]:
    """Show how far a command is for the length of a block; list files that are read in it count by themselves."""
    if not terminal.terminal():
        shown = Progress(None)
        shown.step(title, total)
        with watched(shown.advance):
            yield shown
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichBars

    bars = RichBars(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=terminal.console(), transient=True
    )  # fmt: skip
    with bars:
        shown = Progress(bars)
        shown.step(title, total)
        with watched(shown.advance):
            yield shown
