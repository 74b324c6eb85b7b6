"""What the console needs to know about its installation: addresses, files and limits."""

from pathlib import Path

import msgspec


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, files and limits of one console."""

    host: str
    """Address that the console listens on."""
    port: int
    proxy_host: str
    """Address of the gateway as clients reach it, for the PAC file and the help page."""
    proxy_port: int
    run_folder: Path
    """Holds `operator.token` and the workers' `worker-N.json`."""
    ca_certificate: Path
    gateway_key: bytes
    """Shared with the workers: signs subjects and block tokens."""
    names: frozenset[str] = frozenset()
    """Further host names under which people reach the console, lower case."""
    https: bool = False
    """True when people reach the console by HTTPS: cookies become `__Host-` and Secure."""
    body_limit: int = 64 * 1024
    """Largest request body, in bytes; nothing here takes files."""
    heartbeat_seconds: float = 15.0
    """Longest silence on an event stream."""

    @property
    def cookie_name(self) -> str:
        """Name of the session cookie; browsers refuse the `__Host-` prefix without HTTPS."""
        return "__Host-schoolgate" if self.https else "schoolgate"
