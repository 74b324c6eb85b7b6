"""The sockets of one client connection: its own and those to sites, opened, held back and closed together."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events

from proxy.upstream import UpstreamError

if TYPE_CHECKING:
    from proxy.master import Gateway

UPSTREAMS_PER_HOST = 5
"""Upstream connections that one client connection may open to one address at a time."""


class Upstream(asyncio.Protocol):
    """The socket of one upstream connection."""

    __slots__ = ("bytes_in", "bytes_out", "connection", "owner", "transport")

    def __init__(self, owner: "Links", connection: Connection) -> None:
        self.owner = owner
        self.connection = connection
        self.transport: asyncio.Transport | None = None
        self.bytes_in = 0
        self.bytes_out = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand bytes of the origin to the layers."""
        self.bytes_in += len(data)
        self.owner.received(self.connection, data)

    def eof_received(self) -> bool:
        """Tell the layers that the origin finished; our own half stays open until they close it."""
        return self.owner.finished(self.connection)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the layers that the socket is gone."""
        self.owner.lost(self.connection)

    def pause_writing(self) -> None:
        """The origin reads slowly: stop reading from everybody else of this client."""
        self.owner.congested(self.connection)

    def resume_writing(self) -> None:
        """The origin caught up."""
        self.owner.relieved(self.connection)


class Links(asyncio.Protocol, ABC):
    """What `proxy.connection.ClientSide` has in sockets, and how they take turns; what it does with their bytes is its own."""

    __slots__ = ("_congested", "_held", "_opening", "_paused", "_queue", "_slots", "bytes_in", "bytes_out", "client", "closed", "gateway",
                 "links", "transport")  # fmt: skip

    client: Client
    transport: asyncio.Transport
    """There from the moment at which asyncio says so."""

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.links: dict[Connection, Upstream | Links] = {}
        self._queue: deque[events.Event] = deque()
        self._congested: set[Connection] = set()
        self._paused = False
        self._held = False
        self._opening: dict[Connection, asyncio.Task[None]] = {}
        self._slots: dict[Any, asyncio.Semaphore] = {}
        self.closed = False
        self.bytes_in = 0
        self.bytes_out = 0

    @abstractmethod
    def pump(self, event: events.Event) -> None:
        """Hand an event to the layers."""

    @abstractmethod
    def received(self, connection: Connection, data: bytes) -> None:
        """Hand bytes to the layers."""

    @abstractmethod
    def finished(self, connection: Connection) -> bool:
        """Hand an end of stream to the layers; True keeps our own half open."""

    @abstractmethod
    def lost(self, connection: Connection) -> None:
        """Hand the loss of a socket to the layers."""

    @abstractmethod
    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what waits as a task that ends with this connection."""

    @abstractmethod
    def _end(self) -> None:
        """Close what is left, now that the client is gone."""

    # --- taking turns -----------------------------------------------------------------------------------------------

    def congested(self, connection: Connection) -> None:
        """Stop reading while somebody can't take more."""
        self._congested.add(connection)
        if not self._paused:
            self._paused = True
            for link in self.links.values():
                if link.transport is not None:
                    link.transport.pause_reading()

    def relieved(self, connection: Connection) -> None:
        """Read again once everybody can take more."""
        self._congested.discard(connection)
        if self._paused and not self._congested:
            self._paused = False
            for link in self.links.values():
                if link.transport is not None and not link.transport.is_closing() and not (self._held and link is not self):
                    link.transport.resume_reading()

    def _hold(self, hold: bool) -> None:
        """Stop reading from sites, or go on; the client is read all the while, for it has to open its window."""
        self._held = hold
        for link in self.links.values():
            if link is self or link.transport is None or link.transport.is_closing() or self._paused:
                continue
            if hold:
                link.transport.pause_reading()
            else:
                link.transport.resume_reading()

    # --- opening and closing ----------------------------------------------------------------------------------------

    def _open(self, command: commands.OpenConnection) -> None:
        self._opening[command.connection] = self._spawn(self._open_upstream(command))

    async def _open_upstream(self, command: commands.OpenConnection) -> None:
        server = command.connection
        error: str | None = None
        try:
            if server.address is None:
                raise UpstreamError("the request names no host")
            slot = self._slots.setdefault(server.address, asyncio.Semaphore(UPSTREAMS_PER_HOST))
            await slot.acquire()
            try:
                await self._connect(server)
            except BaseException:
                slot.release()
                raise
        except (UpstreamError, OSError) as problem:
            error = server.error = str(problem) or "the connection failed"
        except asyncio.CancelledError:
            error = server.error = "connection cancelled"
        self._opening.pop(server, None)
        if not self.closed:
            self.pump(events.OpenConnectionCompleted(command, error))

    async def _connect(self, server: Server) -> None:
        assert server.address is not None
        link = Upstream(self, server)
        server.timestamp_start = time.time()
        await self.gateway.upstreams.connect(server.address, link)
        transport = link.transport
        if transport is None or self.closed:
            if transport is not None:
                transport.abort()
            raise UpstreamError("the client left")
        server.timestamp_tcp_setup = time.time()
        server.state = ConnectionState.OPEN
        server.peername = transport.get_extra_info("peername")
        server.sockname = transport.get_extra_info("sockname")
        self.links[server] = link
        if self._paused or self._held:
            transport.pause_reading()

    def _half_close(self, connection: Connection) -> None:
        link = self.links.get(connection)
        if link is None or link.transport is None or not connection.state & ConnectionState.CAN_WRITE:
            return
        try:
            if not link.transport.is_closing():
                link.transport.write_eof()
            connection.state &= ~ConnectionState.CAN_WRITE
        except OSError:
            connection.state = ConnectionState.CLOSED
        if connection.state is ConnectionState.CLOSED:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        task = self._opening.get(connection)
        if task is not None:
            task.cancel()
        link = self.links.get(connection)
        if link is None:
            connection.state = ConnectionState.CLOSED
            return
        ended = not connection.state & ConnectionState.CAN_READ
        connection.state = ConnectionState.CLOSED
        self._forget(connection)
        if link.transport is not None:
            link.transport.close()
        if not ended:
            self._queue.append(events.ConnectionClosed(connection))
        if connection is self.client:
            self.gateway.loop.call_soon(self._end)

    def _forget(self, connection: Connection) -> None:
        """Drop a socket's entry, its share of congestion and its place in the queue for its host."""
        self.links.pop(connection, None)
        if isinstance(connection, Server) and (slot := self._slots.get(connection.address)) is not None:
            slot.release()
        if connection in self._congested:
            self.relieved(connection)
