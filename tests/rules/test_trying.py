"""A text tried against the phrases: what counts, what does not and why, and where it all stands in the text as given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.keywords import KeywordMatcher
from rules.keywords.sets import KeywordSet, Phrase
from rules.keywords.trying import Tried, try_text
from rules.kinds import TEXT_CONTEXTS


def phrase(text: str, weight: int = 60, level: int = 4, contexts: tuple[str, ...] = TEXT_CONTEXTS, **values: Any) -> Phrase:
    return Phrase(text, weight, level, contexts, **values)


def tried(text: str, *phrases: Phrase, context: str = "search", thresholds: dict[str, int] | None = None) -> Tried:
    return try_text(text, context, [KeywordSet("suicide", phrases, "ours.toml:3")], thresholds or {})


def test_a_phrase_that_counts_shows_its_place_in_the_text_as_given() -> None:
    text = "Why do I WANT&nbsp;to d\u0131e?  K\u0131ll\u00a0  MYSELF"
    found = tried("so: K\u00cdLL\u00a0  M\u200by&shy;self!", phrase("kill myself", level=5, kind="plain"))
    (one,) = found.matches
    assert (one.phrase, one.category, one.level, one.weight, one.kind, one.source) == (
        "kill myself",
        "suicide",
        5,
        60,
        "plain",
        "ours.toml:3",
    )
    assert (one.start, one.excluded) == (4, "")
    assert one.words.startswith("K\u00cdLL")
    assert found.themes[0].level == 5
    assert tried(text, phrase("zzz zz")).matches == ()


@pytest.mark.parametrize(
    ("rule", "text", "why"),
    [
        (phrase("kms", unless=("windows", "aws")), "kms activator for windows", "It does not count near “windows”."),
        (phrase("cut", needs=("wrist", "arm")), "cut the grass", "It counts only near one of: “wrist”, “arm”."),
        (phrase("overdose", contexts=("page", "prompt")), "overdose", "It counts in prompts to AI assistants and pages only."),
        (phrase("cut", needs=("arm",), unless=("hair",)), "cut my hair by the arm", "It does not count near “hair”."),
    ],
)
def test_a_phrase_that_does_not_count_says_why(rule: Phrase, text: str, why: str) -> None:
    found = tried(text, rule)
    assert [one.excluded for one in found.matches] == [why]
    assert found.themes == ()


def test_two_phrases_of_one_wording_are_told_apart() -> None:
    found = tried("kms now", phrase("kms", unless=("now",)), phrase("kms", level=2))
    assert [(one.level, bool(one.excluded)) for one in found.matches] == [(2, False), (4, True)]


def test_the_score_stands_beside_the_weight_that_was_needed() -> None:
    found = tried("so sad and lonely", phrase("sad", 20), phrase("lonely", 20), context="form")
    (theme,) = found.themes
    assert (theme.score, theme.threshold, theme.reached, theme.level) == (40, 60, False, 0)
    found = tried("so sad and lonely", phrase("sad", 20), phrase("lonely", 20), context="form", thresholds={"form": 40})
    assert (found.themes[0].threshold, found.themes[0].reached, found.themes[0].level) == (40, True, 4)


def test_words_that_lower_are_named_with_what_they_lower_but_never_a_level_five() -> None:
    helps = phrase("helpline", lowers=2)
    found = tried("thinking of suicide helpline", phrase("suicide", level=4), helps)
    (theme,) = found.themes
    assert (theme.level, theme.lowered, theme.lowered_by) == (2, 2, ("helpline",))
    assert [(one.phrase, one.weight, one.lowers) for one in found.matches if one.lowers] == [("helpline", 0, 2)]
    grave = tried("thinking of suicide helpline", phrase("suicide", level=5), helps)
    assert (grave.themes[0].level, grave.themes[0].lowered, grave.themes[0].lowered_by) == (5, 0, ())


texts = st.text(st.sampled_from("kms cutarm windows hair%20&amp;\u200b\u00e9ΑＫ1!"), max_size=60)


@given(texts, st.sampled_from(TEXT_CONTEXTS))
def test_what_counts_here_is_what_the_gateway_finds(text: str, context: str) -> None:
    rules = (
        phrase("kms", unless=("windows",)),
        phrase("cut*", 30, 3, needs=("arm",)),
        phrase("hair", 60, 2, ("search",)),
        phrase("arm", 10, 1),
    )
    found = tried(text, *rules, context=context)
    verdict = KeywordMatcher.build([KeywordSet("suicide", rules)]).weigh(text, context)
    assert [(one.category, one.level) for one in found.themes if one.reached] == [(one.category, one.level) for one in verdict.themes]
    if verdict.themes:
        assert {one.phrase for one in found.matches if not one.excluded} == {one.phrase for one in verdict.matches}
    assert all(text[one.start : one.end] == one.words for one in found.matches)
