"""Our own master: one event loop, one listening socket, the connections on it, and nothing else.

It takes the place of mitmproxy's `Master`, addon manager and server instances. Hooks are a table from hook class to
function; a hook without an entry costs nothing.
"""

import asyncio
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import tls, websocket
from mitmproxy.proxy.layers.http import HTTPMode, _hooks

from proxy.connection import ClientSide
from proxy.core import CoreOptions
from proxy.streams import GatewayHttp
from proxy.tls_layers import ClientTls, ServerTls
from proxy.upstream import Upstreams
from rules.decision import Reason

log = structlog.get_logger()

BACKLOG = 2048
CLIENT_CONNECTIONS = 1000
"""Connections of one client address at a time to one worker; a browser with a hundred open pages has half of that."""
DESCRIPTORS_KEPT = 64
"""Descriptors that the process needs for itself: lists, spool, health."""
SWEEP_SECONDS = 5.0
CHECK_SECONDS = 0.5
CHECKS_OF_ALL = 20
TLS_HANDSHAKE = 0x16


def choose_layer(hook: layer.NextLayerHook) -> None:
    """Say what a connection speaks: HTTP to the proxy itself, TLS or HTTP inside a tunnel, nothing else."""
    question = hook.data
    context = question.context
    if len(context.layers) == 1:
        question.layer = GatewayHttp(context, HTTPMode.regular)
        return
    start: bytes = question.data_client()  # type: ignore[no-untyped-call]
    if not start:
        return
    if start[0] == TLS_HANDSHAKE and not isinstance(context.layers[-1], ClientTls):
        server_tls = ServerTls(context)
        server_tls.child_layer = ClientTls(context)
        question.layer = server_tls
        return
    # Bytes that are no HTTP request get an error from this layer; they are never relayed.
    question.layer = GatewayHttp(context, HTTPMode.transparent)


def hook_table(handlers: Any) -> dict[Any, Callable[[Any], Any]]:
    """Map mitmproxy's hook classes to the handlers' methods of the same name, where they have one."""
    table: dict[Any, Callable[[Any], Any]] = {layer.NextLayerHook: choose_layer}
    for name, hook in HOOKS.items():
        method = getattr(handlers, name, None)
        if method is not None:
            table[hook] = _with_argument(method, "flow" if hook in FLOW_HOOKS else "data")
    return table


def _with_argument(method: Callable[[Any], Any], attribute: str) -> Callable[[Any], Any]:
    if attribute == "flow":
        return lambda hook: method(hook.flow)
    return lambda hook: method(hook.data)


def _known_hooks() -> tuple[dict[str, Any], frozenset[Any]]:
    flow_hooks = {
        "http_connect": _hooks.HttpConnectHook,
        "requestheaders": _hooks.HttpRequestHeadersHook,
        "request": _hooks.HttpRequestHook,
        "responseheaders": _hooks.HttpResponseHeadersHook,
        "response": _hooks.HttpResponseHook,
        "error": _hooks.HttpErrorHook,
        "websocket_start": websocket.WebsocketStartHook,
        "websocket_message": websocket.WebsocketMessageHook,
        "websocket_end": websocket.WebsocketEndHook,
    }
    data_hooks = {
        "tls_clienthello": tls.TlsClienthelloHook,
        "tls_start_client": tls.TlsStartClientHook,
        "tls_start_server": tls.TlsStartServerHook,
        "tls_failed_client": tls.TlsFailedClientHook,
    }
    return {**flow_hooks, **data_hooks}, frozenset(flow_hooks.values())


HOOKS, FLOW_HOOKS = _known_hooks()


class Gateway:
    """Everything that the connections of one worker share."""

    def __init__(self, handlers: Any, upstreams: Upstreams, idle_seconds: float = 150.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = time.monotonic
        self.handlers = handlers
        self.upstreams = upstreams
        self.options = CoreOptions(
            hooks=hook_table(handlers),
            keep_session=getattr(handlers, "keep_session", None),
            weigh_request=getattr(handlers, "weigh_request", None),
            sniff_response=getattr(handlers, "sniff_response", None),
            weigh_response=getattr(handlers, "weigh_response", None),
            refuse_target=getattr(handlers, "refuse_target", None),
            settle_messages=getattr(handlers, "settle_messages", None),
            unannounced_body=getattr(handlers, "unannounced_body", None),
        )
        self.connections: set[ClientSide] = set()
        self.idle_seconds = idle_seconds
        self.header_seconds = 30.0
        self.max_connections = 20_000
        self.max_per_client = _fair_share()
        self.by_client: Counter[str] = Counter()
        """Open connections by client address."""
        self.faults = 0
        self._server: asyncio.Server | None = None
        self._sweep = self.loop.call_later(SWEEP_SECONDS, self._close_idle)
        self._judged_by: tuple[object, ...] = ()
        self._checks = 0
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_lasting)

    async def listen(self, host: str, port: int) -> int:
        """Bind the port, shared with the other workers, and return its number; raises `OSError`."""
        self._server = await self.loop.create_server(
            lambda: ClientSide(self), host, port, reuse_port=True, backlog=BACKLOG, family=socket.AF_UNSPEC
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, drain_seconds: float) -> None:
        """Stop accepting, let exchanges under way finish for a while, then close what is left."""
        self._sweep.cancel()
        self._check.cancel()
        if self._server is not None:
            self._server.close()
        end = self.clock() + drain_seconds
        while self.connections and self.clock() < end:
            for connection in tuple(self.connections):
                if not self.handlers.busy(connection):
                    connection.transport.close()
            await asyncio.sleep(0.05)
        for connection in tuple(self.connections):
            connection.transport.abort()
        # One turn of the loop, in which the layers hear of it and every exchange is written down.
        await asyncio.sleep(0.05)

    def left(self, address: str) -> None:
        """Count a client connection less."""
        self.by_client[address] -= 1
        if self.by_client[address] <= 0:
            del self.by_client[address]

    def client_left(self, connection: ClientSide) -> None:
        """Called when a client connection is over."""
        self.handlers.client_left(connection)

    def count_fault(self, where: str, error: BaseException) -> None:
        """Count and log an error of our own; the connection it happened on is closed by the caller."""
        self.faults += 1
        # The traceback's frames name code, never traffic; the message may quote traffic, so it stays out.
        log.error("gateway fault", where=where, error=type(error).__name__, exc_info=None, at=_innermost(error))

    def _check_lasting(self) -> None:
        """Close what is open but would not be opened now: a grant ended, a rule changed, a lesson began."""
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_lasting)
        live = getattr(self.handlers, "live", None)
        if live is None:
            return
        in_force = (live.ruleset, live.state, live.fault)
        self._checks += 1
        # Grants end by the clock; everything else is asked again when the rules change, and now and then for timed ones.
        everything = in_force != self._judged_by or self._checks % CHECKS_OF_ALL == 0
        self._judged_by = in_force
        for connection in tuple(self.connections):
            visit = connection.client.visit
            if visit is None or not visit.lasting:
                continue
            for exchange, flow in tuple(visit.lasting.items()):
                granted = exchange.decision is not None and exchange.decision.reason is Reason.GRANT
                if (everything or granted) and self.handlers.withdrawn(exchange):
                    connection.withdraw(flow)

    def _close_idle(self) -> None:
        limit = self.clock() - self.idle_seconds
        for connection in tuple(self.connections):
            silent = connection.last_activity < limit and not connection.waiting
            # A browser sends its first request at once; who dribbles headers holds a place that others need.
            dribbling = connection.client.visit is None and connection.opened < self.clock() - self.header_seconds
            if silent or dribbling:
                connection.transport.abort()
        self._sweep = self.loop.call_later(min(SWEEP_SECONDS, max(self.idle_seconds / 4, 0.05)), self._close_idle)


def _fair_share() -> int:
    """Return how many connections one client may hold: each may need a few descriptors upstream, and others come too."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return CLIENT_CONNECTIONS if soft == resource.RLIM_INFINITY else max(32, min(CLIENT_CONNECTIONS, (soft - DESCRIPTORS_KEPT) // 8))


def _innermost(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"
