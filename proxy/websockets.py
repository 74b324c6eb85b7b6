"""mitmproxy's WebSocket layer with an end: a refused message closes the connection, and no message grows without bound."""

import time
from collections.abc import Generator
from typing import Any

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import websocket
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, TextMessage
from wsproto.frame_protocol import CloseReason

from proxy.flowing import SETTLE_SECONDS
from proxy.messages import REFUSED, TALK

type Commands[T] = Generator[commands.Command, Any, T]

LONGEST_MESSAGE = 8 * 2**20
"""Bytes of one message, over all its frames; the layer has to hold it whole."""
MOST_FRAMES = 4096
"""Frames of one message."""


class Withdrawn(websocket.WebSocketMessageInjected):
    """What let a WebSocket open no longer holds: a grant that ended, a rule that is new."""


class GatewayWebsocket(websocket.WebsocketLayer):
    """One WebSocket connection."""

    _waking = False
    _heard = 0.0

    def relay_messages(self, event: events.Event) -> Commands[None]:
        """Pass messages on until one is refused (RFC 6455, 7.4.1: 1008) or too long (1009)."""
        if isinstance(event, Withdrawn):
            yield from self._close(CloseReason.POLICY_VIOLATION, "closed by the school's filter")
            return
        if isinstance(event, events.Wakeup):
            self._waking = False
            if time.monotonic() - self._heard >= SETTLE_SECONDS:
                self.context.options.settle_messages(self.flow)
        else:
            self._heard = time.monotonic()
            yield from super().relay_messages(event)
        if self._handle_event == self.done:
            return
        talk = self.flow.metadata.get(TALK)
        if (notice := self.flow.metadata.get(REFUSED)) is not None:
            if notice and self.client_ws.state is ConnectionState.OPEN:
                yield self.client_ws.send2(TextMessage(notice))
            yield from self._close(CloseReason.POLICY_VIOLATION, "refused by the school's filter")
        elif talk is not None and talk.doubtful and not self._waking:
            self._waking = True
            yield commands.RequestWakeup(SETTLE_SECONDS)
        elif _endless(self.client_ws) or _endless(self.server_ws):
            yield from self._close(CloseReason.MESSAGE_TOO_BIG, "too long for the school's filter")

    def done(self, event: events.Event) -> Commands[None]:
        """Take what still comes after the end, a wake-up too, for nothing."""
        del event
        yield from ()

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
