"""A lean load client: one thread, epoll, prepared request bytes, TLS straight on the socket.

It is built to stay far below the cost of any proxy under test: about 15 us per plain request and 30 us per request
inside TLS on the machine of the published figures, so that a proxy on a core of its own is the slower part.
"""

import re
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECTING_SECONDS = 10.0
STALL_SECONDS = 30.0
READ_BYTES = 1 << 20

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\n(?:proxy-)?connection:[ \t]*close", re.IGNORECASE)

_TUNNEL, _HANDSHAKE, _HEAD, _BODY = range(4)
_UNTIL_CLOSE = -1
_IN_CHUNKS = -2


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask of which proxy.

    `host` and `port` name the origin; `secure` asks through CONNECT and TLS; `fresh` opens a connection per request.
    `statuses` are the answers that count as right; `connections` run at the same time.
    """

    proxy_host: str
    proxy_port: int
    host: str
    port: int
    path: str
    secure: bool = False
    fresh: bool = False
    connections: int = 20
    statuses: frozenset[int] = frozenset({200})
    exact_bytes: int | None = None
    """An answer with a body of another size counts as wrong: a proxy's error page may come with status 200."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def authority(self) -> str:
        """Return the origin as a browser would write it."""
        usual = 443 if self.secure else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"

    def request_bytes(self) -> bytes:
        """Return the request: absolute form for a proxy on HTTP, origin form inside a tunnel."""
        address = self.path if self.secure else f"http://{self.authority}{self.path}"
        lines = [
            f"GET {address} HTTP/1.1",
            f"Host: {self.authority}",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) gateway-benchmark",
            "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if not self.secure:
            lines.append("Proxy-Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def connect_bytes(self) -> bytes:
        """Return the CONNECT request that opens the tunnel."""
        authority = f"{self.host}:{self.port}"
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers if name.lower() == "proxy-authorization")
        return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{extra}\r\n".encode("ascii")


@dataclass(slots=True)
class Outcome:
    """What a run counted: finished requests with their latencies in nanoseconds, and what went wrong."""

    latencies: list[int] = field(default_factory=list)
    body_bytes: int = 0
    wrong: int = 0
    broken: int = 0
    """Connections that ended, or timed out, before their answer was complete."""
    reconnects: int = 0
    seconds: float = 0.0
    first_fault: str = ""

    def fault(self, text: str) -> None:
        """Keep the first thing that went wrong, for the table."""
        if not self.first_fault:
            self.first_fault = text


class _Connection:
    """One client connection and how far its current answer has come."""

    __slots__ = ("asked", "body", "buffer", "closes", "fd", "got", "left", "raw", "sock", "state", "status")

    def __init__(self, raw: socket.socket, started: int) -> None:
        self.raw = raw
        self.sock: socket.socket | ssl.SSLSocket = raw
        self.fd = raw.fileno()
        self.asked = started
        self.state = _HEAD
        self.buffer = b""
        self.left = 0
        self.got = 0
        self.status = 0
        self.closes = False
        self.body = b""


class LoadClient:
    """Drives one target with a fixed number of connections, each with one request at a time."""

    def __init__(self, target: Target, context: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.context = context
        self.outcome = Outcome()
        self._request = target.request_bytes()
        self._connect = target.connect_bytes()
        self._poll = select.epoll()
        self._live: dict[int, _Connection] = {}
        self._failures_in_a_row = 0
        self.stopping = False
        """Set by another thread to end the run early."""

    def run(
        self,
        seconds: float,
        warm_up: float = 0.0,
        most_requests: int = 0,
        begin: Callable[[], None] | None = None,
        end: Callable[[], None] | None = None,
    ) -> Outcome:
        """Ask until `seconds` after the warm-up have passed, or `most_requests` answers have come; return the counts.

        `begin` and `end` are called at the edges of the counted window, to read the proxy's CPU time there.
        """
        for _ in range(self.target.connections):
            self._open()
        if warm_up:
            self._until(time.perf_counter() + warm_up, 0)
        if begin:
            begin()
        self.outcome = Outcome()
        started = time.perf_counter()
        self._until(started + seconds, most_requests)
        self.outcome.seconds = time.perf_counter() - started
        if end:
            end()
        self.close()
        return self.outcome

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._live.values()):
            self._drop(connection)
        self._poll.close()

    # --- the loop -----------------------------------------------------------------------------------------------

    def _until(self, deadline: float, most_requests: int) -> None:
        last_answer = time.perf_counter()
        while (now := time.perf_counter()) < deadline and not self.stopping:
            outcome = self.outcome
            if most_requests and len(outcome.latencies) + outcome.wrong + outcome.broken >= most_requests:
                return
            if self._failures_in_a_row > 5 * self.target.connections:
                outcome.fault("every connection fails")
                return
            if not self._live:
                time.sleep(0.01)
                for _ in range(self.target.connections):
                    self._open()
                continue
            ready = self._poll.poll(min(1.0, deadline - now))
            if not ready and now - last_answer > STALL_SECONDS:
                outcome.broken += len(self._live)
                outcome.fault(f"no answer for {STALL_SECONDS:.0f} s")
                return
            if ready:
                last_answer = now
            for fd, _ in ready:
                connection = self._live.get(fd)
                if connection is not None:
                    self._advance(connection)

    def _open(self) -> None:
        started = time.perf_counter_ns()
        target = self.target
        try:
            raw = socket.create_connection((target.proxy_host, target.proxy_port), CONNECTING_SECONDS)
        except OSError as fault:
            self.outcome.broken += 1
            self.outcome.fault(f"can't connect: {fault}")
            self._failures_in_a_row += 1
            return
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(raw, started)
        if target.secure:
            connection.state = _TUNNEL
            raw.sendall(self._connect)
        else:
            raw.sendall(self._request)
        raw.setblocking(False)
        self._live[connection.fd] = connection
        self._poll.register(connection.fd, select.EPOLLIN)

    def _drop(self, connection: _Connection) -> None:
        if self._live.pop(connection.fd, None) is None:
            return
        self._poll.unregister(connection.fd)
        connection.sock.close()

    def _reopen(self, connection: _Connection) -> None:
        self._drop(connection)
        self._open()

    def _broken(self, connection: _Connection, why: str) -> None:
        self.outcome.broken += 1
        self.outcome.fault(why)
        self._failures_in_a_row += 1
        self._reopen(connection)

    def _advance(self, connection: _Connection) -> None:
        """Take what has arrived; go on until the socket has no more or the connection is replaced."""
        try:
            if connection.state == _TUNNEL and not self._tunnel(connection):
                return
            if connection.state == _HANDSHAKE:
                connection.sock.do_handshake()  # type: ignore[union-attr]
                connection.state = _HEAD
                connection.sock.send(self._request)
            while True:
                data = connection.sock.recv(READ_BYTES)
                if not data:
                    self._ended(connection)
                    return
                if self._take(connection, data):
                    return
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except (OSError, ValueError) as fault:
            self._broken(connection, f"{type(fault).__name__}: {fault}")

    def _tunnel(self, connection: _Connection) -> bool:
        """Read the answer to CONNECT; True when the tunnel stands."""
        connection.buffer += connection.raw.recv(4096)
        if not connection.buffer:
            self._broken(connection, "CONNECT was closed")
            return False
        if b"\r\n\r\n" not in connection.buffer:
            return False
        if connection.buffer.split(b" ", 2)[1] != b"200":
            self._broken(connection, "CONNECT answered " + connection.buffer.split(b"\r\n", 1)[0].decode("latin-1"))
            return False
        connection.buffer = b""
        assert self.context is not None
        # The TLS socket takes over the same descriptor, which epoll watches already.
        connection.sock = self.context.wrap_socket(connection.raw, server_hostname=self.target.host, do_handshake_on_connect=False)
        connection.state = _HANDSHAKE
        return True

    # --- answers ------------------------------------------------------------------------------------------------

    def _take(self, connection: _Connection, data: bytes) -> bool:
        """Count the bytes of an answer; True when it is complete and the next one was asked for."""
        if connection.state == _HEAD:
            if connection.buffer:
                data = connection.buffer + data
            edge = data.find(b"\r\n\r\n")
            if edge < 0:
                connection.buffer = data
                return False
            connection.buffer = b""
            self._head(connection, data[: edge + 2])
            data = data[edge + 4 :]
        connection.got += len(data)
        if connection.left >= 0:
            connection.left -= len(data)
            if connection.left > 0:
                return False
        elif connection.left == _UNTIL_CLOSE or not self._chunks_ended(connection, data):
            return False
        self._finished(connection)
        return True

    def _head(self, connection: _Connection, head: bytes) -> None:
        connection.state = _BODY
        connection.status = int(head[9:12])
        connection.got = 0
        connection.closes = _CLOSES.search(head) is not None
        length = _LENGTH.search(head)
        if length:
            connection.left = int(length[1])
        elif connection.status in (204, 304):
            connection.left = 0
        else:
            connection.left = _IN_CHUNKS if _CHUNKED.search(head) else _UNTIL_CLOSE
            connection.body = b""

    @staticmethod
    def _chunks_ended(connection: _Connection, data: bytes) -> bool:
        """Tell whether the last chunk has come: walk the chunk sizes, keep only what is not yet walked."""
        rest = connection.body + data
        while True:
            line = rest.find(b"\r\n")
            if line < 0:
                break
            size = int(rest[:line].split(b";", 1)[0], 16)
            end = line + 2 + size + 2
            if len(rest) < end:
                break
            rest = rest[end:]
            if size == 0:
                return True
        connection.body = rest
        return False

    def _ended(self, connection: _Connection) -> None:
        """The proxy closed the connection: the end of an answer without a length, or a fault."""
        if connection.state == _BODY and connection.left == _UNTIL_CLOSE:
            connection.closes = True
            self._finished(connection)
        elif connection.state == _HEAD and not connection.buffer and not self.target.fresh:
            # A proxy may close an idle connection; the request that crossed it is asked again, and counted.
            self.outcome.reconnects += 1
            self._failures_in_a_row += 1
            self._reopen(connection)
        else:
            self._broken(connection, "closed before the answer was complete")

    def _finished(self, connection: _Connection) -> None:
        now = time.perf_counter_ns()
        target = self.target
        outcome = self.outcome
        if connection.status in target.statuses and target.exact_bytes in (None, connection.got):
            outcome.latencies.append(now - connection.asked)
            outcome.body_bytes += connection.got
            self._failures_in_a_row = 0
        else:
            outcome.wrong += 1
            outcome.fault(f"answered {connection.status} with {connection.got} bytes")
        if target.fresh:
            self._reopen(connection)
        elif connection.closes:
            outcome.reconnects += 1
            self._reopen(connection)
        else:
            connection.state = _HEAD
            connection.asked = time.perf_counter_ns()
            connection.sock.send(self._request)


def tls_context(authority: str | None) -> ssl.SSLContext:
    """Return a client context that trusts the PEM file `authority`, or that verifies nothing when there is none."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["http/1.1"])
    # Strict checking, new in Python 3.13, wants extensions that some peers' certificates lack; browsers don't.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
