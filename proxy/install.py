"""Puts our layers in the places where mitmproxy's own layers look for their parts."""

import html
from collections.abc import Callable
from typing import Any

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers import tls as tls_layers
from mitmproxy.proxy.layers import websocket as websocket_layers
from mitmproxy.proxy.layers.http import _http1, _http2

from proxy import core, fields, http_sides, streams
from proxy.tls_layers import ClientTls, ServerTls
from proxy.websockets import GatewayWebsocket

type ErrorPage = Callable[[int, str], bytes]


def _plain_page(status: int, message: str) -> bytes:
    return f"<!doctype html><title>{status}</title><p>{html.escape(message)}</p>".encode()


def install(error_page: ErrorPage = _plain_page) -> None:
    """Replace mitmproxy's layers by ours in this process; calling it again only changes the error page."""
    for place, name, ours in _PLACES:
        setattr(place, name, ours)

    def error_response(status_code: int, message: str = "") -> bytes:
        headers = http.Headers(Connection="close", Content_Type="text/html; charset=utf-8", Cache_Control="no-store")
        whole: bytes = http1.assemble_response(http.Response.make(status_code, error_page(status_code, message), headers))  # type: ignore[no-untyped-call]
        return whole

    _http1.make_error_response = error_response
    setattr(_http2, "format_error", error_page)  # noqa: B010 - mypy takes the name for private to its module


def _take_as_made(_message: http.MessageData) -> None:
    """Make a request or response without mitmproxy's debug check of each field's type.

    Its parsers and ours are typed, and the check, which interprets annotations each time, cost a tenth of a request.
    """


_PLACES: tuple[tuple[Any, str, Any], ...] = (
    (layer.Layer, "handle_event", core.handle_event),
    (tls_layers, "ServerTLSLayer", ServerTls),
    (tls_layers, "ClientTLSLayer", ClientTls),
    (http_layers, "HttpStream", streams.GatewayStream),
    (http_layers, "HttpLayer", streams.GatewayHttp),
    (http_layers, "Http1Server", http_sides.GatewayHttp1Server),
    (http_layers, "Http2Server", http_sides.GatewayHttp2Server),
    (http_layers, "Http1Client", http_sides.GatewayHttp1Client),
    (http_layers, "Http2Client", http_sides.GatewayHttp2Client),
    (_http1, "ChunkedReader", http_sides.WithoutTrailers),
    (websocket_layers, "WebsocketLayer", GatewayWebsocket),
    (http.MessageData, "__post_init__", _take_as_made),
    (http.Headers, "get_all", fields.get_all),
    (http.Headers, "get", fields.get),
    (http.Headers, "__contains__", fields.contains),
)
"""Where mitmproxy looks a class or method up, under which name, and what it finds there from now on."""
