"""Keyword sets at work: one automaton finds every phrase in one pass, then weights become themes."""

import copy
import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from rules.decision import Match
from rules.disguises import Reading, readings
from rules.keywords.compile import Entry, Phrases, Watched, compile_sets
from rules.keywords.frozen import thaw
from rules.keywords.score import Found, Needed, score
from rules.keywords.sets import KeywordSet, load_keyword_file
from rules.normalise import positions, words
from rules.settings import ThemeScore

DEFAULT_THRESHOLDS = {"search": 50, "form": 60, "prompt": 60, "page": 200, "host": 60}
MAX_MATCHES = 20
"""Matches that a verdict carries; the heaviest come first."""
MAX_PLACES = 64
"""Places of one phrase that are looked at; more add nothing, as each repeat counts half of the one before."""
_NEAR = 100
"""Bytes on each side of a phrase in which its `with` and `unless` words count."""
_GAP_WORDS = 6
_GAP_BYTES = 120
_CLEAR = 4
"""Letters from which a harmless word is believed where words run into one another."""
_HOSTS = 8_192


class Verdict(NamedTuple):
    """What a text weighs."""

    themes: tuple[ThemeScore, ...]
    """Categories that reached their threshold, the highest level first."""
    matches: tuple[Match, ...]
    """Where their phrases stand, at most `MAX_MATCHES`, in the text as given."""


NOTHING = Verdict((), ())
type _Places = dict[Watched, list[tuple[int, int]]]


class KeywordMatcher:
    """Phrases compiled once; `weigh` changes nothing and may be called from any thread."""

    def __init__(self, phrases: Phrases, thresholds: Mapping[str, int]) -> None:
        self.phrases = phrases
        self.count = len(phrases.watched)
        self.thresholds = thresholds
        self._words = phrases.words
        self._page = phrases.page
        self._letters = phrases.letters
        self._reads_hosts = any("host" in phrase.contexts for phrase in phrases.watched)
        self._hosts: dict[str, Verdict] = {}

    def at(self, thresholds: Mapping[str, int] | None) -> "KeywordMatcher":
        """Return a matcher of the same phrases for other thresholds; the compiled phrases are shared, not built again."""
        wanted = {**DEFAULT_THRESHOLDS, **(thresholds or {})}
        if wanted == self.thresholds:
            return self
        other = copy.copy(self)
        other.thresholds = wanted
        other._hosts = {}  # noqa: SLF001 - a copy of our own
        return other

    @classmethod
    def build(cls, sets: Iterable[KeywordSet], thresholds: Mapping[str, int] | None = None) -> Self:
        """Compile sets; `thresholds` is the weight to reach by context. The sets that were compiled last are not compiled again."""
        return cls(_compiled(tuple(sets)), {**DEFAULT_THRESHOLDS, **(thresholds or {})})

    @classmethod
    def thaw(cls, data: bytes, sets: Iterable[KeywordSet], thresholds: Mapping[str, int] | None = None) -> Self:
        """Take over phrases that `rules.keywords.frozen.freeze` kept; compiles the sets where they don't fit."""
        sets = tuple(sets)
        return cls(thaw(data, sets) or _compiled(sets), {**DEFAULT_THRESHOLDS, **(thresholds or {})})

    @classmethod
    def load(cls, path: Path, thresholds: Mapping[str, int] | None = None) -> Self:
        """Compile one keyword file; raises `PolicyError`."""
        return cls.build(load_keyword_file(path), thresholds)

    def weigh(self, text: str, context: str, thresholds: Mapping[str, int] | None = None) -> Verdict:
        """Return the categories whose phrases reach the context's threshold in the text.

        What is typed has to weigh more the longer it is (`rules.keywords.score.Needed`). `thresholds` takes the place of
        the matcher's own, for groups that are judged by others. Each repeat of a phrase counts half as much as the one
        before, so that a word in every menu line does not outweigh a page. A category's level is the highest at which
        the phrases of that level and above reach the threshold alone.
        """
        if not self.count or not text:
            return NOTHING
        plain = words(text)
        data = plain.encode("utf-8", "surrogatepass")
        hits = (self._page if context == "page" else self._words).find(data)
        others = tuple(readings(text, plain, self.phrases.vocabulary))
        if not others and not any(entry.phrase.weight for _, _, entries in hits for entry in entries):
            return NOTHING  # at most phrases that lower others: every lesson has some
        found = _found(data, hits, context, None) if hits else []
        known = {one.phrase for one in found}
        for reading in others:
            found += self._disguised(reading, context, known)
        if others:
            found = [one for one in found if not one.phrase.unless or not self._excused(one, text, data)]
        if not found:
            return NOTHING
        themes = score(found, self.needed(context, len(plain), thresholds))
        if not themes:
            return NOTHING
        return Verdict(themes, _matches(text, data, found, {theme.category for theme in themes}, context))

    def needed(self, context: str, characters: int, thresholds: Mapping[str, int] | None = None) -> Needed:
        """Return what a text of so many characters has to weigh in a context."""
        wanted = self.thresholds if thresholds is None else thresholds
        page = DEFAULT_THRESHOLDS["page"]
        return Needed(wanted.get(context, page), wanted.get(context if context == "host" else "page", page), characters)

    def weigh_host(self, host: str, thresholds: Mapping[str, int] | None = None) -> Verdict:
        """Return what the words of a host name weigh (context `host`); a host that was seen lately costs nothing."""
        if not self._reads_hosts:
            return NOTHING
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= _HOSTS:
                self._hosts.clear()
            known = self._hosts[host] = self.weigh(host, "host")
        if thresholds is None or not known.themes:
            return known
        return Verdict(tuple(theme for theme in known.themes if theme.score >= thresholds["host"]), known.matches)

    def _disguised(self, reading: Reading, context: str, known: set[Watched]) -> list[Found]:
        """Return what only a second reading shows, of the phrases that are marked for it."""
        data = reading.text.encode("utf-8", "surrogatepass")
        hits = (self._letters if reading.joined else self._words).find(data)
        loose = [
            (start, end, [entry for entry in entries if (entry.phrase.loose or reading.mostly) and entry.phrase not in known])
            for start, end, entries in hits
        ]
        found = _found(data, loose, context, reading) if loose else []
        known |= {one.phrase for one in found}
        return found

    def _excused(self, one: Found, text: str, data: bytes) -> bool:
        """True when what makes a phrase harmless stands near it in another reading of the same stretch of the text."""
        start, end = _in_text(one, text, data)
        near = text[max(0, start - _NEAR) : end + _NEAR]
        plain = words(near)
        if any(word in plain.encode("utf-8", "surrogatepass") for word in one.phrase.unless):
            return True
        for reading in readings(near, plain, self.phrases.vocabulary):
            letters = reading.text.encode("utf-8", "surrogatepass")
            if any(_stands(word, letters, reading.joined) for word in one.phrase.unless):
                return True
        return False


_last: tuple[tuple[KeywordSet, ...], Phrases] | None = None


def _compiled(sets: tuple[KeywordSet, ...]) -> Phrases:
    """Compile sets, or return what came of the very same values the last time: they never change."""
    global _last  # noqa: PLW0603 - one remembered result, replaced as a whole
    known = _last
    if known is not None and len(known[0]) == len(sets) and all(map(operator.is_, known[0], sets)):
        return known[1]
    phrases = compile_sets(sets)
    _last = sets, phrases
    return phrases


def _found(data: bytes, hits: Iterable[tuple[int, int, Iterable[Entry]]], context: str, reading: Reading | None) -> list[Found]:
    """Return each phrase that counts here, with its first place and how often it stands there."""
    places: _Places = {}
    for start, end, entries in hits:
        for entry in entries:
            phrase = entry.phrase
            if context in phrase.contexts:
                spans = places.setdefault(phrase, [])
                if (
                    len(spans) < MAX_PLACES
                    and (not entry.before or _follows(data, start, entry.before))
                    and (not entry.after or _leads(data, end, entry.after))
                ):
                    spans.append((start + entry.opening, end - entry.closing))
    found = []
    for phrase, spans in places.items():
        if phrase.needs or phrase.unless:
            spans = [span for span in spans if _holds(phrase, data, *span)]  # noqa: PLW2901 - the same spans, fewer
        if spans:
            found.append(Found(phrase, *spans[0], _apart(spans) if len(spans) > 1 else 1, reading))
    return found


def _apart(spans: list[tuple[int, int]]) -> int:
    """Return how many spans there are when those that overlap count once."""
    count = 0
    last = -1
    for start, end in sorted(spans):
        if start >= last:
            count += 1
        last = max(last, end)
    return count


def _follows(data: bytes, start: int, before: tuple[bytes, ...]) -> bool:
    """True when the parts before a gap stand in front of `start`, each at most `_GAP_WORDS` words away from the next."""
    for part in reversed(before):
        # The space at the end of one part may be the one at the start of the next.
        window_start = max(0, start - _GAP_BYTES)
        at = data.rfind(part, window_start, start + 1)
        if at < 0 or data.count(b" ", at + len(part), start) >= _GAP_WORDS:
            return False
        start = at
    return True


def _leads(data: bytes, end: int, after: tuple[bytes, ...]) -> bool:
    """True when the parts after a gap stand behind `end`, each at most `_GAP_WORDS` words away from the one before."""
    for part in after:
        at = data.find(part, max(0, end - 1), end + _GAP_BYTES)
        if at < 0 or data.count(b" ", end, at) >= _GAP_WORDS:
            return False
        end = at + len(part)
    return True


def _holds(phrase: Watched, data: bytes, start: int, end: int) -> bool:
    near = data[max(0, start - _NEAR) : end + _NEAR]
    if any(word in near for word in phrase.unless):
        return False
    return not phrase.needs or any(word in near for word in phrase.needs)


def _stands(word: bytes, letters: bytes, joined: bool) -> bool:
    """True when a harmless word stands in a reading; where words run into one another, short ones are made of the ends of others."""
    if not joined:
        return word in letters
    core = word.replace(b" ", b"")
    return len(core) >= _CLEAR and core in letters


def _in_text(one: Found, text: str, data: bytes) -> tuple[int, int]:
    """Return where a phrase stands in the text as given."""
    if one.reading is not None:
        return _in_disguise(one, one.reading)
    return positions(text, [_characters(data, one.start, one.end)])[0]


def _matches(text: str, data: bytes, found: list[Found], categories: set[str], context: str) -> tuple[Match, ...]:
    kept = [one for one in found if one.phrase.category in categories]
    kept.sort(key=lambda one: (-one.phrase.level, -one.score))
    kept = kept[:MAX_MATCHES]
    plainly = [_characters(data, one.start, one.end) for one in kept if one.reading is None]
    mapped = iter(positions(text, plainly) if plainly else [])
    return tuple(
        Match(
            one.phrase.text, one.phrase.category, one.phrase.level, one.phrase.weight, context,
            *(next(mapped) if one.reading is None else _in_disguise(one, one.reading)),
            kind=one.phrase.kind, lowers=one.phrase.lowers, disguised=one.reading is not None,
        )
        for one in kept
    )  # fmt: skip


def _in_disguise(one: Found, reading: Reading) -> tuple[int, int]:
    return reading.original(*_characters(reading.text.encode("utf-8", "surrogatepass"), one.start, one.end))


def _characters(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Turn a span of UTF-8 bytes into one of characters."""
    if data.isascii():
        return start, end
    first = len(data[:start].decode("utf-8", "surrogatepass"))
    return first, first + len(data[start:end].decode("utf-8", "surrogatepass"))
