"""A gateway worker's process."""

import gc

from proxy.settings import WorkerSettings
from proxy.worker import run_worker
from schoolgate.address import Address
from schoolgate.paths import StatePaths


def run(paths: StatePaths, name: str, listen: Address, console: Address) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    settings = WorkerSettings(
        name=name, listen_host=listen.host, listen_port=listen.port, console_host=console.host, console_port=console.port,
        rulesets=paths.rulesets, spool=paths.spool, snapshot=paths.snapshot, sealed=paths.sealed, run=paths.run, ca=paths.ca_folder,
        keys=paths.keys,
    )  # fmt: skip
    gc.enable()
    run_worker(settings)
    return 0
