"""Keyword sets: what they find, what they leave alone, and where they say it stands."""

import gzip
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.keywords import KeywordMatcher
from rules.keywords.sets import KeywordSet, Phrase, starter_sets
from rules.normalise import fold, positions, words

EVERYWHERE = ("search", "form", "prompt", "page")


@pytest.fixture(scope="module")
def starter() -> KeywordMatcher:
    return KeywordMatcher.build(starter_sets())


def matcher(*phrases: Phrase, category: str = "x") -> KeywordMatcher:
    return KeywordMatcher.build([KeywordSet(category, phrases)])


def phrase(text: str, weight: int = 60, level: int = 3, **rest: Any) -> Phrase:
    return Phrase(text, weight, level, rest.pop("contexts", EVERYWHERE), **rest)


@pytest.mark.parametrize(
    "text",
    [
        "breast cancer symptoms",
        "cut my hair short",
        "Sussex county cricket",
        "Middlesex and Essex",
        "Scunthorpe united",
        "kill a process in linux",
        "kill time at the airport",
        "Isis goddess of ancient Egypt",
        "suicide squad film",
        "same sex marriage law",
        "sex education",
        "breaststroke technique",
        "to kill a mockingbird summary",
        "dick turpin highwayman",
        "cocktail recipes",
        "shiitake mushrooms",
        "water filter bypass valve",
        "heart bypass surgery",
        "assassin bug facts",
        "how to die hair red",
        "weed killer",
        "hitler and the second world war",
        "class assembly on bullying",
        "lottery numbers probability",
        "clash royale deck",
        "shooting stars tonight",
        "drug discovery jobs",
        "grass cutting",
    ],
)
def test_harmless_searches_pass(starter: KeywordMatcher, text: str) -> None:
    assert starter.weigh(text, "search").themes == ()


@pytest.mark.parametrize(
    ("text", "category", "level"),
    [
        ("how to kill myself", "suicide", 5),
        ("I don't want to live anymore", "suicide", 5),
        ("painless ways to die", "suicide", 5),
        ("i want to cut myself", "self-harm", 4),
        ("thinspo tips", "eating-disorders", 4),
        ("someone asked me for nudes", "grooming", 5),
        ("how to join isis", "extremism", 4),
        ("how to make a bomb", "violence", 4),
        ("buy a knife without id", "violence", 4),
        ("how to roll a joint", "drugs", 3),
        ("everyone at school hates me", "bullying", 3),
        ("unblocked games 66", "filter-bypass", 3),
        ("free vpn for school", "filter-bypass", 3),
        ("porn", "pornography", 3),
        ("online casino free spins", "gambling", 2),
        ("holocaust hoax", "hate", 4),
        ("fucking hell", "profanity", 1),
    ],
)
def test_grave_searches_are_found_with_their_level(starter: KeywordMatcher, text: str, category: str, level: int) -> None:
    themes = starter.weigh(text, "search").themes
    assert (category, level) in {(theme.category, theme.level) for theme in themes}


@pytest.mark.parametrize(
    "text",
    [
        "KILL MYSELF",
        "kill   myself",
        "kill,myself",
        "kill-myself!",
        "k\u200bill my\u00adself",
        "ｋｉｌｌ ｍｙｓｅｌｆ",
        "ki\u0301ll mysélf",
        "kill%20myself",
        "kill+myself",
        "kill&nbsp;myself",
        "&#107;ill myself",
        "𝐤𝐢𝐥𝐥 𝐦𝐲𝐬𝐞𝐥𝐟",
    ],
)
def test_spelling_tricks_do_not_hide_a_phrase(starter: KeywordMatcher, text: str) -> None:
    assert starter.weigh(text, "search").themes[0].category == "suicide"


def test_whole_words_only_unless_a_star_opens_the_end() -> None:
    found = matcher(phrase("sex"), phrase("cid*"), phrase("*phobia"))
    assert not found.weigh("Sussex sexton accident", "search").themes
    assert found.weigh("cider", "search").themes
    assert found.weigh("arachnophobia", "search").themes


def test_with_and_unless_look_near_the_phrase_only() -> None:
    found = matcher(phrase("shot", needs=("gun",), unless=("film",)))
    assert not found.weigh("a shot", "search").themes
    assert found.weigh("a shot from a gun", "search").themes
    assert not found.weigh("a shot of a gun in a film", "search").themes
    assert found.weigh("a shot of a gun " + "and so on " * 30 + "film", "search").themes
    assert not found.weigh("shot " + "and so on " * 30 + "gun", "search").themes


def test_contexts_and_thresholds_decide_where_a_phrase_counts() -> None:
    found = matcher(phrase("alpha beta", contexts=("form",)), phrase("gamma", weight=40))
    assert not found.weigh("alpha beta", "search").themes
    assert found.weigh("alpha beta", "form").themes
    assert not found.weigh("gamma", "search").themes
    assert found.weigh("gamma gamma", "search").themes


def test_repeats_count_less_each_time() -> None:
    found = matcher(phrase("alpha", weight=100))
    assert not found.weigh("alpha " * 7, "page").themes  # approaches 200, never reaches it by repeats of one phrase alone
    assert (
        KeywordMatcher.build([KeywordSet("x", (phrase("alpha", weight=100), phrase("beta", weight=100)))])
        .weigh("alpha beta", "page")
        .themes
    )


def test_level_is_the_highest_that_reaches_the_threshold_alone() -> None:
    found = matcher(phrase("grave", weight=30, level=5), phrase("mild", weight=30, level=2), phrase("worse", weight=60, level=4))
    assert found.weigh("grave mild", "search").themes[0].level == 2
    assert found.weigh("grave mild worse", "search").themes[0].level == 4


def test_matches_point_at_the_text_as_given() -> None:
    found = matcher(phrase("dont panic"), phrase("straße"))
    text = "Oh &amp; well:  DON\u2019T\u200b  pa%6Eic, on the Straße"
    places = {match.phrase: text[match.start : match.end] for match in found.weigh(text, "search").matches}
    assert places == {"dont panic": "DON\u2019T\u200b  pa%6Eic", "straße": "Straße"}


def test_benign_sentences_of_public_texts_make_no_grave_alert(starter: KeywordMatcher, shared_data: Path) -> None:
    """Questions that people asked a search engine (NQ): alerts of level 4 and above have to be rare among them."""
    with gzip.open(shared_data / "benign" / "nq_open_dev.jsonl.gz", "rt") as lines:
        questions = [json.loads(line)["question"] for line in lines]
    grave = [text for text in questions if any(theme.level >= 4 for theme in starter.weigh(text, "search").themes)]
    assert len(questions) > 1000
    assert len(grave) / len(questions) < 0.001, grave


def test_matcher_without_phrases_finds_nothing() -> None:
    assert KeywordMatcher.build([]).weigh("kill myself", "search").themes == ()


@given(st.text(max_size=300))
def test_weighing_never_fails_and_positions_lie_inside_the_text(text: str) -> None:
    found = matcher(phrase("é*", weight=100), phrase("00*", weight=100), phrase("*aa", weight=100, loose=True), phrase("一", weight=100))
    for match in found.weigh(text, "search").matches:
        assert 0 <= match.start < match.end <= len(text)


@given(st.text(max_size=300))
def test_words_are_single_spaced_and_folding_twice_changes_nothing(text: str) -> None:
    plain = words(text)
    assert "  " not in plain.strip()
    assert plain[0] == plain[-1] == " "
    assert " ".join(fold(plain).split()) == plain.strip()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_every_character_of_the_plain_form_comes_from_somewhere(text: str) -> None:
    plain = words(text)
    if plain.strip():
        for start, end in positions(text, [(index, index + 1) for index in range(1, len(plain) - 1)]):
            assert 0 <= start < end <= len(text)


def test_long_hostile_texts_take_time_in_proportion() -> None:
    found = matcher(phrase("a b"), phrase("aa"))
    for text in ("%41" * 100_000, "&" * 300_000, "&amp" * 70_000, "\u0301" * 300_000, "\ufdfa" * 20_000, "a" * 300_000):
        start = time.perf_counter()
        found.weigh(text, "page")
        assert time.perf_counter() - start < 3


def test_public_speeches_and_plays_weigh_nothing_grave_as_pages(starter: KeywordMatcher, shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "benign" / "nltk_inaugural.zip") as archive:
        texts = [archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if name.endswith(".txt")]
    assert len(texts) > 20
    assert [text[:40] for text in texts if any(theme.level >= 4 for theme in starter.weigh(text, "page").themes)] == []


def test_other_thresholds_need_no_new_compilation() -> None:
    first = matcher(phrase("bad word", weight=60))
    same, higher = first.at({}), first.at({"search": 500})
    assert same is first
    assert first.weigh("bad word", "search").themes
    assert not higher.weigh("bad word", "search").themes
    assert higher.phrases is first.phrases


@given(st.text(alphabet="ab é&;#x1\u200b%41🔪 \n", max_size=120), st.integers(1, 60))
def test_places_in_long_texts_are_those_of_short_ones(text: str, times: int) -> None:
    long = (text + " ") * times + "the phrase " + text
    plain = words(long)
    start = plain.index(" the phrase ") + 1
    ((first, last),) = positions(long, [(start, start + len("the phrase"))])
    assert long[first:last] == "the phrase"
