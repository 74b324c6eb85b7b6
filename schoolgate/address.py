"""Addresses to listen on: reading them, finding out that they are free, and keeping a port that the system chose."""

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass

from schoolgate.errors import Problem


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric host and a port; port 0 means that the system chooses."""

    host: str
    """IPv4 or IPv6 address without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as an http URL without a path."""
        return f"http://{self}"

    @property
    def unspecified(self) -> bool:
        """True for "every interface"."""
        return ipaddress.ip_address(self.host).is_unspecified

    def overlaps(self, other: "Address") -> bool:
        """True when one socket can't listen on each of the two; never for ports that the system chooses."""
        same = self.host == other.host or self.unspecified or other.unspecified
        return same and self.port == other.port and self.port != 0

    @property
    def reachable(self) -> "Address":
        """The address under which this machine itself gets there: loopback for "every interface"."""
        if not self.unspecified:
            return self
        return Address("::1" if ":" in self.host else "127.0.0.1", self.port)

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def family(self) -> socket.AddressFamily:
        """The socket family of the host."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


def parse_address(text: str, option: str) -> Address:
    """Read `HOST:PORT`; raises `Problem` that names the option.

    The host is an IPv4 address, an IPv6 address in brackets, or `localhost`; names that need a resolver are refused, since what they
    resolve to may change between two starts.
    """
    host, separator, port = text.strip().rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1
    if not separator or not 0 <= number <= 65535:
        raise Problem(f"{option} {text!r} is not HOST:PORT with a port from 0 to 65535; write for example {option} 127.0.0.1:8080.")
    host = {"localhost": "127.0.0.1", "*": "0.0.0.0", "": "0.0.0.0"}.get(host, host)  # noqa: S104 - asked for by name
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        raise Problem(f"{option} {text!r} does not name an IP address; write for example {option} 127.0.0.1:8080.") from None
    if address.version == 6 and bare == host:
        raise Problem(f"{option} {text!r}: write an IPv6 address in brackets, for example {option} [::1]:8080.")
    return Address(str(address), number)


def is_ip_address(text: str) -> bool:
    """Say whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def hold(address: Address, option: str) -> tuple[socket.socket, Address]:
    """Make sure that nobody listens there, and keep the port for our processes; raises `Problem` with one sentence.

    Returns a socket that is bound with SO_REUSEPORT and does not listen, and the address with the port in numbers. While it is open the
    port stays ours and our processes can bind to it; connections reach only those of them that listen.
    """
    try:
        if address.port:
            # A bind without SO_REUSEPORT fails beside a listener that has it: so a second copy is noticed.
            with _socket(address) as probe:
                probe.bind((address.host, address.port))
        held = _socket(address, reuse_port=True)
        try:
            held.bind((address.host, address.port))
        except OSError:
            held.close()
            raise
    except OSError as error:
        raise Problem(_sentence(error, address, option)) from error
    return held, Address(address.host, held.getsockname()[1])


def listen_shared(address: Address, option: str) -> socket.socket:
    """Listen on an address whose port the supervisor may hold; raises `Problem` with one sentence."""
    listener = _socket(address, reuse_port=True)
    try:
        listener.bind((address.host, address.port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise Problem(_sentence(error, address, option)) from error
    listener.setblocking(False)
    return listener


def _socket(address: Address, *, reuse_port: bool = False) -> socket.socket:
    made = socket.socket(address.family, socket.SOCK_STREAM)
    if reuse_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # So that connections of the last run that are still closing do not keep us out.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address.family is socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return made


def _sentence(error: OSError, address: Address, option: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Something already listens on {address}; stop it, or choose another address with {option}."
        case errno.EACCES:
            return f"This user may not listen on {address}; choose a port above 1023 with {option}, or give the right to do so."
        case errno.EADDRNOTAVAIL:
            return f"This machine has no address {address.host}; choose one of its own with {option}, or 0.0.0.0 for all of them."
        case _:
            return f"Can't listen on {address} ({os.strerror(error.errno or 0)}); choose another address with {option}."
