"""Words for people on standard error: coloured on a terminal, plain everywhere else."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """Return where words for people go."""
    # Made for each use: tests and daemons replace standard error.
    return Console(stderr=True, soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """One line about what goes on."""
    console().print(Text(text))


def say_strong(text: str) -> None:
    """One line that matters."""
    console().print(Text(text, style="bold green"))


def warn(text: str) -> None:
    """One line that somebody should act on."""
    console().print(Text(text, style="bold yellow"))


def complain(text: str) -> None:
    """The one sentence with which a command fails."""
    console().print(Text(f"schoolgate: {text}", style="bold red"))


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
    drawn = Table(*heads, box=None, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def terminal() -> bool:
    """True when a person watches standard error."""
    return sys.stderr.isatty()
