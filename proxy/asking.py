"""Hooks of requests: decide by the address, then by what was typed, before anything goes upstream."""

import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable

import msgspec
from mitmproxy import http

from blocklists.url import UrlError
from proxy import blockpage, bodies
from proxy.hooks import BAD, HTML, NoRulesetError, guarded
from proxy.requests import BadRequestError, names_sealed, read_request, take_headers
from proxy.signin import SignIn
from proxy.talk import TalkHooks
from proxy.visit import Exchange
from rules import forms
from rules.assistants import ASSISTANTS
from rules.decide import decide
from rules.decision import Action, Decision, Reason
from rules.request import Subject, TypedText
from rules.ruleset import Ruleset

_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH", b"QUERY"})


class RequestHooks(SignIn, TalkHooks):
    """Decides about requests."""

    console: tuple[str, int]
    _said_busy = False

    def refuse_target(self, flow: http.HTTPFlow) -> http.Response:
        """Return the page for a host whose name leads into a private network, found out only when it was looked up."""
        exchange: Exchange = flow.metadata["exchange"]
        exchange.decision = Decision(
            Action.BLOCK, Reason.PRIVATE_ADDRESS, "filter-bypass", 2, rule="gateway.private_targets", categories=("filter-bypass",)
        )
        flow.request.stream = False
        return self._page(exchange)

    @guarded
    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Decide about a request as soon as its headers are there, before anything goes upstream."""
        if flow.error is not None:
            return None  # malformed; the error hook writes it down
        visit = self._visit(flow)
        exchange = self._exchange(flow, visit)
        self.health.requests += 1
        if self.spool.full:
            self._refuse_busy(flow, exchange)
            return None
        self._said_busy = False
        if visit.unchecked:
            raise NoRulesetError
        ruleset = exchange.ruleset = self._ruleset()
        try:
            headers = take_headers(flow.request)
            if visit.outer_host is None:
                own = flow.request.data.host in ruleset.policy.own_hosts
                wait = b"proxy-authorization" in headers or ruleset.policy.roster.sign_in_required(visit.address)
                if wait and not (own and b"proxy-authorization" not in headers):
                    return self._signed_in(flow, exchange, headers, ruleset, own, lambda: self._decide(flow, exchange, headers))
                visit.signed_in(None, None)
            self._decide(flow, exchange, headers)
        except BadRequestError:
            self._answer(flow, exchange, BAD, blockpage.respond(400, blockpage.error_page(400, ""), HTML))
        return None

    def _refuse_busy(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer 503 while events can't be written. A counter stands for these requests: their events would fill the memory."""
        self.health.refused_busy += 1
        exchange.fault = "events can't be written"
        flow.response = blockpage.respond(503, blockpage.fault_page(exchange.id), HTML)
        self._close(exchange)
        if not self._said_busy:
            self._said_busy = True
            self.health.faults += 1
            site = self.live.ruleset.policy.site if self.live.ruleset is not None else ""
            self.spool.put(self.recorder.fault("Events could not be written fast enough, so requests were refused.", site))

    def _decide(self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes]) -> None:
        ruleset = exchange.ruleset
        assert ruleset is not None
        try:
            request = exchange.request = read_request(flow, headers, exchange.visit, exchange, ruleset)
        except (BadRequestError, UrlError):
            self._answer(flow, exchange, BAD, blockpage.respond(400, blockpage.error_page(400, ""), HTML))
            return
        exchange.subject = request.subject
        length = headers.get(b"content-length")
        if length is not None and length.isdigit():
            exchange.bytes_in = int(length)
        decision = exchange.decision = decide(request, ruleset, self.live.state)
        if exchange.search is not None and self._private(exchange):
            exchange.search = None
        if decision.action.stops:
            self._block(flow, exchange)
        elif decision.reason is Reason.OWN_HOST:
            exchange.own = True
            self._forward(flow, request.subject)
        else:
            self._choose_reading(flow, exchange, headers, ruleset)

    def _choose_reading(self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes], ruleset: Ruleset) -> None:
        """Hold a body back only when rules want to read what was typed; stream every other."""
        request = flow.request
        if b"content-length" not in headers and b"transfer-encoding" not in headers and request.data.method not in _BODY_METHODS:
            return
        limit = ruleset.policy.limits.form_bytes
        kind = _readable_kind(headers.get(b"content-type", b"").decode("latin-1"))
        # However long it says it is: what goes upstream waits until the first `form_bytes` are weighed, then all of it streams.
        if ruleset.policy.text.typed and limit and forms.reads(kind) and not self._private(exchange):
            exchange.request_type = kind
            exchange.request_coding = headers.get(b"content-encoding", b"").decode("latin-1")
            flow.metadata["request_limit"] = limit
        else:
            request.stream = True

    def unannounced_body(self, flow: http.HTTPFlow) -> None:
        """Choose once more for a body that no header spoke of: HTTP/2 lets any request have one (RFC 9113, 8.1)."""
        try:
            exchange: Exchange = flow.metadata["exchange"]
            assert exchange.ruleset is not None
            self._choose_reading(flow, exchange, {b"content-length": b"", **take_headers(flow.request)}, exchange.ruleset)
        except Exception as error:  # noqa: BLE001 - fail closed
            self.fail(flow, "unannounced_body", error)

    @guarded
    def request(self, flow: http.HTTPFlow) -> None:
        """Decide again with the words of a form, once its body is there."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is None or flow.response is not None:
            return
        content = flow.request.data.content
        if content == b"" and exchange.bytes_in:
            # A length and no body: upstream, the next request would be taken for the body (RFC 9113, 8.1.1: malformed).
            self._answer(flow, exchange, BAD, blockpage.respond(400, blockpage.error_page(400, ""), HTML))
        elif content and "request_limit" in flow.metadata and not flow.request.stream:
            self._weigh_form(flow, exchange, content)

    def weigh_request(self, flow: http.HTTPFlow, body: bytes) -> None:
        """Decide about the beginning of a form that is too long to be held."""
        try:
            self._weigh_form(flow, flow.metadata["exchange"], body)
        except Exception as error:  # noqa: BLE001 - fail closed
            self.fail(flow, "weigh_request", error)

    def _weigh_form(self, flow: http.HTTPFlow, exchange: Exchange, body: bytes) -> None:
        ruleset, request = exchange.ruleset, exchange.request
        assert ruleset is not None
        assert request is not None
        exchange.bytes_in = max(exchange.bytes_in, len(body))
        limit = ruleset.policy.limits.form_bytes
        if exchange.request_coding and bodies.unreadable(body, exchange.request_coding):
            exchange.decision = Decision(Action.BLOCK, Reason.UNREADABLE, level=1, rule=f"Content-Encoding: {exchange.request_coding[:40]}")
            self._block(flow, exchange)
            return
        plain = bodies.readable(body, exchange.request_coding, limit) if exchange.request_coding else body
        typed = forms.typed_texts(plain, exchange.request_type, prompt=ASSISTANTS.covers(request.url), limit=limit)
        search = ruleset.searches.term_of_body(request.url, plain[:limit], exchange.request_type)
        if search is not None:
            exchange.search = search if not names_sealed(search.text, ruleset) else None
            typed = (TypedText(search.text, "search"), *typed)
        if not typed:
            return
        exchange.request = msgspec.structs.replace(request, typed=request.typed + typed)
        exchange.decision = decide(exchange.request, ruleset, self.live.state)
        if exchange.decision.action.stops:
            self._block(flow, exchange)

    def _forward(self, flow: http.HTTPFlow, subject: Subject) -> None:
        """Send a request for the gateway's own pages to the console, with who asks, signed."""
        facts = {
            "user": subject.user, "group": subject.group, "room": subject.room, "address": subject.client_address, "time": time.time(),
            "source": subject.identity_source.value,
            # Where this client reaches the gateway, for its PAC file: the console may know no better than "every address".
            "gateway": flow.client_conn.sockname[0].partition("%")[0].removeprefix("::ffff:"),
        }  # fmt: skip
        text = base64.urlsafe_b64encode(msgspec.json.encode(facts)).rstrip(b"=")
        signature = hmac.new(self._key, text, hashlib.sha256).hexdigest().encode()
        data = flow.request.data
        if flow.request.is_http2 and not flow.request.headers.get("host"):
            flow.request.headers["host"] = flow.request.authority
        flow.request.headers["X-Schoolgate-Subject"] = (text + b"." + signature).decode()
        data.host, data.port = self.console
        data.scheme = b"http"
        flow.request.stream = True


def _readable_kind(media_type: str) -> str:
    """Return the type by which a body is read; of several, the first that can hold typed words: a site may take any of them."""
    if "," not in media_type or forms.reads(media_type):
        return media_type
    return next((kind for part in media_type.split(",") if forms.reads(kind := part.strip())), media_type)
