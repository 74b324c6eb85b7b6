"""Matches for people: the phrase, what it is about, how grave, where it stands and the words around it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rules.decision import Match
from rules.keywords.patterns import readable
from rules.keywords.sets import Phrase
from rules.kinds import TEXT_CONTEXTS
from rules.policy import Policy
from rules.ruleset import Ruleset
from rules.second_reader import LEVEL, MARK

AROUND: Final = 80
"""Characters on each side of a match that are quoted with it."""
_LEAST: Final = dict.fromkeys(TEXT_CONTEXTS, 1)
_CONTEXTS: Final = {"page-text": "page", "host-words": "host"}
"""Where words stood, by an event's reason; typed ones without a search term stood in a form or a prompt."""


class Piece(NamedTuple):
    """A stretch of a text."""

    text: str
    marked: bool
    """True for words that matched."""


def view(match: Match, policy: Policy, text: str | None = None) -> dict[str, Any]:
    """Return a match as JSON shows it; `words` and `quote` are what was written there and around it, empty without the text."""
    return {
        "phrase": match.phrase, "example": readable(match.phrase), "theme": match.category, "title": policy.title_of(match.category),
        "kind": match.kind, "level": match.level,
        "weight": match.weight, "lowers": match.lowers, "disguised": match.disguised, "start": match.start, "end": match.end,
        "words": text[match.start : match.end] if text else "",
        "quote": "".join(piece.text for piece in quote(text, [match])) if text else "",
    }  # fmt: skip


def quote(text: str, matches: Iterable[Match], around: int = AROUND) -> list[Piece]:
    """Return the text from some characters before the first match to some behind the last, cut where matches begin and end.

    Spaces and line ends become one space; three dots stand for what was left out at an end.
    """
    spans = sorted((match.start, match.end) for match in matches if 0 <= match.start < match.end <= len(text))
    if not spans:
        return []
    first, last = _between_words(text, spans[0][0], max(end for _, end in spans), around)
    pieces = [Piece("… ", False)] if first else []
    at = first
    for start, end in spans:
        if end <= at:
            continue
        pieces += [Piece(_flat(text[at : max(at, start)]), False), Piece(_flat(text[max(at, start) : end]), True)]
        at = end
    pieces.append(Piece(_flat(text[at:last]), False))
    if last < len(text):
        pieces.append(Piece(" …", False))
    return [piece for piece in pieces if piece.text]


def _between_words(text: str, start: int, end: int, around: int) -> tuple[int, int]:
    """Return a span that reaches about so far around another one and cuts no word where that can be helped."""
    first, last = max(0, start - around), min(len(text), end + around)
    if first:
        space = text.find(" ", first - 1, start)
        first = first if space < 0 else space + 1
    if last < len(text):
        space = text.rfind(" ", end, last + 1)
        last = last if space < 0 else space
    return first, last


def of_event(event: Mapping[str, Any], ruleset: Ruleset) -> list[dict[str, Any]]:
    """Return the matches of a stored event (its fields by name), found again where the record has the text.

    The record keeps phrases and, of a search, the term; level and weight are those of the sets in force now, `needed`
    is the weight that is enough there. A phrase that no set has any more has no theme, and level and weight 0.
    """
    phrases: Sequence[str] = event.get("matches") or ()
    if not phrases:
        return []
    term, policy = str(event.get("search") or ""), ruleset.policy
    again = _again(term, ("search",), phrases, ruleset)
    weights = policy.thresholds_of(str(event.get("group") or "")) or policy.text.thresholds
    needed = weights["search" if term else _CONTEXTS.get(str(event.get("reason")), "form")]
    views = [view(again[one], policy, term) if one in again else _without_text(one, event, policy) for one in phrases]
    return [one | {"needed": needed} for one in views]


def quote_of_event(event: Mapping[str, Any], ruleset: Ruleset) -> list[Piece]:
    """Return the search term of a stored event, or what it quotes, with the words that matched marked; nothing where they aren't found."""
    term = str(event.get("search") or "")
    text = term or str(event.get("excerpt") or "")
    found = _again(text, ("search",) if term else TEXT_CONTEXTS, event.get("matches") or (), ruleset)
    return quote(text, found.values())


def _again(text: str, contexts: Iterable[str], phrases: Sequence[str], ruleset: Ruleset) -> dict[str, Match]:
    """Return where phrases of the record stand in a text of it."""
    found: dict[str, Match] = {}
    if text and phrases:
        for context in contexts:
            # Their places alone are wanted: what they came to together was decided at the time.
            for match in ruleset.keywords.weigh(text, context, _LEAST).matches:
                if match.phrase in phrases:
                    found.setdefault(match.phrase, match)
    return found


def _without_text(phrase: str, event: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    categories = (str(event.get("category") or ""), *(event.get("categories") or ()))
    if phrase.startswith(MARK):
        # Of the model the record keeps what made it think so; how sure it was is not kept.
        return view(Match(phrase, categories[0], LEVEL, 0, "", kind="model"), policy)
    known = list(_sets_with(phrase, policy))
    category, entry = next(
        ((name, one) for name, one in known if name in categories), known[0] if known else ("", Phrase(phrase, 0, 0, ()))
    )
    return view(Match(phrase, category, entry.level, 0 if entry.lowers else entry.weight, "", kind=entry.kind, lowers=entry.lowers), policy)


def _sets_with(phrase: str, policy: Policy) -> Iterable[tuple[str, Phrase]]:
    for one in policy.keyword_sets:
        for entry in one.phrases:
            if entry.text == phrase:
                yield one.category, entry


def _flat(text: str) -> str:
    flat = " ".join(text.split())
    if not flat:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{flat}{' ' if text[-1].isspace() else ''}"
