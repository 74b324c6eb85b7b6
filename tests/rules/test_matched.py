"""Matches for people: quoted with the words around them, found again in a record, and of what is not kept nothing is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from rules.decision import Match
from rules.explain import explained, question
from rules.keywords.patterns import readable
from rules.matched import AROUND, of_event, quote, quote_of_event, view
from rules.policy import parse_policy
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State


def match(start: int, end: int) -> Match:
    return Match("p", "suicide", 5, 100, "search", start, end)


def said(text: str, *spans: tuple[int, int]) -> str:
    return "".join(f"[{one.text}]" if one.marked else one.text for one in quote(text, [match(*span) for span in spans]))


def test_a_quote_marks_the_words_and_leaves_out_what_is_far_away() -> None:
    assert said("tell me how to do it", (8, 14)) == "tell me [how to] do it"
    far = "abc def " * 60
    text = said(f"{far}THIS ONE{far}", (480, 488))
    assert text.startswith("… abc def ")
    assert "def [THIS ONE]abc" in text
    assert text.endswith("abc def …")
    assert len(text) <= 2 * AROUND + 20


def test_several_matches_are_marked_and_those_that_overlap_once() -> None:
    assert said("one two three four", (4, 13), (8, 18), (0, 3)) == "[one] [two three][ four]"


def test_line_ends_and_spaces_are_one_space() -> None:
    assert said("so\n\n  tired\tof it", (2, 11)) == "so[ tired] of it"


def test_places_outside_the_text_quote_nothing() -> None:
    assert quote("short", [match(0, 0), match(3, 99), match(-4, 2)]) == []


@given(st.text(max_size=400), st.lists(st.tuples(st.integers(-5, 420), st.integers(-5, 420)), max_size=5))
def test_a_quote_is_made_of_the_text_alone_and_bounded_by_its_matches(text: str, spans: list[tuple[int, int]]) -> None:
    pieces = quote(text, [match(*span) for span in spans])
    plain = "".join(piece.text for piece in pieces).replace("…", "").split()
    assert "".join(plain) in "".join(text.replace("…", "").split())


POLICY = """
[text]
model = false
[keywords]
starter = false
[groups.ks2]
[[keyword_sets]]
category = "self-harm"
level = 4
words = ["how to hurt myself", "{i want to|ill} ... {cut|hurt} myself"]
"""


@pytest.fixture(scope="module")
def school(sealed: SealedLists) -> Ruleset:
    """A school with few phrases of its own."""
    return Ruleset.of(parse_policy(POLICY, "policy.toml"), sealed)


@pytest.fixture
def event() -> dict[str, object]:
    return {
        "search": "", "excerpt": "", "matches": ("how to hurt myself", "gone since"), "category": "self-harm",
        "categories": ("self-harm",), "group": "ks2", "reason": "page-text",
    }  # fmt: skip


def test_a_search_of_the_record_is_found_again_with_its_place(school: Ruleset, event: dict[str, object]) -> None:
    event |= {"search": "so how to hurt myself", "reason": "typed-text"}
    first, second = of_event(event, school)
    assert (first["words"], first["start"], first["theme"], first["needed"]) == ("how to hurt myself", 3, "self-harm", 50)
    assert (second["phrase"], second["theme"], second["level"], second["words"]) == ("gone since", "", 0, "")
    assert [piece.text for piece in quote_of_event(event, school) if piece.marked] == ["how to hurt myself"]


def test_a_page_of_the_record_has_no_text_and_says_so(school: Ruleset, event: dict[str, object]) -> None:
    first, _ = of_event(event, school)
    assert (first["words"], first["end"], first["theme"]) == ("", 0, "self-harm")
    assert first["needed"] == school.policy.text.thresholds["page"]
    assert quote_of_event(event, school) == []
    event["excerpt"] = "where is how to hurt myself asked"
    assert [piece.text for piece in quote_of_event(event, school) if piece.marked] == ["how to hurt myself"]


def test_what_the_second_reader_thought_is_told_as_such(school: Ruleset, event: dict[str, object]) -> None:
    (one,) = of_event(event | {"matches": ("model: so done, with it",)}, school)
    assert (one["kind"], one["theme"], one["level"]) == ("model", "self-harm", 3)


def test_a_phrase_with_alternatives_is_shown_as_somebody_would_write_it(school: Ruleset, event: dict[str, object]) -> None:
    (one,) = of_event(event | {"matches": ("{i want to|ill} ... {cut|hurt} myself",)}, school)
    assert (one["example"], one["theme"]) == ("i want to … cut myself", "self-harm")
    assert readable("{broken") == "{broken"


def test_an_event_without_phrases_has_no_matches(school: Ruleset, event: dict[str, object]) -> None:
    assert of_event(event | {"matches": ()}, school) == []
    assert quote_of_event(event | {"matches": (), "search": "how to hurt myself"}, school) == []


def test_explain_shows_every_phrase_with_its_weight_place_and_words(school: Ruleset) -> None:
    text = "https://www.google.com/search?q=please%20how%20to%20hurt%20myself"
    answer = explained(text, question(text, school, group="ks2", at=1_790_000_000.0), school, State())
    (one,) = (found for found in answer["matched"] if found["phrase"] == "how to hurt myself")
    assert (one["start"], one["words"], one["theme"], one["needed"]) == (7, "how to hurt myself", "self-harm", 50)
    assert one["title"] == school.policy.title_of("self-harm")
    assert answer["lowered"] == []
    assert view(Match("p", "none-such", 1, 1, "page"), school.policy)["title"] == "none-such"


def test_explain_says_by_how_much_a_site_of_lessons_lowers(school: Ruleset) -> None:
    url = canonicalise("https://en.wikipedia.org/w/index.php")
    request = Request(url=url, subject=Subject("", "ks2"), at=1_790_000_000.0, typed=(TypedText("how to hurt myself"),))
    answer = explained("https://en.wikipedia.org/w/index.php", request, school, State())
    assert answer["matched"]
    assert [(one["theme"], one["levels"], one["by"]) for one in answer["lowered"]] == [("self-harm", 1, "site")]
