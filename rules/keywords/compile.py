"""From keyword sets to patterns: what the automaton looks for, and what each place of it means."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rules.keywords.automaton import Automaton
from rules.keywords.patterns import patterns_of, squeezed
from rules.keywords.sets import KeywordSet, Phrase

_LETTERS = re.compile(r"[^\W\d_]+")


class Watched:
    """One phrase as its author wrote it, ready to be asked; equal to nothing but itself, so that it is a quick key."""

    __slots__ = ("category", "contexts", "kind", "level", "loose", "lowers", "near", "needs", "stops", "text", "unless", "weight")

    def __init__(self, category: str, phrase: Phrase) -> None:
        self.category = category
        self.text = phrase.text
        self.kind = phrase.kind
        self.weight = 0 if phrase.lowers else phrase.weight
        self.level = phrase.level
        self.contexts = frozenset(phrase.contexts)
        self.near = (*phrase.needs, *phrase.unless)
        self.needs = tuple(one for text in phrase.needs for one in _near(text))
        self.unless = tuple(one for text in phrase.unless for one in _near(text))
        self.lowers = phrase.lowers
        self.loose = phrase.loose
        self.stops = phrase.stops


class Entry(NamedTuple):
    """One pattern of a phrase."""

    phrase: Watched
    before: tuple[bytes, ...]
    """Patterns of the parts that stand before a gap, in order."""
    after: tuple[bytes, ...]
    """Patterns of the parts that stand after a gap, in order."""
    opening: int
    closing: int
    """Bytes at the ends of the pattern that stand outside the phrase: the spaces around whole words."""


type Patterns = dict[bytes, tuple[Entry, ...]]


class Phrases(NamedTuple):
    """All phrases of some sets, ready to be found."""

    watched: tuple[Watched, ...]
    words: Automaton[tuple[Entry, ...]]
    """Finds them in the normalised text."""
    page: Automaton[tuple[Entry, ...]]
    """Finds those that count on pages: far fewer, so that a page's thousands of words pass quickly."""
    letters: Automaton[tuple[Entry, ...]]
    """Finds loose phrases without their spaces, for letters that were set apart."""
    vocabulary: frozenset[str]
    """The words that phrases are made of, in small letters: what a disguised word is most likely to be."""


def watched_phrases(sets: Iterable[KeywordSet]) -> tuple[Watched, ...]:
    """Return the phrases of sets in their order."""
    return tuple(Watched(one.category, phrase) for one in sets for phrase in one.phrases)


def compile_sets(sets: Iterable[KeywordSet]) -> Phrases:
    """Unfold every phrase of every set; raises `PatternError` for a phrase that no check has seen."""
    watched = watched_phrases(sets)
    words, letters = patterns_by_meaning(watched)
    page = {found: kept for found, entries in words.items() if (kept := tuple(one for one in entries if "page" in one.phrase.contexts))}
    return Phrases(watched, Automaton(words), Automaton(page), Automaton(letters), vocabulary_of(watched))


def vocabulary_of(watched: Sequence[Watched]) -> frozenset[str]:
    """Return the words of phrases and of what stands near them, as far as they are written with letters alone."""
    texts = {phrase.text for phrase in watched}
    # Phrases of one set share what stands near them.
    for near in {phrase.near for phrase in watched}:
        texts.update(near)
    return frozenset(_LETTERS.findall(" ".join(texts).casefold()))


def patterns_by_meaning(watched: Iterable[Watched]) -> tuple[Patterns, Patterns]:
    """Return what to look for in the words of a text, and in its letters when they stand apart."""
    words: Patterns = {}
    letters: Patterns = {}
    for phrase in watched:
        shared: dict[tuple[int, int], tuple[Entry]] = {}
        for parts in patterns_of(phrase.text):
            if len(parts) > 1:
                coded = tuple(part.encode() for part in parts)
                # The longest part is the rarest: the others are asked for only where it stands.
                anchor = max(range(len(coded)), key=lambda number: len(coded[number]))
                longest = coded[anchor]
                entries = (Entry(phrase, coded[:anchor], coded[anchor + 1 :], longest[:1] == b" ", longest[-1:] == b" "),)
            else:
                longest = parts[0].encode()
                ends = longest[:1] == b" ", longest[-1:] == b" "
                # Most phrases stand for many patterns of one meaning: it is kept once.
                entries = shared.get(ends) or shared.setdefault(ends, (Entry(phrase, (), (), *ends),))
            words[longest] = words[longest] + entries if longest in words else entries
            if phrase.loose and (joined := squeezed(parts)) is not None:
                key = joined.encode()
                own = shared.get((0, 0)) or shared.setdefault((0, 0), (Entry(phrase, (), (), 0, 0),))
                letters[key] = letters[key] + own if key in letters else own
    return words, letters


@lru_cache(maxsize=20_000)
def _near(text: str) -> tuple[bytes, ...]:
    """Return the patterns of one `with` or `unless` text; of a text with gaps, those of all parts."""
    return tuple(part.encode() for parts in patterns_of(text) for part in parts)
