"""One client connection and its upstream connections: bytes between sockets and mitmproxy's protocol layers.

asyncio's protocols call us with bytes; we hand them to the layers, which answer with commands, all without a task, a
lock or a stream object. Tasks exist only for what really waits: opening an upstream connection, a slow hook, a timer.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import structlog
from mitmproxy.connection import Client, Connection, ConnectionState
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode

from proxy.core import HoldClient, run_hook
from proxy.http_sides import HoldUpstream
from proxy.links import Links
from proxy.websockets import Withdrawn

if TYPE_CHECKING:
    from proxy.master import Gateway

log = structlog.get_logger()


class GatewayClient(Client):
    """A client connection with what the gateway knows about it."""

    visit: Any = None
    """`proxy.visit.Visit`, set by the first hook that needs one."""


class ClientSide(Links):
    """One client connection with everything that hangs on it."""

    __slots__ = ("_pumping", "_tasks", "last_activity", "layer", "opened", "waiting")

    client: GatewayClient

    def __init__(self, gateway: "Gateway") -> None:
        super().__init__(gateway)
        self._pumping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting = 0
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
        elif isinstance(command, HoldClient):
            self._hold_client(command.hold)
        elif not isinstance(command, commands.Log):
            raise TypeError(f"unexpected command {type(command).__name__}")
        # Log commands quote addresses and bytes of people's traffic, so they are not written anywhere.

    def _hold_client(self, hold: bool) -> None:
        """Stop reading from the client while what it sent still waits, or go on; its sites are read all the while."""
        if self.transport.is_closing():
            return
        if hold:
            self.transport.pause_reading()
        elif not self._paused:
            self.transport.resume_reading()

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

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self.gateway.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.gateway.count_fault("connection task", error)
            self.transport.abort()

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
