"""Other phrases over last month's searches: who would newly be alerted of or blocked, who no longer, in numbers and without names."""

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analyser.replay import Replay, replay, with_sets
from analyser.store import EventStore, SegmentRecord
from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list
from rules.event import Event
from rules.keywords.sets import KeywordSet, Phrase
from rules.kinds import TEXT_CONTEXTS
from rules.policy import parse_policy
from rules.ruleset import Ruleset

POLICY = """
[text]
model = false
[keywords]
starter = false
[groups.pupils]
default = "allow"
[groups.staff]
default = "allow"
other_categories = "log"
[[groups.staff.timed]]
name = "night"
days = ["mon-sun"]
times = ["18:00-06:00"]
actions = { bullying = "block" }
"""
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp()
"""A Wednesday at noon in London, in winter."""


@pytest.fixture
def present(tmp_path: Path) -> Ruleset:
    (tmp_path / "sealed").mkdir()
    install_test_list(tmp_path / "sealed")
    return Ruleset.of(parse_policy(POLICY, "policy.toml"), SealedLists.open(tmp_path / "sealed"))


def phrases(*texts: str, level: int = 3, category: str = "bullying", **values: Any) -> KeywordSet:
    return KeywordSet(category, tuple(Phrase(text, 100, level, TEXT_CONTEXTS, **values) for text in texts))


def happen(store: EventStore, *events: dict[str, Any]) -> None:
    """Store events; each is a dict of fields over those of a pupil's finished search."""
    rows = [
        msgspec.to_builtins(
            Event(**({
                "id": secrets.token_hex(16), "time": NOW - 86_400, "worker": "w", "client_address": "10.0.0.1", "group": "pupils",
                "identity_source": "proxy-auth", "action": "allow", "reason": "default", "user": "ann", "host": "www.google.com",
                "registrable_domain": "google.com", "path": "/search", "page": True, "scheme": "https", "port": 443,
            } | event))
        )
        for event in events
    ]  # fmt: skip
    store.add(msgspec.json.encode(rows).decode(), [SegmentRecord(secrets.token_hex(8), len(rows), 0)])


def look(store: EventStore, before: Ruleset, *sets: KeywordSet, **values: Any) -> Replay:
    return replay(store, before, with_sets(before, sets), now=NOW, **values)


def test_new_phrases_alert_and_block_in_numbers_by_group_and_phrase(store: EventStore, present: Ruleset) -> None:
    happen(
        store, {"search": "i hate tom"}, {"search": "i hate tom", "user": "bob"}, {"search": "tom and jerry"},
        {"search": "i hate tom", "group": "staff", "user": "mrs w"}, {"search": "why i hate tom", "user": "", "client_address": "10.0.0.9"},
    )  # fmt: skip
    found = look(store, present, phrases("hate tom", level=5))
    assert found.searches == 5
    assert found.complete
    assert set(found.met) == {"alerted", "blocked"}
    alerted, blocked = found.met["alerted"], found.met["blocked"]
    assert (alerted.searches, alerted.users) == (4, 4)
    assert [(one.name, one.searches, one.users) for one in alerted.groups] == [("pupils", 3, 3), ("staff", 1, 1)]
    assert [(one.name, one.searches) for one in alerted.phrases] == [("hate tom", 4)]
    assert (blocked.searches, blocked.users) == (3, 3)


def test_terms_and_people_stay_out_unless_terms_are_asked_for(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "i hate tom jones"})
    said = msgspec.json.encode(look(store, present, phrases("hate tom"))).decode()
    assert "jones" not in said
    assert "ann" not in said
    named = look(store, present, phrases("hate tom"), terms=True)
    assert [one.name for one in named.met["blocked"].terms] == ["i hate tom jones"]
    assert "ann" not in msgspec.json.encode(named).decode()


def test_phrases_that_go_open_what_they_blocked(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "i hate tom"}, {"search": "tom smells"})
    before = with_sets(present, [phrases("hate tom", level=5), phrases("smells")])
    found = replay(store, before, with_sets(present, [phrases("smells")]), now=NOW)
    assert {kind: one.searches for kind, one in found.met.items()} == {"no_longer_alerted": 1, "no_longer_blocked": 1}
    assert found.met["no_longer_blocked"].phrases[0].name == "hate tom"


def test_the_same_phrases_change_nothing(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "i hate tom"})
    before = with_sets(present, [phrases("hate tom")])
    assert replay(store, before, with_sets(present, [phrases("hate tom")]), now=NOW).met == {}


def test_an_exception_is_a_change_too(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "i hate tom lyrics"}, {"search": "i hate tom"})
    before = with_sets(present, [phrases("hate tom")])
    found = replay(store, before, with_sets(present, [phrases("hate tom", unless=("lyrics",))]), now=NOW)
    assert {kind: one.searches for kind, one in found.met.items()} == {"no_longer_blocked": 1}


def test_words_that_lower_are_a_change_too(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "essay on i hate tom"}, {"search": "i hate tom"})
    before = with_sets(present, [phrases("hate tom", level=4)])
    found = replay(store, before, with_sets(present, [phrases("hate tom", level=4), phrases("essay on", lowers=2)]), now=NOW)
    assert {kind: one.searches for kind, one in found.met.items()} == {"no_longer_alerted": 1}


def test_rules_of_a_time_of_day_hold_for_the_searches_of_that_time(store: EventStore, present: Ruleset) -> None:
    night = NOW - 86_400 + 8 * 3600
    staff = {"search": "i hate tom", "group": "staff"}
    happen(store, staff, {**staff, "time": night, "user": "mr x"})
    found = look(store, present, phrases("hate tom"))
    assert (found.met["blocked"].searches, found.met["blocked"].users) == (1, 1)


def test_searches_of_other_days_and_letters_on_the_way_to_a_search_are_left_out(store: EventStore, present: Ruleset) -> None:
    happen(
        store, {"search": "i hate tom", "time": NOW - 31 * 86_400}, {"search": "i hate tom", "time": NOW + 5},
        {"search": "i hate to", "search_partial": True, "time": NOW - 100}, {"search": "i hate tom", "time": NOW - 98},
    )  # fmt: skip
    found = look(store, present, phrases("hate tom", "hate to"))
    assert (found.searches, found.met["blocked"].searches) == (1, 1)


def test_of_pages_it_tells_how_often_a_phrase_that_goes_had_matched(store: EventStore, present: Ruleset) -> None:
    happen(
        store, {"matches": ("hate tom", "smells"), "reason": "page-text"}, {"matches": ("hate tom",), "user": "bob", "reason": "page-text"},
        {"matches": ("smells",), "reason": "page-text"}, {"matches": ("hate tom",), "search": "hate tom"},
    )  # fmt: skip
    before = with_sets(present, [phrases("hate tom"), phrases("smells")])
    found = replay(store, before, with_sets(present, [phrases("smells")]), now=NOW)
    assert (found.elsewhere.events, found.elsewhere.users) == (2, 2)
    assert [(one.name, one.searches, one.users) for one in found.elsewhere.phrases] == [("hate tom", 2, 2)]


def test_odd_terms_and_hosts_break_nothing(store: EventStore, present: Ruleset) -> None:
    happen(store, {"search": "hate tom '); DROP TABLE x --", "host": "not a host"}, {"search": "hate tom \U0001f52a \x00 ?", "host": ""})
    assert look(store, present, phrases("hate tom")).met["blocked"].searches == 2


def test_twenty_thousand_searches_take_seconds(store: EventStore, present: Ruleset) -> None:
    happen(store, *({"search": f"i hate tom {number % 9_000}", "user": f"u{number % 500}"} for number in range(20_000)))
    began = time.perf_counter()
    found = look(store, present, phrases("hate tom", level=5))
    assert time.perf_counter() - began < 60
    assert (found.met["blocked"].searches, found.met["blocked"].users) == (20_000, 500)
