"""Logs of every process: structlog and the libraries' own, to standard error, quiet unless asked."""

import logging
import os
import sys

import structlog

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
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
