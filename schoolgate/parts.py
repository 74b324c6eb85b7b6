"""The processes of one machine and how each is started: what the supervisor and the systemd units both say."""

import sys
from dataclasses import dataclass
from pathlib import Path

from schoolgate.address import Address
from schoolgate.consoleoptions import ConsoleOptions
from schoolgate.paths import StatePaths

WORKER_PATIENCE = 15.0
"""Seconds: a worker's own drain (10) and a little more."""
CONSOLE_PATIENCE = 60.0
"""Seconds: the last ingest of a busy day must not be cut short."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process that should always run."""

    name: str
    arguments: tuple[str, ...]
    """The whole command line."""
    patience: float
    """Seconds that it gets to end cleanly before it is killed."""
    order: int
    """Parts of a lower order are stopped first: workers close their spool segments before the console takes in what is left."""
    report: Path | None = None
    """A file that the part writes every second while it works; one that stands still means that the part hangs."""


def _command(*words: str) -> tuple[str, ...]:
    # -P: a folder named `rules` or `api` in the current directory must not be taken for one of ours.
    return (sys.executable, "-P", "-m", "schoolgate.part", *words)


def worker(number: int, state: Path, listen: Address, console: Address) -> Part:
    """A gateway worker; all of them listen on the same port. `console` is where it sends requests for the gateway's own pages."""
    name = f"worker-{number}"
    words = ("worker", "--state", str(state), "--listen", str(listen), "--console", str(console), "--name", name)
    return Part(name, _command(*words), patience=WORKER_PATIENCE, order=0, report=StatePaths(state).report(name))


def console(state: Path, config: Path, address: Address, proxy: Address, options: ConsoleOptions) -> Part:
    """The console: event store, detectors, pages and API."""
    words = ["console", "--state", str(state), "--config", str(config), "--console", str(address), "--proxy", str(proxy)]
    for name in options.names:
        words += ["--console-name", name]
    for option, value in (("--console-cert", options.certificate), ("--console-key", options.key), ("--inside", options.inside)):
        words += [option, str(value)] if value is not None else []
    return Part("console", _command(*words), patience=CONSOLE_PATIENCE, order=1)
