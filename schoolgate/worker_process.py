"""A gateway worker's process."""

import contextlib
import ctypes
import gc

from proxy.settings import WorkerSettings
from proxy.worker import run_worker
from schoolgate.address import Address
from schoolgate.paths import StatePaths

_TRIM_THRESHOLD = -1
"""`M_TRIM_THRESHOLD` of glibc's mallopt(3)."""
_KEPT_FREE = 16 << 20


def run(paths: StatePaths, name: str, listen: Address, console: Address) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    settings = WorkerSettings(
        name=name, listen_host=listen.host, listen_port=listen.port, console_host=console.host, console_port=console.port,
        rulesets=paths.rulesets, spool=paths.spool, snapshot=paths.snapshot, sealed=paths.sealed, run=paths.run, ca=paths.ca_folder,
        keys=paths.keys,
    )  # fmt: skip
    _keep_freed_memory()
    gc.enable()
    run_worker(settings)
    return 0


def _keep_freed_memory() -> None:
    """Have the C library keep up to 16 MB of freed memory instead of giving it back.

    Each page that is weighed takes and frees a tree of a few hundred kilobytes; handing its pages to the kernel and
    faulting them in again cost as much as reading the HTML. C libraries without mallopt(3) go on as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_TRIM_THRESHOLD, _KEPT_FREE)
