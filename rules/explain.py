"""`explain` in words: the JSON of a decision and of every step's answer."""

import time
from typing import Any

import msgspec

from blocklists.url import UrlError, canonicalise, parse_leniently
from rules.decide import StepAnswer, explain
from rules.decision import REASON_SENTENCES, Action, Decision
from rules.lowering import lowerings
from rules.matched import view
from rules.request import Request, Subject, climbs
from rules.ruleset import Ruleset
from rules.state import State
from rules.typed import typed_of

SEALED_URL = "sealed"
"""Stands where the address would, for an address on a sealed list."""


def question(
    text: str, ruleset: Ruleset, *, user: str | None = None, group: str | None = None, address: str = "", at: float | None = None
) -> Request:
    """Return the request that somebody's browser would make for an address.

    Without a group it is found as the gateway finds it: by user, then by client address, else the strictest. Raises
    `ValueError` with a sentence for an address that can't be read or a group that doesn't exist.
    """
    policy = ruleset.policy
    try:
        url = canonicalise(text)
        climbing = climbs(parse_leniently(text).pathname)
    except UrlError as error:
        raise ValueError(str(error)) from None
    if climbing:
        raise ValueError('The address hides a ".." in its path; sites differ in where that leads, so the gateway refuses it.')
    if group is not None and group not in policy.groups:
        raise ValueError(f'There is no group "{group}". The groups are: {", ".join(policy.groups)}.')
    subject = policy.identify(address, user, group)
    if group is not None and subject.group != group:
        subject = Subject(address, group, user=user, room=subject.room, identity_source=subject.identity_source)
    return Request(url=url, subject=subject, at=time.time() if at is None else at, typed=typed_of(ruleset, url)[0])


def explained(text: str, request: Request, ruleset: Ruleset, state: State) -> dict[str, Any]:
    """Return the JSON of `schoolgate explain`; `text` is the address as it was asked. A sealed address is not repeated."""
    decision, answers = explain(request, ruleset, state)
    # Any sealed answer hides the address, also where a step before it decided.
    sealed = any(answer.decision is not None and answer.decision.sealed for answer in answers)
    return {
        "url": SEALED_URL if sealed else text,
        "group": request.subject.group,
        **_facts(decision, ruleset),
        "sentence": REASON_SENTENCES[decision.reason],
        "matched": _matched(decision, request, ruleset),
        "lowered": [
            msgspec.to_builtins(one)
            for typed in request.typed
            for one in lowerings(typed.text, typed.context, request.url, request.subject.group, ruleset)
            if decision.matches
        ],
        "steps": [_step(answer, ruleset, sealed) for answer in answers],
    }


def _facts(decision: Decision, ruleset: Ruleset) -> dict[str, Any]:
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "category": decision.category,
        "title": ruleset.policy.title_of(decision.category) if decision.category is not None else None,
        "level": decision.level,
        "list": decision.list,
        "rule": decision.rule,
        "categories": list(decision.categories),
        "matches": [match.phrase for match in decision.matches],
        "grant": decision.grant,
    }


def _matched(decision: Decision, request: Request, ruleset: Ruleset) -> list[dict[str, Any]]:
    """Return every phrase of the decision with its weight, and the words that it stands for."""
    texts = {"host": request.url.host} | {typed.context: typed.text for typed in reversed(request.typed)}
    policy = ruleset.policy
    weights = policy.thresholds_of(request.subject.group) or policy.text.thresholds
    return [view(match, policy, texts.get(match.context)) | {"needed": weights[match.context]} for match in decision.matches]


def _step(answer: StepAnswer, ruleset: Ruleset, sealed: bool) -> dict[str, Any]:
    decision = answer.decision
    step: dict[str, Any] = {
        "step": answer.step,
        "action": decision.action.value if decision is not None else None,
        "decided": answer.decided,
        "note": answer.note,
    }
    if decision is not None:
        facts = _facts(decision, ruleset)
        hidden = sealed and not decision.sealed
        # The rule of another step may quote the address.
        step |= {key: facts[key] for key in ("reason", "category", "level", "list") if facts[key] is not None}
        if decision.rule is not None and not hidden:
            step["rule"] = decision.rule
    return step


__all__ = ["SEALED_URL", "Action", "explain", "explained", "question", "typed_of"]
