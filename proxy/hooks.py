"""What all hooks share: who asks, which rules hold, the pages of ours, the event at the end, and failing closed."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from mitmproxy import http

from proxy import blockpage
from proxy.health import Health
from proxy.live import Live
from proxy.records import Recorder, new_id
from proxy.spool import Spool
from proxy.visit import Exchange, Visit
from rules import tokens
from rules.decision import Action, Decision, Reason
from rules.ruleset import Ruleset

log = structlog.get_logger()

NO_RULES = "The connection was opened while there was no ruleset."
HTML = "text/html; charset=utf-8"
CLOSED_TO_ALL = frozenset({
    Reason.SEALED_LIST, Reason.UNSAFE_PORT, Reason.PRIVATE_ADDRESS, Reason.ADDRESS_LITERAL, Reason.HOST_MISMATCH, Reason.BAD_URL,
    Reason.UNREADABLE,
})  # fmt: skip
"""What no grant opens: a form for it would only make somebody wait."""
BAD = Decision(Action.BLOCK, Reason.BAD_URL, level=1)


class NoRulesetError(Exception):
    """There is no ruleset that may be used."""


def guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Make a flow hook fail closed, whether it answers at once or later."""

    def hooked(self: "Hooks", flow: http.HTTPFlow) -> Awaitable[None] | None:
        try:
            wait = hook(self, flow)
        except Exception as error:  # noqa: BLE001 - fail closed, whatever it was
            self.fail(flow, hook.__name__, error)
            return None
        return None if wait is None else self.finish(flow, hook.__name__, wait)

    return hooked


class Hooks:
    """The parts of one worker that hooks use, and the steps that they have in common."""

    def __init__(self, live: Live, spool: Spool, health: Health, recorder: Recorder, key: bytes) -> None:
        self.live = live
        self.spool = spool
        self.health = health
        self.recorder = recorder
        self._key = key

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

    def _block(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        flow.response = self._page(exchange)

    def _page(self, exchange: Exchange) -> http.Response:
        decision, request, ruleset = exchange.decision, exchange.request, exchange.ruleset
        assert decision is not None
        assert request is not None
        assert ruleset is not None
        policy = ruleset.policy
        subject = request.subject.user or request.subject.client_address
        # As it was sent: who asks for this page is to get this page, and not one whose "&" means something else.
        url = request.url.sent
        token = "" if decision.reason in CLOSED_TO_ALL else tokens.sign(self._key, url, subject, decision.action, time.time())
        category = decision.category or ""
        if decision.reason is Reason.SCHOOL_DENY and category not in policy.categories:
            category = ""  # an entry of the school's own that names none: the page's sentence says it all
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

    def _record(self, exchange: Exchange, method: str, status: int) -> None:
        if not exchange.done:
            self.spool.put(self.recorder.event(exchange, status=status, method=method))
            if exchange.decision is not None and exchange.decision.action.stops:
                self.health.blocked += 1
        self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        if not exchange.done:
            exchange.done = True
            exchange.visit.open -= 1
            # mitmproxy's flow and stream refer to each other, so they stay until the collector finds them: without the rules.
            exchange.ruleset = None

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
        sentence = (self.live.fault or NO_RULES) if isinstance(error, NoRulesetError) else f"{type(error).__name__} in {where}"
        exchange.fault = sentence[:500]
        if isinstance(error, NoRulesetError):
            self.health.faults += 1
        else:
            self._count(where, error)
        flow.request.stream = False
        if flow.response is not None and flow.response.stream and flow.response.timestamp_end is not None:
            self._record(exchange, flow.request.method, flow.response.status_code)
            return
        flow.response = blockpage.respond(503, blockpage.fault_page(exchange.id), HTML)
        if exchange.visit.unchecked:
            # The next request comes in a tunnel that was judged by the rules that there are by then.
            flow.response.headers["Connection"] = "close"
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
