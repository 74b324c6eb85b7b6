"""Words for people on standard error: coloured on a terminal, plain everywhere else."""

# ruff: noqa: PLC0415 - rich is loaded where a person watches, and not by processes that write into a log

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Return where words for people go."""
    from rich.console import Console

    # Made for each use: tests and daemons replace standard error.
    return Console(stderr=True, soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """One line about what goes on."""
    _print(text, "")


def say_strong(text: str) -> None:
    """One line that matters."""
    _print(text, "bold green")


def warn(text: str) -> None:
    """One line that somebody should act on."""
    _print(text, "bold yellow")


def complain(text: str) -> None:
    """The one sentence with which a command fails."""
    _print(f"schoolgate: {text}", "bold red")


def _print(text: str, style: str) -> None:
    if not terminal():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
        return
    from rich.text import Text

    console().print(Text(text, style=style))


def out(text: str) -> None:
    """A line of the command's result, on standard output."""
    sys.stdout.write(text + "\n")


def json(value: Any) -> None:
    """A value as JSON on one line of standard output."""
    out(msgspec.json.encode(value).decode())


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output: drawn for people on a terminal, columns parted by tabs everywhere else."""
    if not sys.stdout.isatty():
        for row in (heads, *rows):
            out("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*heads, box=None, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def terminal() -> bool:
    """True when a person watches standard error."""
    return sys.stderr.isatty()
