"""Hooks of WebSocket messages: what a person types is weighed like a form, what the site sends like an answer that streams."""

from typing import Any

from mitmproxy import http
from mitmproxy.websocket import WebSocketMessage

from proxy.flowing import STOPPED, UNCHECKED
from proxy.hooks import NoRulesetError
from proxy.talk import Heard, TalkHooks
from proxy.visit import Exchange
from rules.decide import decide
from rules.fields import is_secret
from rules.forms import is_machine, plain_words, typed_words
from rules.notices import message_notice
from rules.page import looks_binary
from rules.pieces import Piece, read_message
from rules.ruleset import Ruleset

MESSAGE_BYTES = 16_384
"""So much of the beginning of a message that a person sends is weighed."""
ANSWER_BYTES = 65_536
"""So much of the beginning of a message from the site is weighed."""
REFUSED = "websocket_refused"
"""Flow metadata by which `proxy.websockets` learns to close the connection; its value is what the client is told."""
TALK = "websocket_talk"


class Talk:
    """One WebSocket: what was said on it in both directions."""

    def __init__(self, typed: Heard | None, shown: Heard | None) -> None:
        """None for a direction whose words are not read."""
        self.typed = typed
        self.shown = shown
        self.sample: dict[str, Any] | None = None
        """The last JSON object that the site sent: a notice takes its form."""

    @property
    def doubtful(self) -> bool:
        """True while silence may settle something."""
        return any(heard is not None and heard.text.doubtful for heard in (self.typed, self.shown))


class MessageHooks(TalkHooks):
    """Decides about messages in both directions."""

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        """Keep an open WebSocket in mind: the rules hold for it as long as it lasts."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is not None:
            exchange.visit.lasting[exchange] = flow

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """Forget a WebSocket that was closed, after a last look at what was said on it."""
        exchange: Exchange | None = flow.metadata.get("exchange")
        if exchange is None:
            return
        exchange.visit.lasting.pop(exchange, None)
        self.settle_messages(flow)
        flow.metadata.pop(TALK, None)

    def withdrawn(self, opened: Exchange) -> bool:
        """Return whether a connection that is still open would not be opened now; that is written down."""
        try:
            ruleset = self._ruleset()
            if opened.request is None:
                return True
            if opened.ruleset is not None:
                # The rules that it was opened under must not live as long as it does.
                opened.ruleset = ruleset
            decision = decide(self._said(opened, ruleset, ()), ruleset, self.live.state)
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
        try:
            if REFUSED not in flow.metadata and not self._stops(flow, message):
                return
            flow.metadata.setdefault(REFUSED, "")
        except Exception as error:  # noqa: BLE001 - fail closed
            self._broken(flow.metadata["exchange"], "websocket_message", error)
            flow.metadata[REFUSED] = "" if message.from_client else UNCHECKED
        message.dropped = True

    def settle_messages(self, flow: http.HTTPFlow) -> None:
        """Judge after some silence what was in doubt; refuses the connection by `REFUSED`."""
        talk: Talk | None = flow.metadata.get(TALK)
        if talk is None or REFUSED in flow.metadata:
            return
        try:
            if talk.typed is not None and any(talk.typed.note(found) for found in talk.typed.text.settle()):
                flow.metadata[REFUSED] = ""
            if talk.shown is not None and any(talk.shown.note(found) for found in talk.shown.text.settle()):
                flow.metadata[REFUSED] = message_notice(talk.sample, STOPPED)
        except Exception as error:  # noqa: BLE001 - fail closed
            self._broken(flow.metadata["exchange"], "settle_messages", error)
            flow.metadata[REFUSED] = UNCHECKED

    def _stops(self, flow: http.HTTPFlow, message: WebSocketMessage) -> bool:
        """Return whether a message must not pass; what the rules note about it is written down."""
        exchange: Exchange = flow.metadata["exchange"]
        # Asked for every message: a ruleset that may not be used closes the connection.
        ruleset = self._ruleset()
        if exchange.request is None or exchange.own:
            return False
        talk = flow.metadata.get(TALK)
        if talk is None:
            talk = flow.metadata[TALK] = self._talk(exchange, ruleset)
        heard = talk.typed if message.from_client else talk.shown
        text = _text_of(message) if heard is not None else None
        if heard is None or text is None:
            return False
        value, pieces = read_message(text)
        if message.from_client:
            return self._typed_stops(exchange, heard, pieces, len(message.content))
        if isinstance(value, dict):
            talk.sample = value
        if any(heard.note(found) for found in heard.text.add(pieces)):
            flow.metadata[REFUSED] = message_notice(talk.sample, STOPPED)
            return True
        return False

    def _talk(self, exchange: Exchange, ruleset: Ruleset) -> Talk:
        texts = ruleset.policy.text
        if self._private(exchange):
            return Talk(None, None)
        return Talk(self._hear(exchange, answer=False) if texts.typed else None, self._hear(exchange, answer=True) if texts.pages else None)

    def _typed_stops(self, exchange: Exchange, heard: Heard, pieces: list[Piece], size: int) -> bool:
        """Judge a message that a person sent: by itself, and after those before it."""
        fields = [(lane, text) for lane, text in pieces if not is_secret(lane)]
        typed = typed_words(fields, heard.context)
        if not typed:
            return False
        ruleset = self._ruleset()
        decision = decide(self._said(exchange, ruleset, typed), ruleset, self.live.state)
        if decision.action.stops or decision.matches:
            self._note(exchange, decision, ruleset, typed, size)
            if decision.action.stops:
                return True
        found = heard.text.add([Piece(lane, plain_words(text)) for lane, text in fields if not is_machine(text)])
        # What a message says by itself is written down already.
        return any(heard.note(one) for one in found if one.decision.action.stops or not decision.matches)


def _text_of(message: WebSocketMessage) -> str | None:
    """Return the text of a message, also where it is sent as bytes; None for what is no text."""
    content = message.content[: MESSAGE_BYTES if message.from_client else ANSWER_BYTES]
    if not message.is_text and looks_binary(content):
        return None
    return content.decode("utf-8", "replace")
