"""Words that pass while a connection stays open, judged by the rules in force at that moment."""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from proxy.hooks import NO_RULES, Hooks, NoRulesetError
from proxy.records import new_id
from proxy.visit import Exchange
from rules.assistants import ASSISTANTS
from rules.decide import decide
from rules.decision import Decision
from rules.look import Look
from rules.request import Request, TypedText
from rules.ruleset import Ruleset
from rules.streamed import Found, Judge, RunningText, conditional

MOST_NOTES = 20
"""Events that one open stream or socket makes for words that are only written down."""
AGREED_SECONDS = 5.0
"""So often an open stream is judged again by its address alone: a grant may have ended, a lesson begun."""


class Heard(NamedTuple):
    """One direction of a connection."""

    text: RunningText
    context: str
    """`prompt` with an AI assistant, else `form`."""
    note: Callable[[Found], bool]
    """Writes down what was found, and says whether it stops."""


class TalkHooks(Hooks):
    """What streamed answers and WebSocket messages have in common."""

    _conditional: tuple[object, frozenset[str]] = (None, frozenset())

    def _private(self, exchange: Exchange) -> bool:
        """Return whether text must not be read here at all (`text.skip_hosts`, `text.private_categories`)."""
        if exchange.private is None:
            assert exchange.request is not None
            exchange.private = Look(exchange.request, self._ruleset(), self.live.state).private
        return exchange.private

    def _hear(self, exchange: Exchange, *, answer: bool, joined: bool = False) -> Heard:
        """Return what weighs the words of one direction; `answer` says that they come from the site, `joined` that its pieces
        follow one another without a gap, as an assistant's always do.

        They are weighed as short text, like what is typed: an answer is cut after one phrase that speaks for itself,
        where a page needs several.
        """
        assert exchange.request is not None
        assistant = ASSISTANTS.covers(exchange.request.url)
        context = "prompt" if assistant else "form"
        text = RunningText(
            self._judge(exchange, context, answer=answer), self._phrases(self._ruleset()), joined=joined or (assistant and answer)
        )
        return Heard(text, context, self._noting(exchange, context, answer=answer))

    def _phrases(self, ruleset: Ruleset) -> frozenset[str]:
        sets = ruleset.policy.keyword_sets
        if self._conditional[0] is not sets:
            self._conditional = (sets, conditional(sets))
        return self._conditional[1]

    def _judge(self, exchange: Exchange, context: str, *, answer: bool) -> Judge:
        def judge(text: str) -> Decision | None:
            ruleset = self._ruleset()
            if not ruleset.keywords.weigh(text, context).themes:
                return None
            request = self._said(exchange, ruleset, (TypedText(text, context, answer),))
            decision = decide(request, ruleset, self.live.state)
            return decision if decision.matches or decision.action.stops else None

        return judge

    def _said(self, exchange: Exchange, ruleset: Ruleset, typed: tuple[TypedText, ...]) -> Request:
        """Return the request that opened the connection, as it would be made now with these words."""
        assert exchange.request is not None
        return msgspec.structs.replace(exchange.request, at=time.time(), subject=exchange.visit.who(ruleset), typed=typed)

    def _still_open(self, exchange: Exchange) -> Callable[[], bool]:
        """Return what says whether the rules still let this connection stay open, whatever is said on it."""
        agreed: tuple[object, object, float] = (None, None, 0.0)

        def still_open() -> bool:
            nonlocal agreed
            ruleset, state, now = self._ruleset(), self.live.state, time.monotonic()
            if agreed[0] is ruleset and agreed[1] is state and now - agreed[2] < AGREED_SECONDS:
                return True
            if exchange.ruleset is not None:
                # The rules that it was opened under must not live as long as it does.
                exchange.ruleset = ruleset
            decision = decide(self._said(exchange, ruleset, ()), ruleset, state)
            if decision.action.stops:
                exchange.decision = decision
                return False
            agreed = (ruleset, state, now)
            return True

        return still_open

    def _noting(self, exchange: Exchange, context: str, *, answer: bool) -> Callable[[Found], bool]:
        """Return what writes down what was found, a theme once for as long as the connection lasts, and says whether it stops."""
        noted: set[tuple[str | None, int]] = set()

        def note(found: Found) -> bool:
            decision = found.decision
            key = (decision.category, decision.level)
            if decision.action.stops or (key not in noted and len(noted) < MOST_NOTES):
                noted.add(key)
                self._note(exchange, decision, self._ruleset(), (TypedText(found.text, context, answer),), 0)
            return decision.action.stops

        return note

    def _broken(self, exchange: Exchange, where: str, error: Exception) -> None:
        """Count a fault of ours on an open connection and write it down; the caller ends what could not be judged."""
        if isinstance(error, NoRulesetError):
            self.health.faults += 1
        else:
            self._count(where, error)
        fault = Exchange(new_id(), time.time(), exchange.visit)
        fault.request, fault.subject, fault.page = exchange.request, exchange.subject, True
        fault.fault = (self.live.fault or NO_RULES) if isinstance(error, NoRulesetError) else f"{type(error).__name__} in {where}"
        self.spool.put(self.recorder.event(fault, status=0, method="MESSAGE"))

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
