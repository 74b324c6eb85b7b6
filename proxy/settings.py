"""What one worker is told at its start."""

from pathlib import Path

import msgspec


class WorkerSettings(msgspec.Struct, frozen=True):
    """Everything that a worker needs to know; paths follow the state folder's layout."""

    name: str
    listen_host: str
    listen_port: int
    console_host: str
    console_port: int
    rulesets: Path
    """Folder that holds `current`, the link to the ruleset in force."""
    spool: Path
    snapshot: Path
    sealed: Path
    run: Path
    ca: Path
    """Folder with `ca.key` and `ca.crt`."""
    keys: Path
    """Folder with `gateway.key`."""
    idle_seconds: float = 150.0
    """A client connection without a byte for so long is closed."""
    drain_seconds: float = 10.0
    trusted_ca: Path | None = None
    """Authorities for upstream sites in place of certifi's; the policy's own setting goes first."""
