"""The hooks: a flow becomes a request, the rules decide, the decision is applied and written down.

Thin on purpose. Every hook fails closed: whatever goes wrong in one, the answer is a 503 page of ours, an event and a
counter, never an unfiltered byte.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.tls import ClientHelloData, TlsData

from blocklists.url import UrlError, canonicalise
from proxy import blockpage, bodies
from proxy.certificates import Authority
from proxy.health import Health
from proxy.identity import Identity, parse_basic
from proxy.live import Live
from proxy.records import Recorder, new_id
from proxy.requests import BadRequestError, host_of, read_request, take_headers
from proxy.spool import Spool
from proxy.tls import ClientTls, UpstreamTls
from proxy.upstream import FORBIDDEN
from proxy.visit import Exchange, Visit
from rules import tokens
from rules.decide import decide
from rules.decision import Action, Decision, Reason
from rules.forms import form_fields, typed_texts
from rules.page import is_text, visible_text
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset

if TYPE_CHECKING:
    from OpenSSL import SSL

    from proxy.connection import ClientSide

log = structlog.get_logger()

_PAGE_REASONS = frozenset({Reason.DEFAULT, Reason.TYPED_TEXT, Reason.LIST})
"""Decisions after which the text of the answer can still change something (see the order in `rules.decide`)."""
_PAGE_USES = frozenset({"", "document", "iframe", "frame", "embed", "object"})
_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH", b"QUERY"})
_ANSWER_HEADERS = frozenset({b"content-type", b"content-length", b"content-encoding", b"alt-svc", b"transfer-encoding"})
_BAD = Decision(Action.BLOCK, Reason.BAD_URL, level=1)


def _guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a flow hook fail closed, whether it answers at once or later."""

    def guarded(self: "GatewayAddon", flow: http.HTTPFlow) -> Awaitable[None] | None:
        try:
            wait = hook(self, flow)
        except Exception as error:  # noqa: BLE001 - fail closed, whatever it was
            self.fail(flow, hook.__name__, error)
            return None
        return None if wait is None else self.finish(flow, hook.__name__, wait)

    return guarded


class GatewayAddon:
    """The hooks of one worker and what they share."""

    def __init__(
        self, live: Live, spool: Spool, health: Health, recorder: Recorder, authority: Authority, upstream_tls: UpstreamTls,
        key: bytes, console: tuple[str, int],
    ) -> None:  # fmt: skip
        self.live = live
        self.spool = spool
        self.health = health
        self.recorder = recorder
        self.client_tls = ClientTls(authority)
        self.upstream_tls = upstream_tls
        self.identity = Identity()
        self._key = key
        self._console = console

    # --- tunnels ----------------------------------------------------------------------------------------------------

    @_guarded
    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Open a tunnel to a host and port, unless the port is closed or the person has to sign in first."""
        visit = self._visit(flow)
        ruleset = self._ruleset()
        headers = take_headers(flow.request)
        exchange = self._exchange(flow, visit)
        try:
            host = host_of(_authority_host(flow.request.data.host))
            url = canonicalise(f"https://{host}:{flow.request.data.port}/")
        except (BadRequestError, UrlError):
            self._answer(flow, exchange, _BAD, blockpage.respond(400, blockpage.error_page(400, ""), "text/html; charset=utf-8"))
            return None

        def go_on() -> None:
            exchange.request = Request(url, visit.who(ruleset), exchange.started, "CONNECT")
            exchange.subject = exchange.request.subject
            fault = ruleset.policy.safety.fault_of(exchange.request)
            if fault is not None and fault[0] is Reason.UNSAFE_PORT:
                refused = Decision(Action.BLOCK, fault[0], "filter-bypass", level=2, rule=fault[1], categories=("filter-bypass",))
                page = blockpage.respond(403, blockpage.error_page(403, ""), "text/html; charset=utf-8")
                self._answer(flow, exchange, refused, page)
                return
            visit.outer_host, visit.outer_port = host, flow.request.data.port
            self._close(exchange)

        return self._signed_in(flow, exchange, headers, ruleset, url.host in ruleset.policy.own_hosts, go_on)

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Decide about the host before anybody upstream hears of it: splice, ask upstream first, or answer alone."""
        client = data.context.client
        visit: Visit | None = getattr(client, "visit", None)
        try:
            ruleset = self._ruleset()
            if visit is None or visit.outer_host is None or self.spool.full:
                return
            server = data.context.server
            visit.sni = host_of(client.sni) if client.sni else None
            host = visit.sni or visit.outer_host
            url = canonicalise(f"https://{host}:{visit.outer_port}/")
            claimed = (visit.outer_host,) if visit.outer_host != host else ()
            request = Request(url, visit.who(ruleset), time.time(), claimed_hosts=claimed)
            decision = decide(request, ruleset, self.live.state)
            if decision.action.stops or decision.reason is Reason.OWN_HOST:
                return
            server.sni = host.strip("[]")
            if visit.sni == visit.outer_host and ruleset.policy.splices(host):
                exchange = Exchange(new_id(), request.at, visit)
                exchange.request, exchange.ruleset, exchange.subject, exchange.decision = request, ruleset, request.subject, decision
                visit.spliced = exchange
                data.ignore_connection = True
            else:
                data.establish_server_tls_first = True
        except (BadRequestError, UrlError):
            # The request inside will be refused; until then nobody upstream is contacted.
            return
        except Exception as error:  # noqa: BLE001 - fail closed: no upstream connection, and a page that says so
            self._count("tls_clienthello", error)

    def tls_start_client(self, data: TlsData) -> None:
        """Show a certificate of ours for the name that the client wants; without one the connection is closed."""
        visit: Visit | None = getattr(data.context.client, "visit", None)
        if visit is None:
            return
        try:
            self.client_tls.start(data, (visit.sni or visit.outer_host or "").strip("[]"))
        except Exception as error:  # noqa: BLE001 - no certificate, no connection
            self._count("tls_start_client", error)

    def tls_start_server(self, data: TlsData) -> None:
        """Verify the site; without that the connection is closed."""
        try:
            self.upstream_tls.start(data)
        except Exception as error:  # noqa: BLE001 - nothing verified, no connection
            self._count("tls_start_server", error)

    def keep_session(self, server: Server, connection: "SSL.Connection") -> None:
        """Keep a verified TLS session for the next connection to the same place."""
        self.upstream_tls.keep_session(server, connection)

    def tls_failed_client(self, data: TlsData) -> None:
        """Note a device or app that does not accept our certificate."""
        visit: Visit | None = getattr(data.context.client, "visit", None)
        if visit is not None and visit.outer_host is not None and (data.conn.error or "") != "connection closed early":
            self.health.pinned(visit.sni or visit.outer_host)

    # --- requests ---------------------------------------------------------------------------------------------------

    @_guarded
    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Decide about a request as soon as its headers are there, before anything goes upstream."""
        if flow.error is not None:
            return None  # malformed; the error hook writes it down
        visit = self._visit(flow)
        exchange = self._exchange(flow, visit)
        self.health.requests += 1
        if self.spool.full:
            self.health.refused_busy += 1
            exchange.fault = "the event queue is full"
            flow.response = blockpage.respond(503, blockpage.fault_page(exchange.id), "text/html; charset=utf-8")
            return None
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
            self._answer(flow, exchange, _BAD, blockpage.respond(400, blockpage.error_page(400, ""), "text/html; charset=utf-8"))
        return None

    def _decide(self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes]) -> None:
        ruleset = exchange.ruleset
        assert ruleset is not None
        try:
            request = exchange.request = read_request(flow, headers, exchange.visit, exchange, ruleset)
        except (BadRequestError, UrlError):
            self._answer(flow, exchange, _BAD, blockpage.respond(400, blockpage.error_page(400, ""), "text/html; charset=utf-8"))
            return
        exchange.subject = request.subject
        length = headers.get(b"content-length")
        if length is not None and length.isdigit():
            exchange.bytes_in = int(length)
        decision = exchange.decision = decide(request, ruleset, self.live.state)
        if decision.action.stops:
            self._block(flow, exchange)
        elif decision.reason is Reason.OWN_HOST:
            self._forward(flow, request.subject)
        else:
            self._choose_reading(flow, exchange, headers, ruleset)

    def _choose_reading(self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes], ruleset: Ruleset) -> None:
        """Hold a body back only when rules want to read what was typed; stream every other."""
        request = flow.request
        if b"content-length" not in headers and b"transfer-encoding" not in headers and request.data.method not in _BODY_METHODS:
            return
        limit = ruleset.policy.limits.form_bytes
        kind = headers.get(b"content-type", b"")
        if ruleset.policy.text.typed and limit and bodies.media_type(kind) in bodies.FORM_TYPES and exchange.bytes_in <= 4 * limit:
            exchange.request_type = kind.decode("latin-1")
            exchange.request_coding = headers.get(b"content-encoding", b"").decode("latin-1")
            flow.metadata["request_limit"] = limit
        else:
            request.stream = True

    @_guarded
    def request(self, flow: http.HTTPFlow) -> None:
        """Decide again with the words of a form, once its body is there."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is None or flow.response is not None or not exchange.request_type:
            return
        if flow.request.data.content and not flow.request.stream:
            self._weigh_form(flow, exchange, flow.request.data.content)

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
        try:
            plain = bodies.decode(body, exchange.request_coding, limit) if exchange.request_coding else body
        except bodies.UnreadableError:
            return
        typed = typed_texts(plain, exchange.request_type, limit=limit)
        search = ruleset.searches.term_of_form(request.url, dict(form_fields(plain, exchange.request_type, limit=limit)))
        if search is not None:
            exchange.search = search
            typed = (TypedText(search.text, "search"), *typed)
        if not typed:
            return
        exchange.request = msgspec.structs.replace(request, typed=request.typed + typed)
        exchange.decision = decide(exchange.request, ruleset, self.live.state)
        if exchange.decision.action.stops:
            self._block(flow, exchange)

    # --- answers ----------------------------------------------------------------------------------------------------

    @_guarded
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream the answer, unless its text has to be weighed."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        response = flow.response
        assert response is not None
        if exchange is None:
            raise RuntimeError("an answer without a decision")
        headers = _take_answer_headers(response)
        exchange.content_type = headers.get(b"content-type", b"").decode("latin-1")
        exchange.media_type = exchange.content_type.split(";", 1)[0].strip().lower()[:100]
        length = headers.get(b"content-length")
        exchange.length = int(length) if length is not None and length.isdigit() else -1
        if exchange.decision is None or exchange.decision.action.stops or exchange.fault:
            return
        if self._reads_page(exchange, response):
            exchange.coding = headers.get(b"content-encoding", b"").decode("latin-1")
            assert exchange.ruleset is not None
            flow.metadata["response_limit"] = exchange.ruleset.policy.limits.page_bytes
        elif exchange.length >= 0:
            response.stream = True
        else:
            exchange.counter = bodies.Counter()
            response.stream = exchange.counter

    def _reads_page(self, exchange: Exchange, response: http.Response) -> bool:
        """Weigh pages that somebody looks at, whole ones only, where the policy wants it and it can still matter."""
        decision, ruleset, request = exchange.decision, exchange.ruleset, exchange.request
        if decision is None or ruleset is None or request is None or response.status_code == 206 or response.status_code < 200:
            return False
        if decision.reason not in _PAGE_REASONS or not (exchange.page or exchange.wanted in _PAGE_USES) or exchange.length == 0:
            return False
        if decision.reason is Reason.LIST and decision.action is not Action.ALLOW:
            return False
        policy = ruleset.policy
        return policy.limits.page_bytes > 0 and is_text(exchange.content_type) and policy.reads_text(request.url.host)

    @_guarded
    def response(self, flow: http.HTTPFlow) -> None:
        """Weigh a page that was held back, then write the exchange down."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        response = flow.response
        assert response is not None
        if exchange is None or exchange.done:
            return
        content = response.data.content
        if content and not response.stream and "response_limit" in flow.metadata:
            exchange.length = len(content)
            replacement = self._weigh_page(exchange, content)
            if replacement is not None:
                flow.response = response = replacement
                response.timestamp_start = response.timestamp_end = time.time()
        self._record(exchange, flow.request.method, response.status_code)

    def weigh_response(self, flow: http.HTTPFlow, body: bytes) -> http.Response | None:
        """Weigh the beginning of a page that is too long to be held; an answer takes the page's place."""
        exchange: Exchange = flow.metadata["exchange"]
        limit = flow.metadata.pop("response_limit")
        try:
            replacement = self._weigh_page(exchange, body[:limit])
        except Exception as error:  # noqa: BLE001 - fail closed
            self.fail(flow, "weigh_response", error)
            return flow.response
        if replacement is None and exchange.length < 0 and flow.response is not None:
            exchange.counter = bodies.Counter()
            exchange.counter.size = len(body)
        return replacement

    def _weigh_page(self, exchange: Exchange, body: bytes) -> http.Response | None:
        request, ruleset = exchange.request, exchange.ruleset
        assert request is not None
        assert ruleset is not None
        limits = ruleset.policy.limits
        try:
            plain = bodies.decode(body, exchange.coding, limits.page_bytes) if exchange.coding else body
        except bodies.UnreadableError:
            return None  # what we can't decode, no browser that came through here can either
        text = visible_text(plain, exchange.content_type, limit=limits.page_characters)
        if not text:
            return None
        weighed = msgspec.structs.replace(request, page_text=text)
        exchange.decision = decision = decide(weighed, ruleset, self.live.state)
        if decision.matches:
            exchange.page_text = text
        if not decision.action.stops:
            return None
        return self._page(exchange)

    @_guarded
    def error(self, flow: http.HTTPFlow) -> None:
        """Write down an exchange that ended without an answer: the site failed, or the person left."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        message = flow.error.msg if flow.error is not None else ""
        if exchange is None:
            exchange = self._exchange(flow, self._visit(flow))
            exchange.decision = _BAD
            self._record(exchange, flow.request.method, 400)
            return
        if FORBIDDEN in message:
            exchange.decision = Decision(
                Action.BLOCK, Reason.PRIVATE_ADDRESS, "filter-bypass", 2, rule="gateway.private_targets", categories=("filter-bypass",)
            )
        gone = "disconnect" in message or "closed by client" in message or "stream reset" in message
        status = flow.response.status_code if flow.response is not None else 0 if gone else 502
        self._record(exchange, flow.request.method, status)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Keep the last message only; mitmproxy would keep all of them for as long as the connection lasts."""
        if flow.websocket is not None:
            del flow.websocket.messages[:-1]

    # --- connections ------------------------------------------------------------------------------------------------

    def busy(self, connection: "ClientSide") -> bool:
        """True while an exchange is under way on a client connection."""
        visit: Visit | None = connection.client.visit
        return visit is not None and visit.open > 0

    def client_left(self, connection: "ClientSide") -> None:
        """Write down a connection that was let through unread."""
        visit: Visit | None = connection.client.visit
        if visit is not None and visit.spliced is not None:
            exchange = visit.spliced
            exchange.bytes_in, exchange.length = connection.bytes_in, connection.bytes_out
            self.spool.put(self.recorder.event(exchange, status=0, method="CONNECT", inspected=False))

    # --- the same for all -------------------------------------------------------------------------------------------

    def _visit(self, flow: http.HTTPFlow) -> Visit:
        client: Any = flow.client_conn
        if client.visit is None:
            client.visit = Visit(client.peername[0].partition("%")[0].removeprefix("::ffff:"))
        visit: Visit = client.visit
        return visit

    def _ruleset(self) -> Ruleset:
        """Return the ruleset in force; raises when there is none or it may not be used, which answers 503."""
        live = self.live
        if live.fault or live.ruleset is None:
            raise NoRulesetError
        return live.ruleset

    def _exchange(self, flow: http.HTTPFlow, visit: Visit) -> Exchange:
        exchange = Exchange(new_id(), time.time(), visit)
        visit.open += 1
        flow.metadata["exchange"] = exchange
        return exchange

    def _signed_in(
        self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes], ruleset: Ruleset, own: bool, go_on: Callable[[], None]
    ) -> Awaitable[None] | None:  # fmt: skip
        """Find out who asks, then go on; the answer to somebody who has to sign in and did not is 407."""
        visit = exchange.visit
        exchange.ruleset = ruleset
        required = ruleset.policy.sign_in_required(visit.address) and not own
        header = headers.get(b"proxy-authorization")
        credentials = parse_basic(header) if header is not None else None

        def settle(account: Any) -> None:
            visit.signed_in(account.name if account else None, account.group if account else None)
            if not account and required:
                self._ask_to_sign_in(flow, exchange, wrong=header is not None)
            else:
                go_on()

        if credentials is None:
            settle(None)
            return None
        known = self.identity.known(credentials, visit.address, self.live.state)
        if known is not None:
            settle(known or None)
            return None

        async def verify() -> None:
            settle(await self.identity.verify(credentials, visit.address, self.live.state))

        return verify()

    def _ask_to_sign_in(self, flow: http.HTTPFlow, exchange: Exchange, *, wrong: bool) -> None:
        page = blockpage.respond(407, blockpage.error_page(407, ""), "text/html; charset=utf-8")
        page.headers["Proxy-Authenticate"] = 'Basic realm="School network", charset="UTF-8"'
        exchange.subject = exchange.ruleset.policy.identify(exchange.visit.address) if exchange.ruleset is not None else None
        self._answer(flow, exchange, Decision(Action.BLOCK, Reason.AUTHENTICATION), page)
        if not wrong:
            # Every browser's first request comes without a name; that is a question, not something that happened.
            exchange.done = True

    def _block(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        flow.response = self._page(exchange)

    def _page(self, exchange: Exchange) -> http.Response:
        decision, request, ruleset = exchange.decision, exchange.request, exchange.ruleset
        assert decision is not None
        assert request is not None
        assert ruleset is not None
        policy = ruleset.policy
        subject = request.subject.user or request.subject.client_address
        url = request.url.text
        token = "" if decision.sealed else tokens.sign(self._key, url, subject, decision.action, time.time())
        category = decision.category or ""
        return blockpage.block_response(
            blockpage.Block(
                decision, url, request.url.host, exchange.id, policy.gateway.own_host, token,
                policy.title_of(category) if category else "", policy.theme_of(category) if category else "",
                exchange.wanted, exchange.accept,
            )
        )  # fmt: skip

    def _answer(self, flow: http.HTTPFlow, exchange: Exchange, decision: Decision, response: http.Response) -> None:
        """Answer at once; a CONNECT has no further hook, so it is written down here."""
        exchange.decision = decision
        flow.response = response
        if flow.request.method == "CONNECT":
            self._record(exchange, "CONNECT", response.status_code)

    def _forward(self, flow: http.HTTPFlow, subject: Subject) -> None:
        """Send a request for the gateway's own pages to the console, with who asks, signed."""
        facts = {
            "user": subject.user, "group": subject.group, "room": subject.room, "address": subject.client_address, "time": time.time(),
            "source": subject.identity_source.value,
        }  # fmt: skip
        text = base64.urlsafe_b64encode(msgspec.json.encode(facts)).rstrip(b"=")
        signature = hmac.new(self._key, text, hashlib.sha256).hexdigest().encode()
        data = flow.request.data
        if flow.request.is_http2 and not flow.request.headers.get("host"):
            flow.request.headers["host"] = flow.request.authority
        flow.request.headers["X-Schoolgate-Subject"] = (text + b"." + signature).decode()
        data.host, data.port = self._console
        data.scheme = b"http"
        flow.request.stream = True

    def _record(self, exchange: Exchange, method: str, status: int) -> None:
        if not exchange.done:
            self.spool.put(self.recorder.event(exchange, status=status, method=method))
            if exchange.decision is not None and exchange.decision.action.stops:
                self.health.blocked += 1
        self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        if exchange.visit.open > 0:
            exchange.visit.open -= 1
        exchange.done = True

    async def finish(self, flow: http.HTTPFlow, where: str, wait: Awaitable[None] | Coroutine[Any, Any, None]) -> None:
        """Wait for a slow hook, failing closed."""
        try:
            await wait
        except Exception as error:  # noqa: BLE001 - fail closed
            self.fail(flow, where, error)

    def fail(self, flow: http.HTTPFlow, where: str, error: Exception) -> None:
        """Answer with the fault page, count, and write it down."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is None:
            exchange = self._exchange(flow, self._visit(flow))
        sentence = self.live.fault if isinstance(error, NoRulesetError) else f"{type(error).__name__} in {where}"
        exchange.fault = sentence[:500]
        if isinstance(error, NoRulesetError):
            self.health.faults += 1
        else:
            self._count(where, error)
        flow.request.stream = False
        if flow.response is not None and flow.response.stream and flow.response.timestamp_end is not None:
            self._record(exchange, flow.request.method, flow.response.status_code)
            return
        flow.response = blockpage.respond(503, blockpage.fault_page(exchange.id), "text/html; charset=utf-8")
        flow.response.timestamp_start = flow.response.timestamp_end = time.time()
        if where in ("response", "error") or flow.request.method == "CONNECT":
            self._record(exchange, flow.request.method, 503)

    def _count(self, where: str, error: BaseException) -> None:
        self.health.faults += 1
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        line = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace is not None else ""
        # The message may quote somebody's address, so only its kind and place are logged.
        log.error("hook failed", hook=where, error=type(error).__name__, at=line)


class NoRulesetError(Exception):
    """There is no ruleset that may be used."""


def _authority_host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _take_answer_headers(response: http.Response) -> dict[bytes, bytes]:
    """Return the fields of an answer that matter here, and take `Alt-Svc` out: it would lead browsers past the gateway."""
    found: dict[bytes, bytes] = {}
    fields = response.data.headers.fields
    for field in fields:
        name = field[0].lower()
        if name in _ANSWER_HEADERS:
            found[name] = field[1]
    if b"alt-svc" in found:
        response.data.headers.fields = tuple([field for field in fields if field[0].lower() != b"alt-svc"])
    return found
