"""Disguised spellings are read, and ordinary text is left alone."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.disguises import readings, signs_of, undisguised
from rules.keywords import KeywordMatcher
from rules.keywords.frozen import freeze, thaw
from rules.keywords.patterns import PatternError, check, expand, pattern, patterns_of
from rules.keywords.sets import KeywordSet, Phrase
from rules.normalise import words

EVERYWHERE = ("search", "form", "prompt", "page")


def matcher(*texts: str, **rest: Any) -> KeywordMatcher:
    return KeywordMatcher.build([KeywordSet("x", tuple(Phrase(text, 60, 3, EVERYWHERE, **rest) for text in texts))])


@pytest.mark.parametrize(
    "text",
    [
        "k1ll my53lf", "K!ll Myself", "k i l l m y s e l f", "k.i.l.l  m-y-s-e-l-f", "kiiiill myselffff", "kil\u200bl my\u00adself",
        "кill mysеlf",
        "ｋｉｌｌ ｍｙｓｅｌｆ", "k&#105;ll%20myself", "\\u006bill myself", "k\u0301ill my\u0336self", "🅺🅸🅻🅻 🅼🆈🆂🅴🅻🅵", "ki|| myself",
    ],
)  # fmt: skip
def test_a_loose_phrase_is_found_in_every_disguise_and_quoted_from_the_original(text: str) -> None:
    found = matcher("kill myself", loose=True).weigh(f"well {text} then", "search")
    assert found.themes, text
    quoted = f"well {text} then"[found.matches[0].start : found.matches[0].end]
    assert quoted.strip(" .-") == text or words(quoted) == words(text)


@pytest.mark.parametrize("text", ["k1ll myself", "k i l l m y s e l f", "kiiill myself"])
def test_other_phrases_are_not_looked_for_in_disguises(text: str) -> None:
    assert not matcher("kill myself").weigh(text, "search").themes


def test_all_phrases_are_looked_for_where_most_of_the_text_is_disguised() -> None:
    assert matcher("kill myself").weigh("1 w4nt t0 k1ll mys3lf t0n1ght", "search").themes
    assert matcher("kill myself").weigh("i   w a n t   t o   k i l l   m y s e l f", "search").themes
    assert (
        not matcher("kill myself")
        .weigh("the m4in thing i said in that long letter was to k1ll myself or so the book went", "search")
        .themes
    )


def test_a_short_word_is_not_made_of_the_ends_of_others() -> None:
    assert not matcher("shit", loose=True).weigh("c r a s h i t", "search").themes


@pytest.mark.parametrize("text", ["plain words of a sentence, with 42 numbers and 3 marks!", "", "the year 1066 and 2024", "a b c"])
def test_ordinary_text_has_no_second_reading(text: str) -> None:
    assert list(readings(text, words(text))) == []
    assert undisguised(text) == text


def test_a_phrase_with_a_gap_is_found_in_letters_set_apart_with_wider_spaces_between_words() -> None:
    text = "   ".join(" ".join(word) for word in ["how", "do", "i", "hide", "it", "without", "my", "mum", "knowing"])
    found = matcher("how do i ... without my mum knowing", loose=True).weigh(text, "search")
    assert found.themes
    assert "w i t h o u t" in text[found.matches[0].start : found.matches[0].end]


def test_compiled_phrases_thaw_to_what_they_were() -> None:
    sets = (
        KeywordSet(
            "x", (Phrase("{a|b}ad thing", 60, 3, EVERYWHERE, loose=True, unless=("film",)), Phrase("how do i ... it", 60, 4, EVERYWHERE))
        ),
        KeywordSet("y", (Phrase("*casino*", 60, 2, ("host",)), Phrase("aad thing", 60, 5, EVERYWHERE))),
    )
    built = KeywordMatcher.build(sets)
    thawed = KeywordMatcher.thaw(freeze(built.phrases), sets)
    for text in ("bad thing", "b4d thing", "b a d t h i n g", "bad thing film", "aad thing", "how do i get it", "nothing"):
        assert thawed.weigh(text, "search") == built.weigh(text, "search")
    assert thawed.weigh_host("mycasino.example") == built.weigh_host("mycasino.example")
    assert thaw(freeze(built.phrases), sets[:1]) is None


def test_spaced_out_letters_are_not_found_inside_other_words() -> None:
    assert not matcher("shit", loose=True).weigh("the crash it caused", "search").themes
    assert matcher("shit", loose=True).weigh("s h i t", "search").themes


@given(st.text(max_size=200))
def test_no_text_breaks_the_readings_and_spans_lie_inside(text: str) -> None:
    undisguised(text)
    for reading in readings(text, words(text)):
        size = len(reading.text)
        for start, end in ((1, size - 1), (0, size), (size // 2, size)):
            if start < end:
                first, last = reading.original(start, end)
                assert 0 <= first <= last <= len(text)


@given(st.text(alphabet="ak1l! .\u200b", max_size=60))
def test_hostile_runs_take_no_time(text: str) -> None:
    assert len(list(readings(text * 60, words(text * 60)))) <= 5


def test_alternatives_and_gaps_unfold() -> None:
    assert expand("{a |}big {cat|dog}") == [("a big cat",), ("a big dog",), ("big cat",), ("big dog",)]
    assert expand("how do i ... without my {mum|dad} knowing") == [
        ("how do i", "without my mum knowing"), ("how do i", "without my dad knowing"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["{ab|cd", "ab}", "{a{b|c}|d}", "x", "{|a}", "ab ... cd ... ef ... gh", "{0|1|2|3|4|5|6|7|8|9}" * 5 + "ab", "a" * 501]
)
def test_a_phrase_that_cant_be_looked_for_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(PatternError, match=r"\.$"):
        expand(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("how do i hide it without my mum knowing", True),
        ("how do i without my mum knowing", True),
        ("how do i get to the station in town and back without my mum knowing", False),
        ("without my mum knowing how do i", False),
        ("how do i one two three four five six without my mum knowing", True),
    ],
)
def test_a_gap_stands_for_up_to_six_words(text: str, found: bool) -> None:
    assert bool(matcher("how do i ... without my mum knowing").weigh(text, "search").themes) is found


def test_alternatives_of_one_phrase_at_one_place_count_once() -> None:
    (theme,) = matcher("{i |}{really |}hate you").weigh("i really hate you", "search").themes
    assert theme.score == 60


@pytest.mark.parametrize(
    ("phrase", "text"),
    [("自杀", "我想自杀了"), ("自殺したい", "もう自殺したいです"), ("🔪", "i want to 🔪 him"), ("انتحار", "طريقة انتحار سهلة")],
)
def test_other_scripts_and_emoji_are_found(phrase: str, text: str) -> None:
    assert matcher(phrase).weigh(text, "search").themes


def test_words_that_lower_take_levels_off_but_never_the_gravest() -> None:
    def at(level: int) -> int:
        sets = KeywordSet("x", (Phrase("bad thing", 60, level, EVERYWHERE), Phrase("help with", 1, 1, EVERYWHERE, lowers=2)))
        (theme,) = KeywordMatcher.build([sets]).weigh("help with bad thing", "search").themes
        return theme.level

    assert [at(level) for level in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 5]


def test_words_that_lower_weigh_nothing_alone() -> None:
    sets = KeywordSet("x", (Phrase("help with", 100, 4, EVERYWHERE, lowers=1),))
    assert not KeywordMatcher.build([sets]).weigh("help with", "search").themes


def test_host_words_count_for_host_names_alone() -> None:
    found = KeywordMatcher.build([KeywordSet("x", (Phrase("*casino*", 60, 2, ("host",)),))])
    assert found.weigh_host("best-casino77.example").themes
    assert found.weigh_host("casinoroyale.example").themes
    assert not found.weigh_host("school.example").themes
    assert not found.weigh("casino", "search").themes


@given(st.text(alphabet="ab {}|*.-'é%", max_size=40).map(lambda text: f"aa{text}bb"))
def test_the_quick_way_to_patterns_gives_what_the_plain_way_gives(text: str) -> None:
    try:
        plainly = [tuple(map(pattern, parts)) for parts in expand(text)]
    except PatternError:
        return
    assert list(dict.fromkeys(plainly)) == list(dict.fromkeys(patterns_of(text)))


def refusal(ask: Callable[[str], object], text: str) -> str | None:
    try:
        ask(text)
    except PatternError as error:
        return str(error)
    return None


PIECES = [
    "a",
    "b ",
    " ",
    "1",
    "...",
    " ... ",
    "\u2026",
    " \u2026 ",
    "{",
    "}",
    "|",
    "{a|}",
    "{|b}",
    "{a ...|b}",
    " {x| ...} ",
    "*",
    "\u4e2d",
]


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_a_quick_check_refuses_what_unfolding_refuses(text: str) -> None:
    assert refusal(check, text) == refusal(expand, text)


@pytest.mark.parametrize(
    "text", ["on the 23rd", "in the 1500s", "a ford f150", "10m air pistol", "simple sugar(s)", "at 9am", "5kg of flour"]
)
def test_numbers_with_endings_hide_no_word(text: str) -> None:
    assert not any(signs_of(text, words(text)))


@pytest.mark.parametrize("text", ["k1ll them", "you a55", "5uicide", "i h8 u", "f4t", "k!ll", "m0l3st", "the 23rd k1ll"])
def test_signs_among_letters_are_seen(text: str) -> None:
    assert signs_of(text, words(text)).mixed
