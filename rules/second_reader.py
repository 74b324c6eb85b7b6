"""Keyword sets and text model together: what the model adds to a verdict, and where it takes a level off."""

from collections.abc import Iterable
from typing import NamedTuple

from rules.decision import Match
from rules.keywords import Verdict
from rules.model.reader import CONTEXTS, Finding, TextModel
from rules.settings import ThemeScore

LEVEL = 3
"""Level of what the model alone sees: a person hears of it."""
GRAVEST = 5
JUDGES_HARMLESS = frozenset({"hate", "discrimination", "vawg", "pornography", "profanity"})
"""Categories of which the model has learned enough real texts, harmless ones among them, to take a level off."""
MOST = 2
"""Themes that the model adds to one text, the surest ones."""
MARK = "model: "
"""Start of the phrase of a match that the model made."""
_QUOTED = 160


class SecondVerdict(NamedTuple):
    """A verdict after the second reading."""

    verdict: Verdict
    model_only: frozenset[str]
    """Categories for which only the model speaks: they block nothing unless the policy says so."""


def second_reading(verdict: Verdict, text: str, context: str, model: TextModel | None) -> SecondVerdict:
    """Return the keyword sets' verdict as the model leaves it; it takes levels off insults and the like only, and never off a level 5.

    A theme that it sees is raised to level 3, unless harmless words took the level off. Where it sees no theme at all and
    is sure of it, levels 3 and 4 go down by one.
    """
    if model is None or context not in CONTEXTS:
        return SecondVerdict(verdict, frozenset())
    opinion = model.read(text, context, also_harmless=bool(verdict.themes))
    if not opinion.findings:
        if opinion.harmless and any(_can_fall(theme) for theme in verdict.themes):
            return SecondVerdict(Verdict(_sorted(map(_fallen, verdict.themes)), verdict.matches), frozenset())
        return SecondVerdict(verdict, frozenset())
    if any(theme.level >= LEVEL for theme in verdict.themes):
        # A person hears of it anyway, and by words that can be shown.
        return SecondVerdict(verdict, frozenset())
    themes = {theme.category: theme for theme in verdict.themes}
    matches, alone = list(verdict.matches), set()
    for finding in opinion.findings[:MOST]:
        known = themes.get(finding.category)
        if known is not None and known.lowered:
            continue
        phrase = MARK + ", ".join(model.reasons(text, finding.head))
        if known is None:
            alone.add(finding.category)
            themes[finding.category] = ThemeScore(finding.category, LEVEL, 100 * finding.probability, phrase)
        else:
            themes[finding.category] = known._replace(level=LEVEL)
        matches.append(_match(phrase, finding, text, context))
    return SecondVerdict(Verdict(_sorted(themes.values()), tuple(matches)), frozenset(alone))


def _match(phrase: str, finding: Finding, text: str, context: str) -> Match:
    """Return the model's match: its weight is how sure it is, in percent, and it stands for the start of the text."""
    return Match(phrase, finding.category, LEVEL, round(100 * finding.probability), context, 0, min(len(text), _QUOTED), kind="model")


def _can_fall(theme: ThemeScore) -> bool:
    return LEVEL <= theme.level < GRAVEST and theme.category in JUDGES_HARMLESS


def _fallen(theme: ThemeScore) -> ThemeScore:
    return theme._replace(level=theme.level - 1, lowered=theme.lowered + 1) if _can_fall(theme) else theme


def _sorted(themes: Iterable[ThemeScore]) -> tuple[ThemeScore, ...]:
    return tuple(sorted(themes, key=lambda theme: (-theme.level, -theme.score, theme.category)))
