"""What no school may find blocked on the first day: help, health, lessons, faith, newspapers, places and names."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocklists.allow import AllowIndex
from blocklists.index import ListIndex
from blocklists.library import Library
from blocklists.sealed import SealedLists
from blocklists.starter import install_starter_lists
from blocklists.url import canonicalise
from rules.decide import decide
from rules.decision import Action
from rules.keywords import KeywordMatcher
from rules.policy import Policy
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State

SET: dict[str, dict[str, list[str]]] = tomllib.loads((Path(__file__).parent / "data" / "must_stay_open.toml").read_text(encoding="utf-8"))
NOON = 1_790_000_000.0
SITE = "https://example.org/"


@pytest.fixture(scope="module")
def first_day(starter_policy: Policy, sealed: SealedLists, tmp_path_factory: pytest.TempPathFactory) -> Ruleset:
    """The starter policy with the starter lists and keyword sets, as a school has them before it changes anything."""
    library = Library(tmp_path_factory.mktemp("library"))
    install_starter_lists(library)
    library.compile()
    lists: ListIndex = library.open_index()
    allowed: AllowIndex = library.open_allow()
    return Ruleset.of(starter_policy, sealed, lists=lists, allowed=allowed)


@pytest.fixture(scope="module")
def browsing_groups(first_day: Ruleset) -> list[str]:
    """Groups of the starter policy that may open an ordinary page at all."""
    groups = [name for name in first_day.policy.groups if first_day.policy.default_action(name, NOON) is not Action.BLOCK]
    assert len(groups) >= 4
    return groups


def stopped(ruleset: Ruleset, groups: list[str], url: str = SITE, **rest: Any) -> Iterator[str]:
    """Yield "group: why" for each group that doesn't get through."""
    for group in groups:
        subject = Subject("10.0.0.1", group)
        decision = decide(Request(url=canonicalise(url), subject=subject, at=NOON, **rest), ruleset, State())
        if decision.action.stops:
            yield f"{subject.group}: {decision.category}, {decision.rule}"


def texts(part: str) -> list[str]:
    return [text for group in SET[part].values() for text in group]


def test_the_set_is_large_and_repeats_nothing() -> None:
    for part, least in (("urls", 150), ("searches", 350), ("paragraphs", 50), ("words", 350)):
        assert len(set(texts(part))) == len(texts(part)) >= least


@pytest.mark.parametrize("kind", SET["urls"])
def test_addresses_stay_open_for_everybody(first_day: Ruleset, browsing_groups: list[str], kind: str) -> None:
    assert {url: found for url in SET["urls"][kind] if (found := list(stopped(first_day, browsing_groups, url)))} == {}


@pytest.mark.parametrize("context", ["search", "prompt"])
@pytest.mark.parametrize("kind", SET["searches"])
def test_searches_are_not_stopped(first_day: Ruleset, browsing_groups: list[str], kind: str, context: str) -> None:
    found = {text: list(stopped(first_day, browsing_groups, typed=(TypedText(text, context),))) for text in SET["searches"][kind]}
    assert {text: why for text, why in found.items() if why} == {}


@pytest.mark.parametrize("kind", SET["paragraphs"])
def test_paragraphs_are_not_stopped_as_pages_or_as_homework(first_day: Ruleset, browsing_groups: list[str], kind: str) -> None:
    for text in SET["paragraphs"][kind]:
        assert list(stopped(first_day, browsing_groups, page_text=text)) == []
        for context in ("form", "prompt"):
            assert list(stopped(first_day, browsing_groups, typed=(TypedText(text, context),))) == [], text


def test_all_paragraphs_on_one_page_are_not_stopped(first_day: Ruleset, browsing_groups: list[str]) -> None:
    assert list(stopped(first_day, browsing_groups, page_text="\n".join(texts("paragraphs")))) == []


@pytest.mark.parametrize("context", ["search", "form", "prompt", "page"])
@pytest.mark.parametrize("kind", SET["words"])
def test_places_names_and_ordinary_words_match_nothing(first_day: Ruleset, kind: str, context: str) -> None:
    keywords: KeywordMatcher = first_day.keywords
    assert {word: verdict.matches for word in SET["words"][kind] if (verdict := keywords.weigh(word, context)).matches} == {}


def test_hosts_named_after_places_and_people_match_nothing(first_day: Ruleset) -> None:
    named = [*SET["words"]["places"], *SET["words"]["surnames"]]
    hosts = [f"www.{word.lower().replace(' ', '-').replace("'", '').replace('.', '')}.co.uk" for word in named]
    assert {host: verdict.matches for host in hosts if (verdict := first_day.keywords.weigh_host(host)).matches} == {}
