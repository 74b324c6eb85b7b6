"""What took levels off a match is told as it happened: words beside it, the second reader, the site."""

from pathlib import Path

import pytest

from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from rules.look import Look
from rules.lowering import lowerings
from rules.policy import parse_policy
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State

POLICY = """
[keywords]
starter = false
[groups.pupils]
default = "allow"
[[keyword_sets]]
category = "suicide"
level = 4
words = ["end it", "grave words"]
[[keyword_sets]]
category = "suicide"
lowers = 2
words = ["essay on"]
[[keyword_sets]]
category = "bullying"
level = 5
words = ["gravest words"]
"""


@pytest.fixture(scope="module")
def plain(sealed: SealedLists) -> Ruleset:
    """A school that reads by phrases alone."""
    return Ruleset.of(parse_policy(f"[text]\nmodel = false\n{POLICY}", "policy.toml"), sealed)


def told(text: str, url: str, ruleset: Ruleset) -> tuple[list[tuple[str, int, str]], int]:
    """Return what is told, and the level that the gateway comes to."""
    address = canonicalise(url)
    request = Request(url=address, subject=Subject("", "pupils"), at=1_790_000_000.0, typed=(TypedText(text, "form"),))
    decision = Look(request, ruleset, State()).typed_decision()
    found = [(one.theme, one.levels, one.by) for one in lowerings(text, "form", address, "pupils", ruleset)]
    return found, decision.level if decision is not None else 0


@pytest.mark.parametrize(
    ("text", "url", "found", "level"),
    [
        ("i want to end it", "https://forum.example.org/", [], 4),
        ("essay on how they end it", "https://forum.example.org/", [("suicide", 2, "phrases")], 2),
        ("i want to end it", "https://en.wikipedia.org/", [("suicide", 1, "site")], 3),
        ("essay on how they end it", "https://en.wikipedia.org/", [("suicide", 2, "phrases"), ("suicide", 1, "site")], 1),
        ("gravest words", "https://www.childline.org.uk/", [("bullying", 1, "site")], 4),
        ("gravest words", "https://forum.example.org/", [], 5),
        ("nothing", "https://en.wikipedia.org/", [], 0),
    ],
)
def test_what_is_told_adds_up_to_what_the_gateway_does(plain: Ruleset, text: str, url: str, found: list[object], level: int) -> None:
    assert told(text, url, plain) == (found, level)


def test_the_second_readers_part_is_told_apart_and_never_of_a_level_five(sealed: SealedLists) -> None:
    whole = Ruleset.of(parse_policy(POLICY, str(Path("policy.toml"))), sealed)
    found, level = told("the grave words of the water cycle and the football match", "https://forum.example.org/", whole)
    assert level == 4 - sum(levels for _, levels, _ in found)
    assert {by for _, _, by in found} <= {"second-reader"}
    assert told("gravest words of the football match", "https://forum.example.org/", whole) == ([], 5)
