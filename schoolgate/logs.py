"""Logs of every process, to standard error, quiet unless asked; and what a failure says at the outermost edge."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from schoolgate import terminal

VARIABLE = "SCHOOLGATE_VERBOSE"
"""Set to 1 by `--verbose`, so that the parts that the supervisor starts are verbose too."""


def verbose() -> bool:
    """True when the person asked for details."""
    return os.environ.get(VARIABLE) == "1"


def configure() -> None:
    """Send logs to standard error: warnings, or with `--verbose` everything from INFO."""
    level = logging.INFO if verbose() else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s", force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each step of a migration that changes nothing
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbose() else logging.ERROR)


class StandardError:
    """Standard error as it is at each line, which is dropped where it can't be written.

    A log on a full disk or behind a closed pipe must not become the answer to a request, nor end a thread that watches over rules.
    """

    def write(self, text: str) -> int:
        """Write what can be written; never raises for a stream that is closed, full or broken."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written, as far as somebody takes it."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_structlog() -> None:
    """The same for the logs of workers and console; the other commands write none and don't load the library."""
    import structlog  # noqa: PLC0415

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose() else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", StandardError())),
        cache_logger_on_first_use=True,
    )


@contextmanager
def failures_said() -> Iterator[None]:
    """End the process with one sentence on standard error: exit code 2 for what a person can put right, 1 for an error of ours."""
    from schoolgate.wiring import sentence_of  # noqa: PLC0415 - it imports this package's other modules

    try:
        yield
    except Exception as error:  # noqa: BLE001 - the outermost edge: people get a sentence, with --verbose the trace
        if verbose():
            traceback.print_exception(error)
        known = sentence_of(error)
        terminal.complain(known or f"An error of Schoolgate's own: {type(error).__name__}: {error}. `schoolgate --verbose …` shows where.")
        sys.exit(2 if known else 1)
