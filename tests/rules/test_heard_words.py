"""Despair and worry are heard and not stopped; long texts need more than one phrase; disguises are read word by word."""

import msgspec
import pytest

from blocklists.url import canonicalise
from rules.classify import Classifier, Text
from rules.decision import Action
from rules.keywords import KeywordMatcher
from rules.keywords.patterns import readable
from rules.keywords.sets import KeywordSet, Phrase
from rules.look import Look
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset, starter_ruleset
from rules.state import State

EVERYWHERE = ("search", "form", "prompt", "page")
PROSE = "The harbour was quiet that morning and the boats lay still upon the water. "


@pytest.fixture(scope="module")
def alone() -> Ruleset:
    """The starter sets without the text model."""
    return msgspec.structs.replace(starter_ruleset(), model=None)


def matcher(*phrases: Phrase) -> KeywordMatcher:
    return KeywordMatcher.build([KeywordSet("x", phrases)])


def phrase(text: str, weight: int = 60, level: int = 3, **rest: object) -> Phrase:
    return msgspec.structs.replace(Phrase(text, weight, level, EVERYWHERE), **rest)


@pytest.mark.parametrize(
    "text",
    [
        "i want to kill myself", "My friend wants to kill herself", "i cut myself again last night and i cant stop",
        "everyone would be better off without me",
    ],
)  # fmt: skip
@pytest.mark.parametrize("context", ["typed", "ai"])
def test_despair_and_worry_are_heard_and_not_stopped(alone: Ruleset, text: str, context: str) -> None:
    decision = Classifier(alone, at=1.0).decision(Text(text, context=context))
    assert decision is not None
    assert decision.level >= 3
    assert decision.action is Action.LOG


def test_worry_about_a_friend_is_not_stopped_in_a_search(alone: Ruleset) -> None:
    decision = Classifier(alone, at=1.0).decision(Text("My friend wants to kill herself", context="search"))
    assert decision is not None
    assert (decision.action, decision.level) == (Action.LOG, 4)


def test_looking_for_a_way_is_stopped_although_it_is_despair_too(alone: Ruleset) -> None:
    decision = Classifier(alone, at=1.0).decision(Text("i want to die, what is the easiest way to kill myself", context="search"))
    assert decision is not None
    assert (decision.action, decision.category, decision.level) == (Action.BLOCK, "suicide", 5)


def test_the_same_words_in_an_answer_are_stopped(alone: Ruleset) -> None:
    def decision(answer: bool) -> Action:
        policy = alone.policy
        typed = (TypedText("I want to kill myself tonight", "prompt", answer),)
        request = Request(url=canonicalise("https://chat.example/"), subject=Subject("", policy.strictest_group), at=1.0, typed=typed)
        found = Look(request, alone, State()).typed_decision()
        assert found is not None
        return found.action

    assert decision(answer=True) is Action.BLOCK
    assert decision(answer=False) is Action.LOG


def test_one_phrase_is_enough_in_a_message_and_not_in_a_chapter() -> None:
    found = matcher(phrase("old lantern"))
    assert found.weigh("an old lantern", "form").themes
    assert not found.weigh(f"{PROSE * 20}an old lantern", "form").themes
    assert found.weigh(f"{PROSE * 5}an old lantern", "form", {"form": 40, "page": 200}).themes


def test_several_phrases_are_heard_in_a_long_text_and_the_gravest_longer_than_others() -> None:
    several = matcher(phrase("old lantern", 100), phrase("broken oar", 100))
    assert several.weigh(f"{PROSE * 40}an old lantern and a broken oar", "form").themes
    assert matcher(phrase("old lantern", 100, 5)).weigh(f"{PROSE * 40}an old lantern", "form").themes
    assert not matcher(phrase("old lantern", 100, 4)).weigh(f"{PROSE * 40}an old lantern", "form").themes


def test_a_theme_stops_only_by_the_weight_of_phrases_that_may_stop() -> None:
    both = matcher(phrase("old lantern", stops=False), phrase("broken oar"))
    assert [theme.stops for theme in both.weigh("an old lantern", "form").themes] == [False]
    assert [theme.stops for theme in both.weigh("an old lantern, a broken oar", "form").themes] == [True]


@pytest.mark.parametrize(
    "text", ["iiii felllll goooood", "1 f3ll g00d", "i fe11 good", "i h8 and fell good", "f.e.l.l g.o.o.d", "f e l l   g o o d"]
)
def test_runs_and_signs_are_read_word_by_word(text: str) -> None:
    assert matcher(phrase("fell good", loose=True), phrase("i hate", loose=True)).weigh(text, "form").themes


@pytest.mark.parametrize(
    "text", ["old lantern in m1n3cr4ft", "old lantern in mineeeecraft", "old lantern in m i n e c r a f t", "0ld l4ntern in minecraft"]
)
def test_what_makes_a_phrase_harmless_counts_in_any_reading_of_the_same_stretch(text: str) -> None:
    assert matcher(phrase("old lantern", loose=True)).weigh(text, "form").themes
    assert not matcher(phrase("old lantern", loose=True, unless=("minecraft",))).weigh(text, "form").themes


@pytest.mark.parametrize(
    ("written", "read"),
    [("{how to|ways to} find ... {a|the} lantern*", "how to find … a lantern"), ("plain words", "plain words"), ("{broken", "{broken")],
)
def test_a_phrase_is_shown_as_somebody_would_write_it(written: str, read: str) -> None:
    assert readable(written) == read
