"""Pages known to be clean: remembered by bytes and rules, never across what could change the answer."""

from typing import Any

import msgspec
from argon2 import PasswordHasher

from proxy.clean import CleanPages
from rules.keywords import KeywordMatcher
from rules.policy import parse_policy
from rules.settings import Limits
from rules.state import ProxyAccount, State

BAD_PAGE = b"<!doctype html><title>t</title><p>Here you learn how to hurt myself today.</p>"
PAGE = ("-H", "Accept: text/html", "-H", "Sec-Fetch-Dest: document")


def limits(**changes: int) -> Limits:
    return msgspec.structs.replace(parse_policy("[groups.pupils]\n").limits, **changes)


def test_other_bytes_types_codings_keywords_and_limits_are_other_pages() -> None:
    pages, words = CleanPages(), KeywordMatcher.build([])
    usual = limits()
    pages.add(pages.page(b"x", "text/html", "", words, usual))
    assert pages.knows(pages.page(b"x", "text/html", "", words, usual))
    for body, kind, coding in ((b"y", "text/html", ""), (b"x", "text/plain", ""), (b"x", "text/html", "gzip"), (b"x", "text/htm", "l")):
        assert not pages.knows(pages.page(body, kind, coding, words, usual))
    assert not pages.knows(pages.page(b"x", "text/html", "", KeywordMatcher.build([]), usual))
    pages.add(pages.page(b"x", "text/html", "", words, usual))
    assert not pages.knows(pages.page(b"x", "text/html", "", words, limits(page_characters=1_000)))


def test_the_store_keeps_the_last_used() -> None:
    pages, words, usual = CleanPages(entries=10), KeywordMatcher.build([]), limits()
    digests = [pages.page(bytes([number]), "text/html", "", words, usual) for number in range(20)]
    for digest in digests:
        pages.add(digest)
    assert len(pages) == 10
    assert pages.knows(digests[19])
    assert not pages.knows(digests[0])


async def test_a_page_is_weighed_once_and_a_bad_one_every_time(running: Any) -> None:
    running.origin.pages["/bad"] = ({}, BAD_PAGE)
    for _ in range(2):
        assert (await running.curl("http://allowed.test:H/good", *PAGE)).status == 200
        assert (await running.curl("http://allowed.test:H/bad", *PAGE)).status == 403
    assert len(running.addon.clean_pages) == 1


async def test_a_page_that_one_group_may_read_stays_blocked_for_others(running: Any, policy_text: Any) -> None:
    text = policy_text(running.origin).replace("level = 4\nweight", "level = 2\nweight")
    policy = parse_policy(text + '[groups.staff.actions]\nself-harm = "allow"\n')
    keywords = KeywordMatcher.build(policy.keyword_sets, policy.text.thresholds)
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=policy, keywords=keywords)
    quick = PasswordHasher(time_cost=1, memory_cost=1024)
    running.live.state = State.of(accounts=[ProxyAccount("mrs-smith", quick.hash("right"), "staff")])
    running.origin.pages["/bad"] = ({}, BAD_PAGE)
    assert (await running.curl("http://allowed.test:H/bad", *PAGE, user="mrs-smith:right")).status == 200
    assert len(running.addon.clean_pages) == 0
    assert (await running.curl("http://allowed.test:H/bad", *PAGE)).status == 403
