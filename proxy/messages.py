"""Hooks of WebSocket messages: what a person types into a chat is weighed like a form."""

import time

import msgspec
from mitmproxy import http
from mitmproxy.websocket import WebSocketMessage

from proxy.hooks import Hooks, NoRulesetError
from proxy.records import new_id
from proxy.requests import ASSISTANTS
from proxy.visit import Exchange
from rules.decide import decide
from rules.decision import Decision
from rules.forms import typed_texts
from rules.request import TypedText
from rules.ruleset import Ruleset

MESSAGE_BYTES = 16_384
"""So much of the beginning of a message is weighed."""
REFUSED = "websocket_refused"
"""Flow metadata by which `proxy.websockets` learns to close the connection."""


class MessageHooks(Hooks):
    """Decides about messages that a client sends; what the site sends passes."""

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        """Keep an open WebSocket in mind: the rules hold for it as long as it lasts."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is not None:
            exchange.visit.lasting[exchange] = flow

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """Forget a WebSocket that was closed."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is not None:
            exchange.visit.lasting.pop(exchange, None)

    def withdrawn(self, opened: Exchange) -> bool:
        """Return whether a connection that is still open would not be opened now; that is written down."""
        request = opened.request
        try:
            ruleset = self._ruleset()
            if request is None:
                return True
            if opened.ruleset is not None:
                # The rules that it was opened under must not live as long as it does.
                opened.ruleset = ruleset
            subject = opened.visit.who(ruleset)
            decision = decide(msgspec.structs.replace(request, at=time.time(), subject=subject, typed=()), ruleset, self.live.state)
            if decision.action.stops:
                opened.visit.lasting.pop(opened, None)
                self._note(opened, decision, ruleset, (), 0)
            return decision.action.stops
        except NoRulesetError:
            return True
        except Exception as error:  # noqa: BLE001 - fail closed
            self._count("withdrawn", error)
            return True

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Weigh one message, and keep no more than it: mitmproxy would keep all for as long as the connection lasts."""
        if flow.websocket is None:
            return
        messages = flow.websocket.messages
        message = messages[-1]
        del messages[:-1]
        if not message.from_client:
            return
        try:
            if REFUSED in flow.metadata or self._stops(flow, message):
                flow.metadata[REFUSED] = True
                message.dropped = True
        except Exception as error:  # noqa: BLE001 - fail closed
            self._count("websocket_message", error)
            flow.metadata[REFUSED] = True
            message.dropped = True

    def _stops(self, flow: http.HTTPFlow, message: WebSocketMessage) -> bool:
        """Return whether a message must not pass; what the rules note about it is written down."""
        exchange: Exchange = flow.metadata["exchange"]
        ruleset = self._ruleset()
        if not message.is_text or exchange.request is None or not ruleset.policy.text.typed:
            return False
        # The handshake's request without its own words: they were weighed when it came.
        request = msgspec.structs.replace(exchange.request, at=time.time(), subject=exchange.visit.who(ruleset), typed=())
        typed = typed_texts(message.content[:MESSAGE_BYTES], "text/plain", prompt=ASSISTANTS.covers(request.url), limit=MESSAGE_BYTES)
        if not typed:
            return False
        decision = decide(msgspec.structs.replace(request, typed=typed), ruleset, self.live.state)
        if decision.action.stops or decision.matches:
            self._note(exchange, decision, ruleset, typed, len(message.content))
        return decision.action.stops

    def _note(self, opened: Exchange, decision: Decision, ruleset: Ruleset, typed: tuple[TypedText, ...], size: int) -> None:
        """Write an event of its own for one message."""
        assert opened.request is not None
        exchange = Exchange(new_id(), time.time(), opened.visit)
        exchange.ruleset, exchange.decision, exchange.subject = ruleset, decision, opened.visit.who(ruleset)
        exchange.request = msgspec.structs.replace(opened.request, typed=typed)
        exchange.bytes_in = size
        exchange.page = True
        self.spool.put(self.recorder.event(exchange, status=0, method="MESSAGE"))
        if decision.action.stops:
            self.health.blocked += 1
