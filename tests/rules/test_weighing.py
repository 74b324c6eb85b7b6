"""What the policy makes of weighed words: thresholds by group, names of sites, help that is asked for, pages that teach."""

import pytest

from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from rules.decide import decide
from rules.decision import Action, Decision, Reason
from rules.policy import parse_policy
from rules.problems import PolicyError
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State

POLICY = """
[categories.oddities]
level = 4

[groups.young]
[groups.young.thresholds]
search = 20
page = 40
host = 200

[groups.old]
[groups.old.text]
oddities = "log"

[keywords]
starter = false

[[keyword_sets]]
category = "oddities"
weight = 30
level = 4
words = ["strange thing"]

[[keyword_sets]]
category = "oddities"
contexts = ["host"]
weight = 100
words = ["*weird*"]

[[keyword_sets]]
category = "help-seeking"
weight = 100
level = 3
words = ["who can i tell"]
"""


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return Ruleset.of(parse_policy(POLICY, "policy.toml"), SealedLists.empty())


def ask(ruleset: Ruleset, url: str, group: str, *, typed: str | None = None, page: str | None = None) -> Decision:
    words = (TypedText(typed, "search"),) if typed is not None else ()
    request = Request(url=canonicalise(url), subject=Subject("10.0.0.1", group), at=1_790_000_000.0, typed=words, page_text=page)
    return decide(request, ruleset, State())


def test_a_group_with_lower_thresholds_is_stopped_by_fewer_words(ruleset: Ruleset) -> None:
    assert ask(ruleset, "http://a.example/", "young", typed="a strange thing").reason is Reason.TYPED_TEXT
    assert ask(ruleset, "http://a.example/", "old", typed="a strange thing").reason is Reason.DEFAULT


def test_pages_are_weighed_for_the_strictest_group_before_they_count_as_clean(ruleset: Ruleset) -> None:
    page = "a strange thing here and a strange thing there"
    assert ruleset.keywords.weigh(page, "page").themes
    assert ask(ruleset, "http://a.example/", "young", page=page).action is Action.BLOCK
    assert ask(ruleset, "http://a.example/", "old", page=page).reason is Reason.DEFAULT


def test_a_name_of_watched_words_is_stopped_where_the_group_blocks_them(ruleset: Ruleset) -> None:
    assert ask(ruleset, "http://weirdstuff.example/", "old").reason is Reason.DEFAULT
    assert ask(ruleset, "http://weirdstuff.example/", "young").reason is Reason.DEFAULT
    strict = Ruleset.of(parse_policy(POLICY.replace("host = 200", ""), "policy.toml"), SealedLists.empty())
    decision = ask(strict, "http://weirdstuff.example/", "young")
    assert (decision.action, decision.reason, decision.category) == (Action.BLOCK, Reason.HOST_WORDS, "oddities")


def test_words_that_ask_for_help_are_never_stopped(ruleset: Ruleset) -> None:
    decision = ask(ruleset, "http://a.example/", "young", typed="who can i tell")
    assert (decision.action, decision.category, decision.level) == (Action.LOG, "help-seeking", 3)


def test_a_page_that_teaches_is_noted_and_not_stopped(ruleset: Ruleset) -> None:
    page = "strange thing " * 10
    assert ask(ruleset, "https://somewhere.example/", "young", page=page).action is Action.BLOCK
    decision = ask(ruleset, "https://www.nhs.uk/conditions", "young", page=page)
    assert decision.action is Action.LOG
    assert decision.level < 4


def test_a_wrong_threshold_is_refused_with_its_line() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy('[groups.young.thresholds]\nserch = 20\npage = "x"\n', "policy.toml")
    lines = sorted(problem.line for problem in caught.value.problems)
    assert lines == [2, 3]
