"""Stands before every route: known host names only, small bodies only, no cross-site changes, careful headers."""

import secrets

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analyser.faults import trace
from api.console import Console
from api.crosssite import SAFE_METHODS, comes_from_elsewhere
from api.errors import error_response
from api.hosts import Door, door_of

log = structlog.get_logger()

# Everything a page uses lies on the console itself; there is no inline script or style, so none is allowed.
CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
PUBLIC_PATHS = ("/help", "/ca.crt", "/proxy.pac", "/unblock", "/continue", "/static/")
"""What the gateway's own host offers to everybody; the console offers it too."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """ASGI middleware: the checks that hold for every route, also for those written later."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self.app = app
        self.console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then hand it on with careful response headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        careful = _careful(send, https=self.console.settings.https)
        refusal = self._refusal(scope)
        if refusal is None and scope["method"] not in SAFE_METHODS:
            body = await _bounded_body(Headers(scope=scope), receive, self.console.settings.body_limit)
            if body is None:
                refusal = 413, f"The request is larger than {self.console.settings.body_limit // 1024} kB; send less text."
            else:
                receive = _replay(body, receive)
        if refusal is not None:
            response = error_response(Request(scope), *refusal)
            await response(scope, receive, careful)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await careful(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001  (whatever it is, the person gets a sentence)
            reference = secrets.token_hex(4)
            # The route's pattern, not the URL, which may hold names.
            route = getattr(scope.get("route"), "path", "unknown")
            log.error("request failed", reference=reference, method=scope["method"], route=route, **trace(error))  # noqa: TRY400
            if started:
                # The answer can't be taken back; ending the connection tells the client that it is not whole.
                raise ConnectionAbortedError from None
            sentence = f"Something failed inside the console; its log says what, under {reference}."
            await error_response(Request(scope), 500, sentence)(scope, receive, careful)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        door = door_of(headers.get("host", ""), self.console.own_hosts(), self.console.names)
        state["door"] = door
        if door is Door.UNKNOWN:
            return 421, "This console does not answer under that name; use its address, or add the name to its settings."
        if door is Door.OWN_HOST:
            path = scope["path"]
            if path != "/" and not any(path == public or (public.endswith("/") and path.startswith(public)) for public in PUBLIC_PATHS):
                return 404, "The gateway has no such page; its help page is /help."
            # Forms of block pages come from the blocked site's origin; they carry a signed token instead.
            return None
        if "authorization" not in headers and comes_from_elsewhere(
            scope["method"], headers, "https" if self.console.settings.https else "http"
        ):
            return 403, "The change was asked for by a page of another site, so nothing was done; open the console itself and try again."
        return None


def _careful(send: Send, *, https: bool) -> Send:
    async def send_carefully(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            # Nearly every page names a person; what may be kept says so itself.
            headers.setdefault("Cache-Control", "no-store")
            if https:
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        await send(message)

    return send_carefully


async def _bounded_body(headers: Headers, receive: Receive, limit: int) -> bytes | None:
    """Read the whole body, or return None when it is larger than the limit."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_again
