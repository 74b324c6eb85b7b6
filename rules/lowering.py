"""What took levels off a match: words beside it, the second reader, the site on which it stands."""

from collections.abc import Iterator

import msgspec

from blocklists.url import CanonicalUrl
from rules.curriculum import lowered, lowers_at
from rules.ruleset import Ruleset
from rules.second_reader import second_reading


class Lowering(msgspec.Struct, frozen=True):
    """One thing that made words of a category less grave."""

    theme: str
    levels: int
    by: str
    """`phrases`, `second-reader` or `site`."""
    because: str
    """A few words that complete the sentence: the phrases, what the reader thinks, the host."""


def lowerings(text: str, context: str, url: CanonicalUrl, group: str, ruleset: Ruleset) -> Iterator[Lowering]:
    """Return what made a text less grave, in the order in which the gateway asks; it changes no decision."""
    policy = ruleset.policy
    verdict = ruleset.keywords.weigh(text, context, policy.thresholds_of(group))
    for theme in verdict.themes:
        if theme.lowered:
            words = ", ".join(f"“{one.phrase}”" for one in verdict.matches if one.lowers and one.category == theme.category)
            yield Lowering(theme.category, theme.lowered, "phrases", words)
    second = second_reading(verdict, text, context, ruleset.model if policy.text.model else None).verdict
    first = {theme.category: theme.level for theme in verdict.themes}
    eased = lowers_at(url)
    for theme in second.themes:
        fell = first.get(theme.category, theme.level) - theme.level
        if fell > 0:
            yield Lowering(theme.category, fell, "second-reader", "it is sure that nothing of the kind is meant")
        milder = theme.level - lowered(theme.level, eased)
        if milder:
            yield Lowering(theme.category, milder, "site", f"{url.host} is a site of help or of lessons")
