"""A text tried against the phrases: every phrase that stands in it, what each weighs, and why some do not count."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rules.decision import Match
from rules.keywords.matcher import MAX_MATCHES, KeywordMatcher
from rules.keywords.sets import KeywordSet, Phrase
from rules.kinds import CONTEXTS
from rules.normalise import words
from rules.settings import ThemeScore

_LEAST: Final = dict.fromkeys(CONTEXTS, 1)
_WHERE: Final = {"search": "searches", "form": "typed text", "prompt": "prompts to AI assistants", "page": "pages", "host": "host names"}


class Seen(msgspec.Struct, frozen=True):
    """One phrase that stands in the text."""

    phrase: str
    category: str
    kind: str
    language: str
    level: int
    weight: int
    """0 for a phrase that only lowers."""
    lowers: int
    """Levels by which it lowers its category."""
    disguised: bool
    start: int
    end: int
    """Character positions in the text as given, the end exclusive."""
    words: str
    """The text between them."""
    source: str
    """File and line of its set."""
    excluded: str
    """Why it does not count, one sentence; empty when it does."""


class Weighed(msgspec.Struct, frozen=True):
    """What the phrases of one category come to."""

    category: str
    score: float
    threshold: int
    reached: bool
    level: int
    """0 where the threshold is not reached."""
    lowered: int
    """Levels that phrases such as words of help took off."""
    lowered_by: tuple[str, ...]


class Tried(msgspec.Struct, frozen=True):
    """What the phrases make of a text."""

    matches: tuple[Seen, ...]
    """Those that count first, the gravest first; of one category at most `MAX_MATCHES`."""
    themes: tuple[Weighed, ...]
    complete: bool
    """False when a category has more phrases in the text than are shown."""


def try_text(text: str, context: str, sets: Sequence[KeywordSet], thresholds: Mapping[str, int]) -> Tried:
    """Return every phrase of the sets that stands in a text, and what they come to by the thresholds of a group."""
    seen: list[Seen] = []
    complete = True
    for category in dict.fromkeys(one.category for one in sets):
        phrases = [(phrase, one.source) for one in sets if one.category == category for phrase in one.phrases]
        places = _places(text, context, category, [phrase for phrase, _ in phrases])
        complete = complete and len(places) < MAX_MATCHES
        for index, match in places.items():
            phrase, source = phrases[index]
            excluded = _excluded(text, context, category, phrase)
            seen.append(Seen(
                phrase.text, category, phrase.kind, phrase.language, phrase.level, 0 if phrase.lowers else phrase.weight, phrase.lowers,
                match.disguised, match.start, match.end, text[match.start : match.end], source, excluded,
            ))  # fmt: skip
    seen.sort(key=lambda one: (bool(one.excluded), -one.level, -one.weight, one.start))
    return Tried(tuple(seen), tuple(_themes(text, context, sets, thresholds, seen)), complete)


def _places(text: str, context: str, category: str, phrases: Sequence[Phrase]) -> dict[int, Match]:
    """Return where phrases stand, whatever keeps them from counting; by their number."""
    # The matcher hands a phrase's kind on with each match: here it carries the number.
    bare = [_bare(phrase, kind=str(index), contexts=CONTEXTS, weight=1) for index, phrase in enumerate(phrases)]
    verdict = KeywordMatcher.build([KeywordSet(category, tuple(bare))], _LEAST).weigh(text, context)
    return {int(match.kind): match for match in verdict.matches}


def _excluded(text: str, context: str, category: str, phrase: Phrase) -> str:
    def counts(one: Phrase) -> bool:
        return bool(KeywordMatcher.build([KeywordSet(category, (one,))], _LEAST).weigh(text, context).matches)

    if context not in phrase.contexts:
        return f"It counts in {' and '.join(_WHERE[one] for one in CONTEXTS if one in phrase.contexts) or 'no text'} only."
    if counts(_bare(phrase, needs=phrase.needs, unless=phrase.unless)):
        return ""
    if phrase.needs and not counts(_bare(phrase, needs=phrase.needs)):
        return f"It counts only near one of: {_few(phrase.needs)}."
    harmless = [word for word in phrase.unless if not counts(_bare(phrase, needs=phrase.needs, unless=(word,)))]
    return f"It does not count near {_few(harmless or phrase.unless)}."


def _themes(text: str, context: str, sets: Sequence[KeywordSet], thresholds: Mapping[str, int], seen: Iterable[Seen]) -> Iterable[Weighed]:
    categories = {one.category for one in seen}
    matcher = KeywordMatcher.build((one for one in sets if one.category in categories), thresholds)
    needed = matcher.needed(context, len(words(text)))
    reached: dict[str, ThemeScore] = {theme.category: theme for theme in matcher.weigh(text, context).themes}
    for theme in matcher.weigh(text, context, _LEAST).themes:
        real = reached.get(theme.category)
        by = tuple(one.phrase for one in seen if one.category == theme.category and one.lowers and not one.excluded)
        lowered = real.lowered if real is not None else 0
        yield Weighed(
            theme.category, round(theme.score, 2), round(needed.at(theme.level)), real is not None,
            real.level if real is not None else 0, lowered, by if lowered else (),
        )  # fmt: skip


def _bare(phrase: Phrase, **values: object) -> Phrase:
    return msgspec.structs.replace(phrase, **{"needs": (), "unless": (), "lowers": 0, "weight": 1} | values)


def _few(words: Sequence[str]) -> str:
    shown = ", ".join(f"“{word}”" for word in words[:5])
    return f"{shown} and {len(words) - 5} more" if len(words) > 5 else shown
