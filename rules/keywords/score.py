"""Weights become themes: which categories the phrases of a text add up to, and at which level."""

from collections.abc import Iterable
from typing import NamedTuple

from rules.disguises import Reading
from rules.keywords.compile import Watched
from rules.settings import ThemeScore

GRAVEST = 5
"""The level that nothing lowers."""


class Found(NamedTuple):
    """One phrase in a text."""

    phrase: Watched
    start: int
    end: int
    """Its first place, in bytes of the reading that showed it."""
    times: int
    reading: Reading | None
    """The second reading that showed it; None for the text as it stands."""

    @property
    def score(self) -> float:
        """Weight with its repeats, each worth half of the one before."""
        return self.phrase.weight * (2 - 0.5 ** (self.times - 1))


def score(found: Iterable[Found], threshold: int) -> tuple[ThemeScore, ...]:
    """Return the categories whose phrases add up to the threshold, the highest level first."""
    by_category: dict[str, list[Found]] = {}
    for one in found:
        by_category.setdefault(one.phrase.category, []).append(one)
    themes = [theme for category, ones in by_category.items() if (theme := _theme(category, ones, threshold)) is not None]
    themes.sort(key=lambda theme: (-theme.level, -theme.score, theme.category))
    return tuple(themes)


def _theme(category: str, ones: list[Found], threshold: int) -> ThemeScore | None:
    total = sum(one.score for one in ones)
    if total < threshold:
        return None
    heaviest = max(ones, key=lambda one: (one.phrase.weight * one.phrase.level, one.score))
    so_far, level = 0.0, 1
    for one in sorted(ones, key=lambda one: -one.phrase.level):
        so_far += one.score
        if so_far >= threshold:
            level = one.phrase.level
            break
    lowers = max(one.phrase.lowers for one in ones)
    if lowers and level < GRAVEST:
        return ThemeScore(category, max(1, level - lowers), total, heaviest.phrase.text, min(lowers, level - 1))
    return ThemeScore(category, level, total, heaviest.phrase.text)
