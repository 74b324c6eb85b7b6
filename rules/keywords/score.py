"""Weights become themes: which categories the phrases of a text add up to, and at which level."""

from collections.abc import Iterable
from typing import NamedTuple

from rules.disguises import Reading
from rules.keywords.compile import Watched
from rules.settings import ThemeScore

GRAVEST = 5
"""The level that nothing lowers."""

_SHORT, _LONG = 400, 6_000
"""Characters up to which one phrase is enough, and from which a typed text is weighed like a page."""
_SLACK = 4


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


class Needed(NamedTuple):
    """The weight that a text has to reach: one phrase is enough in a message, and says little in a chapter.

    From some eighty words on it rises with the length of the text to what a page has to reach; for the gravest
    phrases only from four times that length, as a long letter may name the worst once.
    """

    threshold: int
    full: int
    """What the longest texts have to reach."""
    characters: int

    def at(self, level: int) -> float:
        """Return the weight for phrases of a level and above."""
        slack = _SLACK if level >= GRAVEST else 1
        share = (self.characters - _SHORT * slack) / ((_LONG - _SHORT) * slack)
        return self.threshold + max(0, self.full - self.threshold) * min(1.0, max(0.0, share))


def score(found: Iterable[Found], needed: Needed) -> tuple[ThemeScore, ...]:
    """Return the categories whose phrases add up to what is needed, the highest level first."""
    by_category: dict[str, list[Found]] = {}
    for one in found:
        by_category.setdefault(one.phrase.category, []).append(one)
    themes = [theme for category, ones in by_category.items() if (theme := _theme(category, ones, needed)) is not None]
    themes.sort(key=lambda theme: (-theme.level, -theme.score, theme.category))
    return tuple(themes)


def _theme(category: str, ones: list[Found], needed: Needed) -> ThemeScore | None:
    so_far, stopping, level, stops = 0.0, 0.0, 0, False
    for one in sorted(ones, key=lambda one: -one.phrase.level):
        so_far += one.score
        stopping += one.score if one.phrase.stops else 0
        level = level or (one.phrase.level if so_far >= needed.at(one.phrase.level) else 0)
        stops = stops or stopping >= needed.at(one.phrase.level)
    if not level:
        return None
    heaviest = max(ones, key=lambda one: (one.phrase.weight * one.phrase.level, one.score))
    lowers = max(one.phrase.lowers for one in ones)
    lowered = min(lowers, level - 1) if level < GRAVEST else 0
    return ThemeScore(category, level - lowered, so_far, heaviest.phrase.text, lowered, stops)
