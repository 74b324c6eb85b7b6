"""One text, one answer: what the gateway would make of words that somebody typed or that a page shows."""

from typing import Any

import msgspec

from blocklists.url import CanonicalUrl, UrlError, canonicalise
from rules.decision import Action, Decision
from rules.look import Look
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State

CONTEXTS = {"search": "search", "typed": "form", "page": "page", "ai": "prompt"}
"""The policy's context by the word for it on the command line."""

_NOWHERE = canonicalise("http://text.invalid/")
"""Stands for the address of a text that came without one; the name can't exist (RFC 6761)."""


class Text(msgspec.Struct, frozen=True):
    """One text to judge."""

    text: str
    id: str | int | float | None = None
    context: str | None = None
    """One of `CONTEXTS`."""
    url: str | None = None
    """Where it was typed or read: hosts whose pages policy leaves unread stay so."""


class Classifier:
    """Texts judged for one group at one moment, with the function that the gateway uses."""

    def __init__(self, ruleset: Ruleset, group: str | None = None, context: str = "typed", *, at: float) -> None:
        """Take the strictest group when none is named; raises `ValueError` with a sentence for an unknown one."""
        policy = ruleset.policy
        if group is not None and group not in policy.groups:
            raise ValueError(f'There is no group "{group}". The groups are: {", ".join(policy.groups)}.')
        if context not in CONTEXTS:
            raise ValueError(f'There is no context "{context}". The contexts are: {", ".join(CONTEXTS)}.')
        self.ruleset, self.context, self._at = ruleset, context, at
        self._subject = Subject("", group if group is not None else policy.strictest_group)
        self._state = State()

    def decision(self, text: Text) -> Decision | None:
        """Return what the text calls for, None for nothing; raises `ValueError` with a sentence for what can't be asked."""
        context = text.context if text.context is not None else self.context
        if context not in CONTEXTS:
            raise ValueError(f'There is no context "{context}". The contexts are: {", ".join(CONTEXTS)}.')
        url = _NOWHERE if text.url is None else _canonical(text.url)
        if context != "page":
            return self._look(url, typed=(TypedText(text.text, CONTEXTS[context]),)).typed_decision()
        if text.url is not None and not self.ruleset.policy.reads_text(url.host):
            return None
        return self._look(url, page_text=text.text).page_decision()

    def answer(self, text: Text) -> dict[str, Any]:
        """Return the JSON of `schoolgate classify` for one text."""
        decision = self.decision(text)
        if decision is None:
            return {"id": text.id, "level": 0, "action": Action.ALLOW.value, "themes": [], "matches": []}
        matches = [
            {"phrase": one.phrase, "theme": one.category, "kind": one.kind, "level": one.level, "weight": one.weight, "start": one.start,
             "end": one.end, "lowers": one.lowers}
            for one in decision.matches
        ]  # fmt: skip
        action, themes = decision.action.value, list(decision.categories)
        return {"id": text.id, "level": decision.level, "action": action, "themes": themes, "matches": matches}

    def _look(self, url: CanonicalUrl, *, typed: tuple[TypedText, ...] = (), page_text: str | None = None) -> Look:
        request = Request(url=url, subject=self._subject, at=self._at, typed=typed, page_text=page_text)
        return Look(request, self.ruleset, self._state)


_TEXT = msgspec.json.Decoder(Text)
_ANYTHING = msgspec.json.Decoder()


def read_line(line: bytes) -> Text:
    """Read one JSON line; raises `ValueError` with a sentence."""
    try:
        return _TEXT.decode(line)
    except msgspec.ValidationError as error:
        raise ValueError(f"The line is not {{id, text, context, url}}: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The line is not JSON: {error}.") from None


def id_of(line: bytes) -> Any:
    """Return the id of a line that can't be read otherwise, as far as it has one."""
    try:
        found = _ANYTHING.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.get("id") if isinstance(found, dict) else None


def _canonical(url: str) -> CanonicalUrl:
    try:
        return canonicalise(url)
    except UrlError as error:
        raise ValueError(str(error)) from None
