"""Both sides of HTTP: mitmproxy's connections to clients and sites, with bounds on what they hold."""

import re

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestHeaders, RequestTrailers, ResponseTrailers

from proxy.core import HoldClient

HEADER_BYTES = 128 * 1024
"""Longest block of header lines of one request or response; also of a chunk's header, and of trailers."""
HELD_BYTES = 2**20
"""Bytes held for an HTTP/2 client or site that does not open its window, before reading from the other side stops; also
bytes of further requests that an HTTP/1 client may send before it has its answer."""
MOST_INTERIM = 32
"""Interim answers on one connection; one more counts as the final answer, which no browser understands."""
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d(?=[ \r\n])")


class WithoutTrailers(ChunkedReader):
    """Reads chunks, those that came together as one; trailers are read and thrown away, which a proxy may do (RFC 9110, 6.5.1)."""

    _next: h11.EndOfMessage | h11.ProtocolError | None = None
    """What stood behind the chunks that were read last."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Read what the buffer holds of the chunks; each piece that is handed on costs as much as a large one."""
        pieces: list[bytes] = []
        while self._next is None:
            try:
                event = super().__call__(buf)
            except h11.ProtocolError as error:
                self._next = error
                break
            if event is None:
                break
            if isinstance(event, h11.EndOfMessage):
                self._next = h11.EndOfMessage()
            else:
                pieces.append(bytes(event.data))
        if pieces:
            return h11.Data(data=b"".join(pieces))
        if isinstance(self._next, h11.ProtocolError):
            raise self._next
        return self._next


class _Bounded(_http1.Http1Connection):
    """Refuses header blocks, chunk headers, trailers and queues of requests without end."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        held = len(self.buf)
        if held > HEADER_BYTES and (held > HELD_BYTES or self.state != self.wait):
            self.state = self.done
            self.buf = ReceiveBuffer()
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
        if not self.h2_conn.stream_buffers and not self._holding:
            return
        waiting = _waiting(self)
        if waiting > HELD_BYTES and not self._holding:
            self._holding = True
            yield HoldUpstream(True)
        elif self._holding and waiting < HELD_BYTES // 4:
            self._holding = False
            yield HoldUpstream(False)


class GatewayHttp2Client(_http2.Http2Client):
    """HTTP/2 towards a site; what waits here for a site that takes an upload slowly stays bounded."""

    _holding = False

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        if not self.h2_conn.stream_buffers and not self._holding:
            return
        waiting = _waiting(self) if self.conn.connected else 0
        if waiting > HELD_BYTES:
            self._holding = True
            yield HoldClient(True)
        elif self._holding and waiting < HELD_BYTES // 4:
            self._holding = False
            yield HoldClient(False)


def _waiting(side: _http2.Http2Connection) -> int:
    return sum(len(chunk.data) for chunks in side.h2_conn.stream_buffers.values() for chunk in chunks)


class GatewayHttp1Server(_Bounded, _http1.Http1Server):
    """HTTP/1 towards a client."""

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """Read the head of a request; empty lines before it count for nothing (RFC 9112, 2.2)."""
        data = self.buf._data  # noqa: SLF001 - it has no other view
        if data.startswith((b"\r", b"\n")):
            self.buf.maybe_extract_at_most(len(data) - len(data.lstrip(b"\r\n")))
        yield from super().read_headers(event)

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Send an answer, without its trailers."""
        if not isinstance(event, ResponseTrailers):
            yield from super().send(event)


class GatewayHttp1Client(_Bounded, _http1.Http1Client):
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

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Send a request without its trailers; a body from HTTP/2 without a length goes in chunks, or it would read as a request."""
        if isinstance(event, RequestTrailers):
            return
        if isinstance(event, RequestHeaders) and not event.end_stream and event.request.is_http2:
            request = event.request
            if "content-length" not in request.headers:
                request = request.copy()
                request.headers["transfer-encoding"] = "chunked"
                event = RequestHeaders(event.stream_id, request, end_stream=False)
        yield from super().send(event)
