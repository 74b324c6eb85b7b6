"""One part as a process: `python -m schoolgate.part worker …`, which is how the supervisor starts workers and console.

It reads its few options itself: the libraries of the command line would cost each part a third of a second and 10 MB. The
commands `worker` and `console`, which systemd starts, end in the same two functions.
"""

import argparse
import gc
import os
import sys
from pathlib import Path

from schoolgate import firstrun, lifeline, logs, wiring
from schoolgate.address import parse_address
from schoolgate.consoleoptions import ConsoleOptions, console_names
from schoolgate.errors import Problem
from schoolgate.paths import StatePaths


def run_worker(paths: StatePaths, name: str, listen: str, console: str) -> int:
    """Run one gateway worker until it is told to stop; returns the exit code."""
    _begin()
    firstrun.existing(paths)
    if not name or not all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name) or len(name) > 40:
        raise Problem(f"--name {name!r} may have up to 40 letters, digits, - and _ only, since files are named after it.")
    return wiring.run_worker(paths, name, parse_address(listen, "--listen"), parse_address(console, "--console"))


def run_console(paths: StatePaths, config: Path, console: str, proxy: str, options: ConsoleOptions) -> int:
    """Run the console until it is told to stop; returns the exit code."""
    _begin()
    firstrun.existing(paths)
    return wiring.run_console(paths, config, parse_address(console, "--console"), parse_address(proxy, "--proxy"), options)


def _begin() -> None:
    lifeline.follow_supervisor()
    # Imports make much that lives for ever and nothing to collect; the collector would look through it again and again. Each part
    # switches it on again once it has its modules.
    gc.disable()
    # structlog draws tracebacks with rich where it finds it. Our logs are plain, and rich costs each part 6 MB and a fifth of a second.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    logs.configure_structlog()


def main() -> None:
    """Read the options, run the part, and end with its exit code."""
    parser = argparse.ArgumentParser(prog="schoolgate", allow_abbrev=False)
    parser.add_argument("part", choices=("worker", "console"))
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--console", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--listen", default="")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--proxy", default="")
    parser.add_argument("--console-name", action="append", default=[])
    parser.add_argument("--console-cert", type=Path)
    parser.add_argument("--console-key", type=Path)
    parser.add_argument("--inside", default="")
    given = parser.parse_args()
    logs.configure()
    os.umask(0o077)  # everything that an installation keeps is its owner's alone
    paths = StatePaths(given.state)
    with logs.failures_said():
        if given.part == "worker":
            sys.exit(run_worker(paths, given.name, given.listen, given.console))
        inside = parse_address(given.inside, "--inside") if given.inside else None
        options = ConsoleOptions(console_names(given.console_name), given.console_cert, given.console_key, inside)
        sys.exit(run_console(paths, given.config or paths.policy, given.console, given.proxy, options))


if __name__ == "__main__":
    main()
