"""Keyword sets at work: one automaton finds every phrase in one pass, then weights become themes."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import ahocorasick

from rules.decision import Match
from rules.keywords.sets import KeywordSet, load_keyword_file
from rules.kinds import CONTEXTS
from rules.normalise import positions, words
from rules.settings import ThemeScore

DEFAULT_THRESHOLDS = {"search": 50, "form": 60, "prompt": 60, "page": 200}
MAX_MATCHES = 20
"""Matches that a verdict carries; the heaviest come first."""
_NEAR = 100
"""Characters on each side of a phrase in which its `with` and `unless` words count."""


class Verdict(NamedTuple):
    """What a text weighs."""

    themes: tuple[ThemeScore, ...]
    """Categories that reached their threshold, the highest level first."""
    matches: tuple[Match, ...]
    """Where their phrases stand, at most `MAX_MATCHES`, in the text as given."""


_NOTHING = Verdict((), ())


class _Rule(NamedTuple):
    text: str
    category: str
    weight: int
    level: int
    contexts: frozenset[str]
    needs: tuple[str, ...]
    unless: tuple[str, ...]
    length: int
    """Characters of the pattern in the normalised text, spaces at its ends included."""


class _Found(NamedTuple):
    rule: _Rule
    start: int
    end: int
    score: float


class KeywordMatcher:
    """Phrases compiled once; `weigh` changes nothing and may be called from any thread."""

    def __init__(self, rules: Iterable[tuple[str, _Rule]], thresholds: dict[str, int]) -> None:
        by_pattern: dict[str, list[_Rule]] = {}
        for pattern, rule in rules:
            by_pattern.setdefault(pattern, []).append(rule)
        self.count = sum(map(len, by_pattern.values()))
        self.thresholds = thresholds
        self._automaton = ahocorasick.Automaton()
        for pattern, found in by_pattern.items():
            self._automaton.add_word(pattern, tuple(found))
        if by_pattern:
            self._automaton.make_automaton()

    def at(self, thresholds: dict[str, int] | None) -> "KeywordMatcher":
        """Return a matcher of the same phrases for other thresholds; the compiled phrases are shared, not built again."""
        wanted = {**DEFAULT_THRESHOLDS, **(thresholds or {})}
        if wanted == self.thresholds:
            return self
        other = copy.copy(self)
        other.thresholds = wanted
        return other

    @classmethod
    def build(cls, sets: Iterable[KeywordSet], thresholds: dict[str, int] | None = None) -> Self:
        """Compile sets; `thresholds` is the weight to reach by context."""
        return cls(_rules(sets), {**DEFAULT_THRESHOLDS, **(thresholds or {})})

    @classmethod
    def load(cls, path: Path, thresholds: dict[str, int] | None = None) -> Self:
        """Compile one keyword file; raises `PolicyError`."""
        return cls.build(load_keyword_file(path), thresholds)

    def weigh(self, text: str, context: str) -> Verdict:
        """Return the categories whose phrases reach the context's threshold in the text.

        Each repeat of a phrase counts half as much as the one before, so that a word in every menu line does not
        outweigh a page. A category's level is the highest at which the phrases of that level and above reach the
        threshold alone.
        """
        if not self.count or not text:
            return _NOTHING
        plain = words(text)
        hits = list(self._automaton.iter(plain))
        if not hits:
            return _NOTHING
        found = self._found(plain, hits, context)
        if not found:
            return _NOTHING
        threshold = self.thresholds.get(context, self.thresholds["page"])
        themes = tuple(sorted(_themes(found, threshold), key=lambda theme: (-theme.level, -theme.score, theme.category)))
        if not themes:
            return _NOTHING
        return Verdict(themes, _matches(text, found, {theme.category for theme in themes}, context))

    def _found(self, plain: str, hits: list[tuple[int, tuple[_Rule, ...]]], context: str) -> list[_Found]:
        """Return the first place of each phrase that counts here, with the sum of its diminishing repeats."""
        places: dict[_Rule, list[int]] = {}
        for last, rules in hits:
            for rule in rules:
                if context in rule.contexts:
                    places.setdefault(rule, []).append(last + 1)
        found = []
        for rule, all_ends in places.items():
            ends = all_ends[:64]
            if rule.needs or rule.unless:
                ends = [end for end in ends if _holds(rule, plain, end)]
            if ends:
                end = ends[0]
                found.append(_Found(rule, end - rule.length, end, rule.weight * (2 - 0.5 ** (len(ends) - 1))))
        return found


def _rules(sets: Iterable[KeywordSet]) -> Iterable[tuple[str, _Rule]]:
    for one in sets:
        for phrase in one.phrases:
            pattern = _pattern(phrase.text)
            if not pattern.strip():
                continue
            yield pattern, _Rule(
                phrase.text, one.category, phrase.weight, phrase.level, frozenset(phrase.contexts) & frozenset(CONTEXTS),
                tuple(map(_pattern, phrase.needs)), tuple(map(_pattern, phrase.unless)), len(pattern),
            )  # fmt: skip


def _pattern(text: str) -> str:
    """Return what to look for in normalised text: spaces at the ends mean whole words, `*` at an end leaves it open."""
    core = words(text.strip().strip("*")).strip()
    return f"{'' if text.strip().startswith('*') else ' '}{core}{'' if text.strip().endswith('*') else ' '}"


def _holds(rule: _Rule, plain: str, end: int) -> bool:
    near = plain[max(0, end - rule.length - _NEAR) : end + _NEAR]
    if any(word in near for word in rule.unless):
        return False
    return not rule.needs or any(word in near for word in rule.needs)


def _themes(found: list[_Found], threshold: int) -> Iterable[ThemeScore]:
    by_category: dict[str, list[_Found]] = {}
    for one in found:
        by_category.setdefault(one.rule.category, []).append(one)
    for category, ones in by_category.items():
        total = sum(one.score for one in ones)
        if total < threshold:
            continue
        heaviest = max(ones, key=lambda one: (one.rule.weight * one.rule.level, one.score))
        so_far, level = 0.0, 1
        for one in sorted(ones, key=lambda one: -one.rule.level):
            so_far += one.score
            if so_far >= threshold:
                level = one.rule.level
                break
        yield ThemeScore(category, level, total, heaviest.rule.text)


def _matches(text: str, found: list[_Found], categories: set[str], context: str) -> tuple[Match, ...]:
    kept = [one for one in found if one.rule.category in categories]
    kept.sort(key=lambda one: (-one.rule.level, -one.score))
    kept = kept[:MAX_MATCHES]
    # The pattern's own spaces at its ends stand outside the phrase.
    spans = positions(text, [(one.start + _opening(one.rule), one.end - _closing(one.rule)) for one in kept])
    return tuple(
        Match(one.rule.text, one.rule.category, one.rule.level, one.rule.weight, context, start, end)
        for one, (start, end) in zip(kept, spans, strict=True)
    )


def _opening(rule: _Rule) -> int:
    return 0 if rule.text.strip().startswith("*") else 1


def _closing(rule: _Rule) -> int:
    return 0 if rule.text.strip().endswith("*") else 1
