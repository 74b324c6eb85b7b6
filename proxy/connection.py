"""One client connection and its upstream connections: bytes between sockets and mitmproxy's protocol layers.

asyncio's protocols call us with bytes; we hand them to the layers, which answer with commands, all without a task, a
lock or a stream object. Tasks exist only for what really waits: opening an upstream connection, a slow hook, a timer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

import structlog
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode

from proxy.core import run_hook
from proxy.streams import HoldUpstream
from proxy.upstream import UpstreamError
from proxy.websockets import Withdrawn

if TYPE_CHECKING:
    from proxy.master import Gateway

log = structlog.get_logger()

UPSTREAMS_PER_HOST = 5
"""Upstream connections that one client connection may open to one address at a time."""


class GatewayClient(Client):
    """A client connection with what the gateway knows about it."""

    visit: Any = None
    """`proxy.visit.Visit`, set by the first hook that needs one."""


class Upstream(asyncio.Protocol):
    """The socket of one upstream connection."""

    __slots__ = ("bytes_in", "bytes_out", "connection", "owner", "transport")

    def __init__(self, owner: "ClientSide", connection: Connection) -> None:
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


class ClientSide(asyncio.Protocol):
    """One client connection with everything that hangs on it."""

    __slots__ = (
        "_congested", "_held", "_opening", "_paused", "_pumping", "_queue", "_slots", "_tasks", "bytes_in", "bytes_out", "client", "closed",
        "gateway", "last_activity", "layer", "links", "opened", "transport", "waiting",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.links: dict[Connection, Upstream | ClientSide] = {}
        self._queue: deque[events.Event] = deque()
        self._pumping = False
        self._congested: set[Connection] = set()
        self._paused = False
        self._held = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: dict[Connection, asyncio.Task[None]] = {}
        self._slots: dict[Any, asyncio.Semaphore] = {}
        self.closed = False
        self.waiting = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.last_activity = 0.0

    # --- what asyncio tells us --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Build the layers for a new client."""
        self.transport = cast("asyncio.Transport", transport)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        gateway = self.gateway
        if not peer or len(gateway.connections) >= gateway.max_connections or gateway.by_client[peer[0]] >= gateway.max_per_client:
            self.transport.abort()
            return
        gateway.by_client[peer[0]] += 1
        client = self.client = GatewayClient(peername=peer, sockname=own, timestamp_start=time.time(), state=ConnectionState.OPEN)
        self.links[client] = self
        self.gateway.connections.add(self)
        self.last_activity = self.opened = self.gateway.clock()
        context = Context(client, self.gateway.options)  # type: ignore[arg-type]
        self.layer: layer.Layer = modes.HttpProxy(context)
        self.pump(events.Start())

    def data_received(self, data: bytes) -> None:
        """Hand bytes of the client to the layers."""
        self.bytes_in += len(data)
        self.received(self.client, data)

    def eof_received(self) -> bool:
        """The client will send nothing more."""
        return self.finished(self.client)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone: everything upstream of it ends too."""
        if self in self.gateway.connections:
            self.gateway.connections.discard(self)
            self.gateway.left(self.client.peername[0])
        if self.closed or not self.links:
            return
        self.lost(self.client)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self.congested(self.client)

    def resume_writing(self) -> None:
        """The client caught up."""
        self.relieved(self.client)

    # --- what both kinds of socket report ---------------------------------------------------------------------------

    def received(self, connection: Connection, data: bytes) -> None:
        """Feed bytes to the layers."""
        self.last_activity = self.gateway.clock()
        if connection in self.links:
            self.pump(events.DataReceived(connection, data))

    def finished(self, connection: Connection) -> bool:
        """Feed an end of stream to the layers; True keeps our own half open."""
        if connection not in self.links:
            return False
        connection.state &= ~ConnectionState.CAN_READ
        self.pump(events.ConnectionClosed(connection))
        return connection in self.links

    def lost(self, connection: Connection) -> None:
        """Feed the loss of a socket to the layers."""
        if connection not in self.links:
            return
        ended = not connection.state & ConnectionState.CAN_READ
        connection.state = ConnectionState.CLOSED
        self._forget(connection)
        if not ended:
            self.pump(events.ConnectionClosed(connection))
        if connection is self.client:
            self._end()

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

    def withdraw(self, flow: object) -> None:
        """End what should no longer be open: one WebSocket, or without a flow the whole connection."""
        if flow is None:
            self.transport.abort()
        else:
            self.pump(Withdrawn(cast("HTTPFlow", flow), WebSocketMessage(Opcode.TEXT, True, b"")))

    # --- the layers -------------------------------------------------------------------------------------------------

    def pump(self, event: events.Event) -> None:
        """Run the layers until nothing is left to do; an error in them closes the connection."""
        queue = self._queue
        queue.append(event)
        if self._pumping:
            return
        self._pumping = True
        try:
            while queue:
                for command in self.layer.handle_event(queue.popleft()):
                    self._do(command)
        except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it was, no unfiltered byte may pass
            queue.clear()
            self.gateway.count_fault("proxy core", error)
            self.transport.abort()
        finally:
            self._pumping = False

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            link = self.links.get(command.connection)
            if link is not None and link.transport is not None and not link.transport.is_closing():
                link.bytes_out += len(command.data)
                link.transport.write(command.data)
        elif isinstance(command, StartHook):
            self._hook(command)
        elif isinstance(command, commands.OpenConnection):
            self._open(command)
        elif isinstance(command, commands.CloseTcpConnection) and command.half_close:
            self._half_close(command.connection)
        elif isinstance(command, commands.CloseConnection):
            self._close(command.connection)
        elif isinstance(command, commands.RequestWakeup):
            self._spawn(self._wake(command))
        elif isinstance(command, HoldUpstream):
            self._hold(command.hold)
        elif not isinstance(command, commands.Log):
            raise TypeError(f"unexpected command {type(command).__name__}")
        # Log commands quote addresses and bytes of people's traffic, so they are not written anywhere.

    def _hook(self, command: StartHook) -> None:
        wait = getattr(command, "wait", None) or run_hook(self.gateway.options, command)
        if wait is None:
            self._queue.append(events.HookCompleted(command))
        else:
            self._spawn(self._finish_hook(command, wait))

    async def _finish_hook(self, command: StartHook, wait: Awaitable[None]) -> None:
        self.waiting += 1
        try:
            await wait
        finally:
            self.waiting -= 1
        self.pump(events.HookCompleted(command))

    async def _wake(self, command: commands.RequestWakeup) -> None:
        await asyncio.sleep(command.delay)
        if not self.closed:
            self.pump(events.Wakeup(command))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self.gateway.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.gateway.count_fault("connection task", error)
            self.transport.abort()

    # --- upstream ---------------------------------------------------------------------------------------------------

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

    def _end(self) -> None:
        """The client is gone: close what is left and tell the layers, so that every exchange is written down."""
        if self.closed:
            return
        for connection, link in list(self.links.items()):
            if connection is not self.client:
                self._forget(connection)
                ended = not connection.state & ConnectionState.CAN_READ
                connection.state = ConnectionState.CLOSED
                if link.transport is not None:
                    link.transport.close()
                if not ended:
                    self.pump(events.ConnectionClosed(connection))
        self.closed = True
        for task in tuple(self._tasks):
            task.cancel()
        self.client.timestamp_end = time.time()
        self.gateway.client_left(self)
