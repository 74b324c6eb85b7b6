"""mitmproxy's HTTP layers with the limits of a gateway: bodies and headers have a size, connections an end."""

import time
from collections.abc import Generator
from typing import Any

from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as mitm
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)  # fmt: skip
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook

from proxy.flowing import Step, StreamWeigher
from proxy.upstream import FORBIDDEN

type Commands[T] = Generator[commands.Command, Any, T]

REFUSED_BODY_BYTES = 64 * 2**20
"""How much of an upload that was refused already is read and thrown away before the connection is cut."""
UPSTREAMS_KEPT = 16
"""Closed upstream connections that one client connection may remember."""
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Idempotent methods (RFC 9110, 9.2.2)."""
_CLOSED = ("server closed connection", "peer closed connection", "connection closed", "HTTP/2 connection closed")
"""How mitmproxy's layers begin to say that a site closed a connection."""


class GatewayStream(mitm.HttpStream):
    """One request and its response."""

    refused_bytes = 0
    _reused = False
    """True when the upstream connection has answered an earlier request, so that its site may have closed it meanwhile."""
    _tried_again = False
    _waking = False

    def make_server_connection(self) -> Commands[bool]:
        """Get an upstream connection; a target that may not be connected to gets our page instead of an error."""
        flow = self.flow
        server, target = flow.server_conn, (flow.request.host, flow.request.port)
        connection, error = yield mitm.GetHttpConnection(target, flow.request.scheme == "https", server.via, server.transport_protocol)
        if not error:
            self.context.server = flow.server_conn = connection
            self._reused = getattr(connection, "answered", False)
            return True
        if not error.startswith(FORBIDDEN) or flow.response is not None:
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, error, ErrorCode.CONNECT_FAILED))
            return False
        flow.response = self.context.options.refuse_target(flow)
        if self.client_state == self.state_done:
            flow.response.timestamp_start = time.time()
            yield HttpResponseHeadersHook(flow)
            yield from self.send_response()
        return False

    def start_request_stream(self) -> Commands[None]:
        """Send the request's head; when the target is refused, the body is read and thrown away before our page goes out."""
        yield from super().start_request_stream()
        if self.client_state == self.state_errored and self.flow.response is not None and self.flow.error is None:
            self.client_state = self.state_consume_request_body

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands[None]:
        """Take an answer's head, and note that this connection has answered."""
        self.context.server.answered = True
        yield from super().state_wait_for_response_headers(event)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands[None]:
        """Ask once more on a new connection when the site had closed the old one; every other error ends the exchange."""
        if self._may_try_again(event):
            self._tried_again = True
            if (yield from self.make_server_connection()):
                request = self.flow.request
                content = request.data.content
                yield mitm.SendHttp(RequestHeaders(self.stream_id, request, end_stream=not content), self.context.server)
                if content:
                    yield mitm.SendHttp(RequestData(self.stream_id, content), self.context.server)
                yield mitm.SendHttp(RequestEndOfMessage(self.stream_id), self.context.server)
            return
        yield from super().handle_protocol_error(event)

    def _may_try_again(self, event: RequestProtocolError | ResponseProtocolError) -> bool:
        """Return whether asking again is safe and may help.

        RFC 9110, 9.2.2 and RFC 9112, 9.3.1: a request whose repetition does no harm may be sent again when its
        connection, used before, closes before any part of the answer came.
        """
        return (
            isinstance(event, ResponseProtocolError)
            and self._reused
            and not self._tried_again
            and self.client_state == self.state_done
            and self.server_state == self.state_wait_for_response_headers
            and self.flow.response is None
            and not self.flow.request.stream
            and not self.flow.request.trailers
            and event.message.startswith(_CLOSED)
            and self.flow.request.data.method in _REPEATABLE
        )

    def _handle_event(self, event: events.Event) -> Commands[None]:
        """Take events of the message; also the time at which a streamed answer is to be looked at again."""
        if isinstance(event, events.Wakeup):
            self._waking = False
            if self.server_state == self.state_stream_response_body:
                yield from self._pass_on(self.flow.metadata["stream"].tick())
            return
        yield from super()._handle_event(event)

    def state_stream_response_body(self, event: events.Event) -> Commands[None]:
        """Pass an answer on as it comes; one with words in it only as far as they are weighed."""
        weigher: StreamWeigher | None = self.flow.metadata.get("stream")
        if weigher is None or not isinstance(event, ResponseData | ResponseEndOfMessage):
            yield from super().state_stream_response_body(event)
        elif isinstance(event, ResponseData):
            yield from self._pass_on(weigher.feed(event.data))
        else:
            step = weigher.end()
            yield from self._pass_on(step)
            if not step.cut:
                yield from self.send_response(already_streamed=True)

    def _pass_on(self, step: Step) -> Commands[None]:
        response = self.flow.response
        assert response is not None
        if step.data:
            assert callable(response.stream)
            response.stream(step.data)  # counts
            yield mitm.SendHttp(ResponseData(self.stream_id, step.data), self.context.client)
        if step.cut:
            # The site first: its connection must not be taken for a free one.
            yield mitm.SendHttp(RequestProtocolError(self.stream_id, "stopped by the filter", ErrorCode.CANCEL), self.context.server)
            yield from self.send_response(already_streamed=True)
        elif step.wake is not None and not self._waking:
            self._waking = True
            yield commands.RequestWakeup(step.wake)

    def state_consume_request_body(self, event: events.Event) -> Commands[None]:
        """Read a body that a rule wants to see; over the limit it is weighed as far as it came and streamed on."""
        flow = self.flow
        if isinstance(event, RequestData):
            if flow.response is not None:
                # Refused already: the rest of the upload is read, for a browser sends it before it looks at the
                # answer, and thrown away.
                self.refused_bytes += len(event.data)
                if self.refused_bytes > REFUSED_BODY_BYTES:
                    yield mitm.SendHttp(ResponseProtocolError(self.stream_id, "upload refused", ErrorCode.KILL), self.context.client)
                    self.client_state = self.server_state = self.state_errored
                return
            limit = flow.metadata.get("request_limit")
            if limit is None:
                self.context.options.unannounced_body(flow)
                if flow.request.stream:
                    yield from self.start_request_stream()
                    if self.client_state == self.state_stream_request_body:
                        yield from self.state_stream_request_body(event)
                    return
                if flow.response is not None:
                    return
                limit = flow.metadata["request_limit"]
            buffer = self.request_body_buf
            buffer += event.data
            if len(buffer) > limit:
                body = bytes(buffer)
                buffer.clear()  # type: ignore[no-untyped-call]
                self.context.options.weigh_request(flow, body)
                if flow.response is not None:
                    return
                flow.request.stream = True
                yield from self.start_request_stream()
                if self.client_state == self.state_stream_request_body:
                    yield from self.state_stream_request_body(RequestData(self.stream_id, body))
            return
        yield from super().state_consume_request_body(event)

    def state_consume_response_body(self, event: events.Event) -> Commands[None]:
        """Read a page that a rule wants to see; over the limit its beginning is weighed and the rest streamed."""
        if isinstance(event, ResponseData):
            buffer = self.response_body_buf
            buffer += event.data
            flow = self.flow
            assert flow.response is not None
            if "response_sniff" in flow.metadata:
                start = bytes(buffer)
                if self.context.options.sniff_response(flow, start):
                    yield from self._stream_answer(start)
                    return
            limit = flow.metadata.get("response_limit")
            if limit is not None and len(buffer) > limit:
                body = bytes(buffer)
                buffer.clear()  # type: ignore[no-untyped-call]
                replacement: http.Response | None = self.context.options.weigh_response(flow, body)
                if replacement is not None:
                    flow.response = replacement
                    yield from self.send_response()
                    # The rest of the page still arrives, on a connection that others may share; nobody reads it.
                    self.server_state = self.state_errored
                    return
                yield from self._stream_answer(body)
            return
        yield from super().state_consume_response_body(event)

    def _stream_answer(self, body: bytes) -> Commands[None]:
        """Send what was held of an answer and let the rest follow as it comes."""
        assert self.flow.response is not None
        self.response_body_buf.clear()  # type: ignore[no-untyped-call]
        self.flow.response.stream = True
        yield from self.start_response_stream()
        yield from self.state_stream_response_body(ResponseData(self.stream_id, body))


class GatewayHttp(mitm.HttpLayer):
    """The HTTP layer of one client connection, or of one tunnel in it."""

    def make_stream(self, stream_id: int) -> Commands[None]:
        """Start a stream of ours."""
        stream = self.streams[stream_id] = GatewayStream(self.context.fork(), stream_id)
        yield from self.event_to_child(stream, events.Start())

    def get_connection(self, event: mitm.GetHttpConnection, *, reuse: bool = True) -> Commands[None]:
        """Find or open an upstream connection, after forgetting those that ended.

        mitmproxy remembers every upstream connection of a client for as long as the client stays.
        """
        if len(self.connections) > UPSTREAMS_KEPT:
            self._forget_closed()
        yield from super().get_connection(event, reuse=reuse)

    def _forget_closed(self) -> None:
        used: set[Connection] = {self.context.client, self.context.server}
        used.update(stream.context.server for stream in self.streams.values())
        used.update(self.waiting_for_establishment)
        for conn in [c for c in self.connections if c.state is ConnectionState.CLOSED and c not in used]:
            del self.connections[conn]
