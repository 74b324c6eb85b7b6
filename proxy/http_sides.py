"""Both sides of HTTP: mitmproxy's connections to clients and sites, with bounds on what they hold."""

import re

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._base import ReceiveHttp

HEADER_BYTES = 128 * 1024
"""Longest block of header lines of one request or response."""
HELD_BYTES = 2**20
"""Bytes held for an HTTP/2 client that does not open its window, before reading from its sites stops."""
MOST_INTERIM = 32
"""Interim answers on one connection; one more counts as the final answer, which no browser understands."""
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d(?=[ \r\n])")


class _CappedHeaders(_http1.Http1Connection):
    """Refuses header blocks without end."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        if self.state == self.read_headers and len(self.buf) > HEADER_BYTES:
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            if self.stream_id is not None and self.request is not None:
                yield ReceiveHttp(self.ReceiveProtocolError(self.stream_id, "header too long", self.ReceiveProtocolError.code))


class HoldUpstream(commands.Command):
    """Asks to stop reading from the sites of this client, or to go on."""

    def __init__(self, hold: bool) -> None:
        self.hold = hold


class GatewayHttp2Server(_http2.Http2Server):
    """HTTP/2 towards a client; what its closed windows keep here stays bounded."""

    _holding = False

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        buffers = self.h2_conn.stream_buffers
        if not buffers and not self._holding:
            return
        waiting = sum(len(chunk.data) for chunks in buffers.values() for chunk in chunks)
        if waiting > HELD_BYTES and not self._holding:
            self._holding = True
            yield HoldUpstream(True)
        elif self._holding and waiting < HELD_BYTES // 4:
            self._holding = False
            yield HoldUpstream(False)


class GatewayHttp1Server(_CappedHeaders, _http1.Http1Server):
    """HTTP/1 towards a client."""


class GatewayHttp1Client(_CappedHeaders, _http1.Http1Client):
    """HTTP/1 towards a site."""

    _interim = 0

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """Read the head of the final answer; interim ones before it (RFC 9110, 15.2) are read and thrown away."""
        if isinstance(event, events.DataReceived) and self.request is not None:
            while self._interim < MOST_INTERIM and _INTERIM.match(self.buf._data):  # noqa: SLF001 - it has no other view
                if not self.buf.maybe_extract_lines():
                    return
                self._interim += 1
        yield from super().read_headers(event)
