"""Before a list is live: what it changes, what last week's traffic would have met, what guards say, and who may approve."""

import secrets
import time
from pathlib import Path

import msgspec
import pytest

from analyser.casework import accounts, audit
from analyser.casework.people import Actor
from analyser.lists import changes
from analyser.lists.errors import ChangeError
from analyser.lists.preview import preview
from analyser.lists.traffic import candidate_of, compare, hits_by_list
from analyser.lists.trial import Proposal, trial
from analyser.store import EventStore, SegmentRecord
from blocklists.errors import ListError
from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list
from blocklists.url import canonicalise
from rules.event import Event
from rules.policy import parse_policy
from rules.ruleset import Ruleset

POLICY = """
[categories.gambling]
title = "Gambling"
level = 2
[groups.pupils]
default = "allow"
[groups.pupils.actions]
gambling = "block"
[groups.staff]
default = "allow"
[groups.staff.actions]
gambling = "warn"
"""


@pytest.fixture
def policy():
    return parse_policy(POLICY, "policy.toml")


@pytest.fixture
def present(policy, library, tmp_path):
    (tmp_path / "sealed").mkdir()
    install_test_list(tmp_path / "sealed")
    return Ruleset.of(policy, SealedLists.open(tmp_path / "sealed"), lists=library.open_index(), allowed=library.open_allow())


@pytest.fixture
def store(tmp_path):
    opened = EventStore(tmp_path / "events.duckdb", bytes(32))
    yield opened
    opened.close()


def happen(store, *events):
    """Store events; each is a dict of fields over those of an allowed page of a pupil."""
    rows = [
        msgspec.to_builtins(
            Event(**({
                "id": secrets.token_hex(16), "time": time.time() - 3600, "worker": "w", "client_address": "10.0.0.1", "group": "pupils",
                "identity_source": "proxy-auth", "action": "allow", "reason": "default", "user": "ann", "host": "www.example.org",
                "path": "/", "page": True, "scheme": "https", "port": 443,
            } | event))
        )
        for event in events
    ]  # fmt: skip
    store.add(msgspec.json.encode(rows).decode(), [SegmentRecord(secrets.token_hex(8), len(rows), 0)])


def proposed(tmp_path, *entries, name="mine", format="domains", kind="block", keep=True):  # noqa: A002
    path = tmp_path / f"new-{secrets.token_hex(4)}.txt"
    kept = [f"bad{n}.example.net" for n in range(200)] if keep else []
    path.write_text("".join(f"{entry}\n" for entry in [*kept, *entries]))
    return Proposal(name, str(path), format, None if kind == "allow" else "gambling", kind)


def asked(library, store, present, proposal, **more):
    with trial(library, proposal) as tried:
        tried.compile()
        candidate = candidate_of(present, library, tried.candidate)
        traffic = compare(store, present, candidate, **more)
        candidate.ruleset.lists.close()
        return preview(tried, present.policy, traffic, second_person=True)


def test_newly_blocked_pages_are_counted_with_users_and_hosts_and_other_groups_are_warned(library, store, present, tmp_path):
    happen(
        store, {"host": "a.roulade.test"}, {"host": "a.roulade.test", "user": "bob"}, {"host": "roulade.test", "user": "bob"},
        {"host": "a.roulade.test", "group": "staff", "user": "head"}, {"host": "notroulade.test"},
        {"host": "a.roulade.test", "page": False},
        {"host": "a.roulade.test", "time": time.time() - 8 * 86_400},
    )  # fmt: skip
    found = asked(library, store, present, proposed(tmp_path, "roulade.test"))
    traffic = found.traffic
    assert (traffic.pages, traffic.allowed, traffic.complete) == (5, 5, True)
    assert (traffic.blocked.requests, traffic.blocked.users, traffic.blocked.hosts) == (3, 2, 2)
    assert [(h.host, h.requests, h.users) for h in traffic.blocked.top] == [("a.roulade.test", 2, 2), ("roulade.test", 1, 1)]
    assert (traffic.warned.requests, traffic.warned.users) == (1, 1)
    assert traffic.opened.requests == 0
    assert "head" not in msgspec.json.encode(found).decode()


def test_newly_opened_pages_are_counted_and_what_was_stopped_for_another_reason_is_not(library, store, present, tmp_path):
    blocked = {"host": "bad1.example.net", "action": "block", "reason": "list", "list": "mine"}
    happen(store, blocked, blocked | {"user": "bob"}, blocked | {"reason": "typed-text"}, blocked | {"action": "log", "reason": "grant"})
    found = asked(library, store, present, proposed(tmp_path, "fresh.example.org", keep=False))
    assert (found.traffic.opened.requests, found.traffic.opened.users) == (2, 2)
    assert hits_by_list(store) == {"mine": 3 - 1}
    assert any(one.rule == "shrank" and one.blocks for one in found.objections)


def test_path_entries_meet_the_pages_below_them_only(library, store, present, tmp_path):
    happen(store, *({"host": "www.mixed.test", "path": path} for path in ("/", "/roulade/", "/roulade/roulette", "/roulades", "/school")))
    found = asked(library, store, present, proposed(tmp_path, "http://mixed.test/roulade/", name="paths", format="urls", keep=False))
    assert found.traffic.blocked.requests == 2


def test_a_name_that_is_blocked_for_its_words_is_not_newly_blocked_and_shares_no_decision(library, store, present, tmp_path):
    happen(store, {"host": "online-casino.test"}, {"host": "plain.test"}, {"host": "plain.test"})
    found = asked(library, store, present, proposed(tmp_path, "online-casino.test", "plain.test"))
    assert [(host.host, host.requests) for host in found.traffic.blocked.top] == [("plain.test", 2)]


def test_expressions_meet_the_pages_that_they_match(library, store, present, tmp_path):
    happen(store, *({"host": "www.mixed.test", "path": path} for path in ("/", "/poker/1", "/POKER/2", "/school")))
    tree = tmp_path / "gambling"
    tree.mkdir()
    (tree / "domains").write_text("".join(f"bad{n}.example.net\n" for n in range(200)))
    (tree / "expressions").write_text("/poker/[0-9]\n")
    found = asked(library, store, present, Proposal("mine", str(tree), "squidguard", expressions=True))
    assert (found.traffic.blocked.requests, found.change.added) == (2, 1)


def test_an_allow_list_shows_what_it_opens(library, store, present, tmp_path):
    happen(
        store,
        {"host": "bad1.example.net", "action": "block", "reason": "list"},
        {"host": "bad2.example.net", "action": "block", "reason": "list"},
    )
    found = asked(library, store, present, proposed(tmp_path, "bad1.example.net", name="help", kind="allow", keep=False))
    assert (found.traffic.opened.requests, [h.host for h in found.traffic.opened.top]) == (1, ["bad1.example.net"])
    assert found.held


def test_a_list_that_would_close_much_of_last_weeks_traffic_is_held(library, store, present, tmp_path):
    happen(store, *({"host": "popular.test", "user": f"u{n}"} for n in range(30)), *({"host": f"h{n}.test"} for n in range(70)))
    found = asked(library, store, present, proposed(tmp_path, "popular.test"))
    assert [one.rule for one in found.objections if one.blocks] == ["traffic"]
    assert "popular.test" in found.objections[-1].message


def test_the_numbers_agree_with_deciding_every_event_one_by_one(library, store, present, tmp_path):
    hosts = [f"h{n}.{parent}" for n in range(30) for parent in ("a.test", "b.test", "example.net")] + ["bad7.example.net"]
    events = [{"host": host, "path": f"/p{n}/x", "user": f"u{n}"} for host in hosts for n in range(3)]
    happen(store, *events)
    proposal = proposed(tmp_path, "a.test", "h3.b.test")
    with trial(library, proposal) as tried:
        tried.compile()
        index = tried.candidate.open_index()
        expected = sum(
            bool(index.lookup(url := canonicalise(f"https://{e['host']}{e['path']}"))) and not present.lists.lookup(url) for e in events
        )
        index.close()
    assert asked(library, store, present, proposal).traffic.blocked.requests == expected == 93


def test_entries_added_removed_and_refused_lines_are_shown(library, store, present, tmp_path):
    found = asked(library, store, present, proposed(tmp_path, "a.one.test", "b.one.test", "co.uk", "bad name"))
    assert (found.change.added, found.change.removed, found.change.parents[0]) == (2, 0, ("one.test", 2))
    assert [(line.line, line.text) for line in found.refusals] == [(203, "co.uk"), (204, "bad name")]


def test_a_trial_changes_nothing_and_leaves_nothing_even_when_it_fails(library, tmp_path):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in library.folder.iterdir() if not path.name.startswith("."))
    with trial(library, proposed(tmp_path, "roulade.test")) as tried:
        tried.compile()
    with pytest.raises(ListError), trial(library, Proposal("mine", str(tmp_path / "absent"), "domains", "gambling")):
        pass
    assert sorted((path.name, path.stat().st_mtime_ns) for path in library.folder.iterdir() if not path.name.startswith(".")) == before
    assert list((library.folder / ".trials").iterdir()) == []


def offered(database, library, policy, proposal, who="os:ann", second_person=True):
    with trial(library, proposal) as tried:
        found = preview(tried, policy, None, second_person=second_person)
        return changes.offer(database, tried, found, who)


def listed(library, host):
    index = library.open_index()
    try:
        return bool(index.lookup(canonicalise(f"https://{host}/")))
    finally:
        index.close()


def test_a_list_without_objection_is_live_at_once_with_a_version_to_go_back_to(database, library, policy, tmp_path):
    outcome = offered(database, library, policy, proposed(tmp_path, "roulade.test"))
    assert (outcome.change, outcome.report.version, listed(library, "www.roulade.test")) == (None, 2, True)
    library.rollback("mine")
    library.compile()
    assert not listed(library, "roulade.test")
    assert listed(library, "bad1.example.net")


def test_a_list_that_another_command_changed_meanwhile_is_not_lost(database, library, policy, tmp_path):
    with trial(library, proposed(tmp_path, "roulade.test")) as tried:
        other = proposed(tmp_path, "other.test", name="other", keep=False)
        library.load("other", Path(other.path), "domains", "gambling")
        library.compile()
        changes.offer(database, tried, preview(tried, policy, None, second_person=True), "os:ann")
    assert listed(library, "roulade.test")
    assert listed(library, "other.test")


def test_a_poisoned_list_waits_for_somebody_else_and_the_proposer_can_not_approve(database, library, policy, tmp_path, ann, ben):
    outcome = offered(database, library, policy, proposed(tmp_path, "www.childline.org.uk"))
    assert outcome.report is None
    assert not listed(library, "www.childline.org.uk")
    for same in (ann, Actor("account", "Ann"), Actor("user", "ANN")):
        with pytest.raises(ChangeError, match="can't approve"):
            changes.approve(database, library, library.folder.parent / "sealed", outcome.change, same)
    changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ben, note="we know")
    assert listed(library, "www.childline.org.uk")
    with pytest.raises(ChangeError, match="approved already"):
        changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ben)
    with database.reading() as session:
        assert [e["action"] for e in audit.entries(session)][-2:] == ["lists.hold", "lists.approve"]
    again = offered(database, library, policy, proposed(tmp_path, "www.childline.org.uk", "roulade.test"))
    assert again.change is None, "what was approved once is not asked again"


def test_a_held_copy_that_was_changed_is_not_approved(database, library, policy, tmp_path, ben):
    number = offered(database, library, policy, proposed(tmp_path, "only.test", keep=False)).change
    with database.reading() as session:
        path = msgspec.json.decode(changes.find(session, number).proposal)["path"]
    with Path(path).open("a") as file:
        file.write("google.com\n")
    with pytest.raises(ChangeError, match="was changed"):
        changes.approve(database, library, library.folder.parent / "sealed", number, ben)
    assert not listed(library, "google.com")


def test_a_newer_version_takes_the_place_of_one_that_waits_and_refusing_keeps_the_live_list(database, library, policy, tmp_path, ann):
    first = offered(database, library, policy, proposed(tmp_path, "only.test", keep=False)).change
    second = offered(database, library, policy, proposed(tmp_path, "other.test", keep=False)).change
    changes.refuse(database, library, second, ann)
    with database.reading() as session:
        assert [changes.find(session, number).status for number in (first, second)] == ["refused", "refused"]
    assert listed(library, "bad1.example.net")


def test_nothing_is_held_while_nobody_could_be_the_second_person(database, library, policy, tmp_path, ann):
    proposal = proposed(tmp_path, "help.example.org", name="help", kind="allow", keep=False)
    with database.reading() as session:
        assert not changes.enough_approvers(session)
    assert offered(database, library, policy, proposal, second_person=False).change is None
    for name in ("head", "tech"):
        with database.session() as session:
            account = accounts.add(session, ann, name, role="headteacher" if name == "head" else "technician")
            accounts.set_password(session, ann, account, "four dull green lamps")
    with database.reading() as session:
        assert changes.enough_approvers(session)
    assert offered(database, library, policy, proposal).change is not None


def test_a_first_load_names_a_vital_host_and_goes_on_but_a_later_version_that_adds_one_waits(library, policy, tmp_path):
    first, later = tmp_path / "first.txt", tmp_path / "later.txt"
    first.write_text("www.childline.org.uk\nroulette.example\n")
    with trial(library, Proposal("new", str(first), "domains", "gambling")) as tried:
        found = preview(tried, policy, None, second_person=True)
    assert [(one.rule, one.blocks) for one in found.objections] == [("vital", False)]
    later.write_text("roulette.example\n")
    library.load("used", later, "domains", "gambling")
    with trial(library, Proposal("used", str(first), "domains", "gambling")) as tried:
        found = preview(tried, policy, None, second_person=True)
    assert ("vital", True) in [(one.rule, one.blocks) for one in found.objections]
