"""mitmproxy's WebSocket layer with an end: a refused message closes the connection, and no message grows without bound."""

import time
from collections.abc import Generator
from typing import Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import websocket
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from proxy.messages import REFUSED

type Commands[T] = Generator[commands.Command, Any, T]

LONGEST_MESSAGE = 8 * 2**20
"""Bytes of one message, over all its frames; the layer has to hold it whole."""
MOST_FRAMES = 4096
"""Frames of one message."""


class Withdrawn(websocket.WebSocketMessageInjected):
    """What let a WebSocket open no longer holds: a grant that ended, a rule that is new."""


class GatewayWebsocket(websocket.WebsocketLayer):
    """One WebSocket connection."""

    def relay_messages(self, event: events.Event) -> Commands[None]:
        """Pass messages on until one is refused (RFC 6455, 7.4.1: 1008) or too long (1009)."""
        if isinstance(event, Withdrawn):
            yield from self._close(CloseReason.POLICY_VIOLATION, "closed by the school's filter")
            return
        yield from super().relay_messages(event)
        if self._handle_event == self.done:
            return
        if REFUSED in self.flow.metadata:
            yield from self._close(CloseReason.POLICY_VIOLATION, "refused by the school's filter")
        elif _endless(self.client_ws) or _endless(self.server_ws):
            yield from self._close(CloseReason.MESSAGE_TOO_BIG, "too long for the school's filter")

    def _close(self, code: CloseReason, reason: str) -> Commands[None]:
        assert self.flow.websocket is not None
        self.flow.websocket.timestamp_end = time.time()
        self.flow.websocket.close_code, self.flow.websocket.close_reason = int(code), reason
        for side in (self.server_ws, self.client_ws):
            if side.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                yield side.send2(CloseConnection(int(code), reason))
            yield commands.CloseConnection(side.conn)
        yield websocket.WebsocketEndHook(self.flow)
        self.flow.live = False
        self._handle_event = self.done


def _endless(side: websocket.WebsocketConnection) -> bool:
    frames = side.frame_buf
    return len(frames) > MOST_FRAMES or sum(map(len, frames)) > LONGEST_MESSAGE
