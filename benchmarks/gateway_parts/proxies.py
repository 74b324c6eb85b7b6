"""The proxies under test: how to start each, which processes are its own, how to address it."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway_parts.origin import Origin
from gateway_parts.processes import Started, StartError, free_port, start, tree


@dataclass(slots=True)
class Proxy:
    """A running proxy, or one that somebody else runs (`started` is None: no CPU and memory figures)."""

    name: str
    title: str
    host: str
    port: int
    started: Started | None = None
    authority: Path | None = None
    """PEM file that signs the certificates it shows; None: the client verifies nothing."""
    plain_host: str = "localhost"
    """Origin name whose pages the proxy does not weigh, as far as it can tell pages apart."""
    scanned_host: str = "localhost"
    secure_site: tuple[str, int] | None = None
    """Host and port for HTTPS, where the proxy needs others than the plain host and the origin's port."""
    no_https: str = ""
    """Why HTTPS can't be measured."""
    blocked_host: str = ""
    blocked_statuses: frozenset[int] = frozenset({403})
    headers: tuple[tuple[str, str], ...] = ()
    pick_carriers: Callable[[], list[int]] | None = None
    """Names the processes that carry requests, where the tree holds others too."""
    facts: dict[str, object] = field(default_factory=dict)

    def processes(self) -> list[int]:
        """Return every process of the proxy."""
        return tree(self.started.pid) if self.started else []

    def carriers(self) -> list[int]:
        """Return the processes that carry requests."""
        return self.pick_carriers() if self.pick_carriers else self.processes()

    def alive(self) -> bool:
        """Tell whether the proxy's first process still runs."""
        return self.started is None or self.started.process.poll() is None

    def stop(self) -> None:
        """End the proxy, if this tool started it."""
        if self.started:
            self.started.stop()


def command(name: str) -> str:
    """Return the path of a program of this Python's environment or of the system; StartError when it is absent."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise StartError(f"{name} is not installed")
    return found


def external(url: str, authority: Path | None) -> Proxy:
    """Return a proxy that runs already, by its address `http://HOST:PORT`."""
    host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise StartError(f"{url} is no proxy address: write http://HOST:PORT")
    return Proxy("external", f"the proxy at {url}", host, int(port), authority=authority)


def stock_mitmdump(folder: Path, origin: Origin, cores: set[int]) -> Proxy:
    """Start mitmdump as it comes, with no addon of anyone, quiet."""
    folder.mkdir(parents=True)
    port = free_port()
    started = start(
        [
            command("mitmdump"), "-q", "--listen-host", "127.0.0.1", "-p", str(port), "--set", f"confdir={folder}",
            "--set", f"ssl_verify_upstream_trusted_ca={origin.authority}",
        ], folder, "mitmdump", cores=cores,
    )  # fmt: skip
    started.wait_port(port)
    return Proxy("mitmdump", "stock mitmdump, no addon", "127.0.0.1", port, started, folder / "mitmproxy-ca-cert.pem")


def trimmed(folder: Path, origin: Origin, cores: set[int], uvloop: bool = False) -> Proxy:
    """Start the trimmed master without any work of ours."""
    folder.mkdir(parents=True)
    port = free_port()
    arguments = [sys.executable, str(Path(__file__).with_name("trimmed_master.py")), str(port), str(folder), str(origin.authority)]
    if uvloop:
        arguments.append("--uvloop")
    started = start(arguments, folder, "trimmed", cores=cores)
    started.wait_port(port)
    name = "trimmed-uvloop" if uvloop else "trimmed"
    return Proxy(
        name, "trimmed mitmproxy master" + (" on uvloop" if uvloop else ""), "127.0.0.1", port, started, folder / "mitmproxy-ca-cert.pem"
    )


def trimmed_uvloop(folder: Path, origin: Origin, cores: set[int]) -> Proxy:
    """Start the trimmed master on uvloop."""
    return trimmed(folder, origin, cores, uvloop=True)
