"""Hooks of answers: stream them, or hold a page back until its words are weighed."""

import time

import msgspec
from mitmproxy import http

from proxy import bodies
from proxy.clean import CleanPages
from proxy.flowing import StreamWeigher, kind_of
from proxy.hooks import BAD, guarded
from proxy.requests import LINE_ENDS
from proxy.talk import TalkHooks
from proxy.visit import FRAMES, Exchange
from rules.assistants import ASSISTANTS
from rules.decide import decide
from rules.decision import Action, Reason
from rules.page import SNIFFED, is_text, looks_binary, must_sniff, visible_text
from rules.request import TypedText
from rules.streamed import Found
from rules.videos import is_player_call, shows_videos, title_of

_PAGE_REASONS = frozenset({Reason.DEFAULT, Reason.TYPED_TEXT, Reason.LIST})
"""Decisions after which the text of the answer can still change something (see the order in `rules.decide`)."""
_PAGE_USES = FRAMES | {"", "document"}
_ANSWER_HEADERS = frozenset({b"content-type", b"content-length", b"content-encoding", b"alt-svc", b"transfer-encoding"})

_JOINED = frozenset({b"content-type", b"content-encoding"})
"""Fields that count all together when they stand there twice."""


class AnswerHooks(TalkHooks):
    """Decides about answers and writes exchanges down."""

    clean_pages: CleanPages

    @guarded
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
        if self._reads_stream(exchange, response, flow.request.method):
            self._start_stream(flow, exchange, headers.get(b"content-encoding", b"").decode("latin-1"))
        elif self._reads_page(exchange, response):
            exchange.coding = headers.get(b"content-encoding", b"").decode("latin-1")
            assert exchange.ruleset is not None
            flow.metadata["response_limit"] = exchange.ruleset.policy.limits.page_bytes
            if not exchange.coding and must_sniff(exchange.content_type):
                flow.metadata["response_sniff"] = True
        elif exchange.length >= 0:
            response.stream = True
        else:
            exchange.counter = bodies.Counter()
            response.stream = exchange.counter

    def _reads_stream(self, exchange: Exchange, response: http.Response, method: str) -> bool:
        """Weigh what streams wherever somebody may see it: also on sites that an entry or a grant opens, like what is typed there."""
        request, ruleset = exchange.request, exchange.ruleset
        if request is None or ruleset is None or exchange.own or method == "HEAD" or exchange.length == 0 or _is_interim(response):
            return False
        # What an assistant answers to a question. Its pages, and what it kept of earlier talk, come as answers to GET.
        assistant = method != "GET" and ASSISTANTS.covers(request.url)
        return (
            kind_of(exchange.content_type, assistant=assistant) is not None
            and ruleset.policy.reads_text(request.url.host)
            and not self._private(exchange)
        )

    def _start_stream(self, flow: http.HTTPFlow, exchange: Exchange, codings: str) -> None:
        """Let an answer pass through a weigher, unpacked and without a length, for its end may be ours."""
        kind = kind_of(exchange.content_type, assistant=True)
        assert kind is not None
        # Events that answer a POST are tokens of one text: pages that listen for messages can only GET.
        heard = self._hear(exchange, answer=True, joined=flow.request.method == "POST")

        def stops(found: Found) -> bool:
            decision = found.decision
            if not decision.action.stops or exchange.done or (exchange.decision is not None and exchange.decision.matches):
                # What was typed has its own event, and so has this.
                return heard.note(found)
            exchange.decision, exchange.page_text, exchange.page = decision, found.text, True
            return True

        weigher = StreamWeigher(
            kind, exchange.content_type, codings, heard.text, stops=stops, clock=time.monotonic, still_open=self._still_open(exchange),
            broken=lambda error: self._broken(exchange, "streamed answer", error),
        )  # fmt: skip
        # A copy: the layer that reads from the site goes by the headers that the site sent.
        assert flow.response is not None
        response = flow.response = flow.response.copy()
        response.headers.pop("content-length", None)
        if weigher.packed:
            response.headers.pop("content-encoding", None)
        if flow.request.http_version == "HTTP/1.1":
            response.headers["transfer-encoding"] = "chunked"
        exchange.length = -1
        exchange.counter = bodies.Counter()
        flow.metadata["stream"] = weigher
        response.stream = exchange.counter

    def _reads_page(self, exchange: Exchange, response: http.Response) -> bool:
        """Weigh pages that somebody looks at, whole ones only, where the policy wants it and it can still matter."""
        decision, ruleset, request = exchange.decision, exchange.ruleset, exchange.request
        if decision is None or ruleset is None or request is None or _is_interim(response):
            return False
        if response.status_code == 206 and not exchange.page:
            return False
        shown = exchange.page or exchange.wanted in _PAGE_USES or is_player_call(request.url)
        if decision.reason not in _PAGE_REASONS or not shown or exchange.length == 0:
            return False
        if decision.reason is Reason.LIST and decision.action is not Action.ALLOW:
            return False
        policy = ruleset.policy
        return (
            policy.limits.page_bytes > 0
            and is_text(exchange.content_type, document=exchange.page)
            and policy.reads_text(request.url.host)
            and not self._private(exchange)
        )

    @guarded
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

    def sniff_response(self, flow: http.HTTPFlow, start: bytes) -> bool:
        """Return whether the first bytes of an answer of unknown type are nothing with words, so that it need not be held."""
        if len(start) < SNIFFED and not looks_binary(start):
            return False
        del flow.metadata["response_sniff"]
        if not looks_binary(start):
            return False
        exchange: Exchange = flow.metadata["exchange"]
        del flow.metadata["response_limit"]
        if exchange.length < 0:
            exchange.counter = bodies.Counter()
            exchange.counter.size = len(start)
        return True

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
        limits, keywords = ruleset.policy.limits, ruleset.keywords
        video = shows_videos(request.url)
        page = self.clean_pages.page(body, exchange.content_type, f"{exchange.coding}{' video' if video else ''}", keywords, limits)
        if self.clean_pages.knows(page):
            return None
        plain = bodies.readable(body, exchange.coding, limits.page_bytes) if exchange.coding else body
        text = visible_text(plain, exchange.content_type, limit=limits.page_characters)
        # What a video is about stands in its title: a short text, where a page's text is long.
        title = title_of(plain, exchange.content_type) if video else ""
        titled = bool(title) and bool(keywords.weigh(title, "form").themes)
        if not titled and (not text or not keywords.weigh(text, "page").themes):
            # No phrase for anybody, so the decision that let the request through stands.
            self.clean_pages.add(page)
            return None
        typed = (*request.typed, TypedText(title, "form", answer=True)) if titled else request.typed
        weighed = msgspec.structs.replace(request, page_text=text, typed=typed)
        exchange.decision = decision = decide(weighed, ruleset, self.live.state)
        if decision.matches:
            exchange.page_text = title if decision.matches[0].context == "form" else text
        if not decision.action.stops:
            return None
        return self._page(exchange)

    @guarded
    def error(self, flow: http.HTTPFlow) -> None:
        """Write down an exchange that ended without an answer: the site failed, or the person left."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        message = flow.error.msg if flow.error is not None else ""
        weigher: StreamWeigher | None = flow.metadata.get("stream")
        if weigher is not None:
            weigher.lost()
        if exchange is None:
            exchange = self._exchange(flow, self._visit(flow))
            exchange.decision = BAD
            self._record(exchange, flow.request.method, 400)
            return
        gone = "disconnect" in message or "closed by client" in message or "stream reset" in message
        status = flow.response.status_code if flow.response is not None else 0 if gone else 502
        self._record(exchange, flow.request.method, status)


def _is_interim(response: http.Response) -> bool:
    """True for 1xx, which has no body. A site may answer 99, and browsers show it."""
    return 100 <= response.status_code < 200


def _take_answer_headers(response: http.Response) -> dict[bytes, bytes]:
    """Return the fields of an answer that matter here, and take `Alt-Svc` out: it would lead browsers past the gateway."""
    found: dict[bytes, bytes] = {}
    fields = response.data.headers.fields
    if LINE_ENDS.search(b" ".join([field[1] for field in fields])) is not None:
        # Browsers end a line at each of them, and read another field there (RFC 9110, 5.5: replaced by a space).
        fields = response.data.headers.fields = tuple([(name, LINE_ENDS.sub(b" ", value)) for name, value in fields])
    for field in fields:
        name = field[0].lower()
        if name in _ANSWER_HEADERS:
            found[name] = found[name] + b", " + field[1] if name in _JOINED and name in found else field[1]
    if b"alt-svc" in found:
        response.data.headers.fields = tuple([field for field in fields if field[0].lower() != b"alt-svc"])
    return found
