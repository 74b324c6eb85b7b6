"""Words of an address and of a conversation: the gateway and `explain` judge the same ones, and private sites are not read."""

from collections.abc import Callable

import msgspec
import pytest

from blocklists.url import canonicalise
from rules.decide import decide
from rules.decision import Action, Reason
from rules.explain import explained, question
from rules.keywords import KeywordMatcher
from rules.keywords.sets import parse_keyword_file
from rules.policy import parse_policy
from rules.problems import PolicyError
from rules.request import Request, TypedText
from rules.ruleset import Ruleset
from rules.state import Grant, State
from rules.typed import typed_of

BAD = "how to kill myself"
NOW = 1_790_000_000.0


def test_explain_sees_prompts_in_addresses(school: Ruleset) -> None:
    request = question("https://chatgpt.com/?q=how+to+kill+myself", school, group="ks2", at=NOW)
    assert request.typed == (TypedText(BAD, "prompt"),)
    shown = explained("x", request, school, State())
    assert (shown["action"], shown["reason"], shown["category"]) == ("block", "typed-text", "suicide")
    assert question("https://example.org/?q=how+to+kill+myself", school, group="ks2").typed == ()


def test_an_assistant_with_a_search_gives_both_texts(school: Ruleset) -> None:
    typed, term = typed_of(school, canonicalise("https://www.google.com/search?q=volcano"))
    assert typed == (TypedText("volcano"),)
    assert term is not None
    policy = msgspec.structs.replace(school.policy, text=msgspec.structs.replace(school.policy.text, typed=False))
    unread = msgspec.structs.replace(school, policy=policy)
    assert typed_of(unread, canonicalise("https://www.google.com/search?q=volcano")) == ((), term)


def test_an_answer_is_judged_like_typed_words_and_named_what_it_is(school: Ruleset, ask: Callable[..., Request]) -> None:
    answer = ask("https://chatgpt.com/", group="ks2", typed=(TypedText(BAD, "prompt", answer=True),))
    decision = decide(answer, school, State())
    assert (decision.action, decision.reason, decision.category) == (Action.BLOCK, Reason.PAGE_TEXT, "suicide")
    assert decision.level == 5


def test_an_entry_opens_a_site_and_not_its_every_answer(school: Ruleset, ask: Callable[..., Request]) -> None:
    policy = parse_policy('version = 1\n[groups.ks2]\ndefault = "allow"\n[[allow]]\nentries = ["chatgpt.com"]\n')
    ruleset = msgspec.structs.replace(school, policy=msgspec.structs.replace(policy, keyword_sets=school.policy.keyword_sets))
    answer = ask("https://chatgpt.com/", group="ks2", typed=(TypedText(BAD, "prompt", answer=True),))
    assert decide(answer, ruleset, State()).action is Action.BLOCK
    grant = State.of([Grant("g", "host", "chatgpt.com", "/", "group", answer.subject.group, NOW - 60, NOW + 60)])
    granted = decide(answer, ruleset, grant)
    assert (granted.action, granted.reason, granted.level) == (Action.LOG, Reason.GRANT, 5)


KEYWORDS = KeywordMatcher.build(
    parse_keyword_file('[[keyword_sets]]\ncategory = "suicide"\nweight = 500\nlevel = 4\nwords = ["how to kill myself"]\n', "test.toml")
)
PRIVATE = """
version = 1
[keywords]
starter = false
[text]
skip_hosts = ["help.school.example"]
private_categories = ["health"]
[categories.health]
title = "Health"
[groups.ks2]
default = "allow"
[groups.ks2.actions]
health = "allow"
"""


@pytest.mark.parametrize(
    ("host", "claimed", "read"),
    [
        ("help.school.example", (), False), ("www.help.school.example", (), False), ("www.school.example", (), True),
        # Who names a private site beside another one is read.
        ("help.school.example", ("www.school.example",), True), ("www.school.example", ("help.school.example",), True),
    ],
)  # fmt: skip
def test_private_sites_are_not_read(school: Ruleset, ask: Callable[..., Request], host: str, claimed: tuple[str, ...], read: bool) -> None:
    ruleset = msgspec.structs.replace(school, policy=parse_policy(PRIVATE), keywords=KEYWORDS)
    for typed, page in (
        ((TypedText(BAD, "form"),), None),
        ((), BAD),
        ((TypedText(BAD, "form", answer=True),), None),
    ):
        request = ask(f"https://{host}/", group="ks2", typed=typed, page_text=page, claimed_hosts=claimed)
        assert bool(decide(request, ruleset, State()).matches) is read


def test_sites_of_private_categories_are_not_read(school: Ruleset, ask: Callable[..., Request]) -> None:
    class Listed:
        def lookup(self, url: object) -> list[object]:
            hit = msgspec.defstruct("Hit", [("category", str), ("list", str), ("entry", str)])
            return [hit("health", "clinics", "clinic.example")] if getattr(url, "host", "") == "clinic.example" else []

    ruleset = msgspec.structs.replace(school, policy=parse_policy(PRIVATE), keywords=KEYWORDS, lists=Listed())
    request = ask("https://clinic.example/", group="ks2", typed=(TypedText(BAD, "form"),))
    assert decide(request, ruleset, State()).matches == ()
    other = ask("https://www.school.example/", group="ks2", typed=(TypedText(BAD, "form"),))
    assert decide(other, ruleset, State()).matches != ()


def test_a_private_category_that_nobody_knows_is_a_problem() -> None:
    with pytest.raises(PolicyError, match='there is no category "helth"'):
        parse_policy('version = 1\n[text]\nprivate_categories = ["helth"]\n[groups.ks2]\n')
