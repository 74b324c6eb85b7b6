"""What opens something takes two people: taking away, pausing, going back, milder categories; a paused list stays paused."""

import time

import msgspec
import pytest

from analyser.casework import audit
from analyser.lists import changes
from analyser.lists.errors import ChangeError
from analyser.lists.preview import preview
from analyser.lists.traffic import HostCount, Met, Traffic
from analyser.lists.trial import Proposal, trial
from blocklists.errors import ListError
from blocklists.url import canonicalise
from rules.policy import parse_policy

POLICY = """
[categories.gambling]
title = "Gambling"
[categories.games]
title = "Games"
includes = ["jeux"]
[groups.pupils]
default = "allow"
other_categories = "block"
[groups.pupils.actions]
gambling = "block"
games = "log"
"""


@pytest.fixture
def policy():
    return parse_policy(POLICY, "policy.toml")


def week(opened=0, pages=1000, stopped=200):
    met = Met(opened, 3, 1, (HostCount("bad1.example.net", opened, 3),)) if opened else Met()
    return Traffic(0, 1, pages, pages - stopped, Met(), Met(), met, True, 0.1)


def offered(database, library, policy, proposal, traffic=None, who="os:ann", second_person=True):
    with trial(library, proposal) as tried:
        tried.compile()
        found = preview(tried, policy, traffic, second_person=second_person)
        return changes.offer(database, tried, found, who), found


def listed(library, host):
    index = library.open_index()
    try:
        return bool(index.lookup(canonicalise(f"https://{host}/")))
    finally:
        index.close()


def written(tmp_path, *entries, name="next.txt"):
    path = tmp_path / name
    path.write_text("".join(f"{entry}\n" for entry in entries))
    return path


@pytest.mark.parametrize(("act", "after"), [("remove", False), ("pause", False)])
def test_taking_a_list_away_waits_for_somebody_else_who_may_approve(database, library, policy, ann, ben, act, after):
    outcome, found = offered(database, library, policy, Proposal("mine", act=act), week(opened=0))
    assert (outcome.report, [one.rule for one in found.objections if one.blocks]) == (None, ["opens"])
    assert listed(library, "bad1.example.net")
    with pytest.raises(ChangeError, match="can't approve"):
        changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ann)
    changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ben)
    assert listed(library, "bad1.example.net") is after
    with database.reading() as session:
        entries = audit.entries(session)
    assert [(entry["action"], entry["detail"].get("act")) for entry in entries][-2:] == [("lists.hold", act), ("lists.approve", act)]


def test_with_nobody_else_it_is_done_at_once_and_stands_in_the_audit(database, library, policy):
    outcome, _ = offered(database, library, policy, Proposal("mine", act="pause"), second_person=False)
    assert (outcome.change, listed(library, "bad1.example.net")) == (None, False)
    with database.reading() as session:
        assert audit.entries(session)[-1]["action"] == "lists.pause"
    offered(database, library, policy, Proposal("mine", act="resume"))
    assert listed(library, "bad1.example.net")


def test_going_back_waits_only_where_it_opens_what_was_stopped_last_week(database, library, policy, tmp_path):
    kept = [f"bad{n}.example.net" for n in range(200)]
    library.load("mine", written(tmp_path, *kept, "fresh.example.org"), "domains", "gambling")
    library.compile()
    held, found = offered(database, library, policy, Proposal("mine", act="rollback"), week(opened=2))
    assert held.report is None
    assert "2 page requests that were stopped last week (most of all bad1.example.net)" in found.objections[0].message
    assert listed(library, "fresh.example.org")
    done, found = offered(database, library, policy, Proposal("mine", act="rollback"), week())
    assert (done.change, done.report.version, found.change.removed) == (None, 1, 1)
    assert not listed(library, "fresh.example.org")


def test_going_back_waits_where_nobody_can_say_what_it_opens(database, library, policy, tmp_path):
    library.load("mine", written(tmp_path, *[f"bad{n}.example.net" for n in range(201)]), "domains", "gambling")
    library.compile()
    outcome, _ = offered(database, library, policy, Proposal("mine", act="rollback"), None)
    assert outcome.change is not None


def test_an_approval_for_a_version_that_is_no_longer_there_is_stale(database, library, policy, tmp_path, ben):
    outcome, _ = offered(database, library, policy, Proposal("mine", act="remove"))
    library.load("mine", written(tmp_path, *[f"other{n}.example.net" for n in range(200)]), "domains", "gambling")
    with pytest.raises(ChangeError, match="Another version"):
        changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ben)


def test_a_paused_list_that_is_loaded_again_stays_paused(database, library, policy, tmp_path):
    library.pause("mine")
    library.compile()
    outcome, found = offered(
        database, library, policy, Proposal("mine", str(written(tmp_path, *[f"n{n}.test" for n in range(200)])), "domains", "gambling")
    )
    assert (outcome.report.paused, found.paused) == (True, True)
    assert not listed(library, "n1.test")
    library.rollback("mine")
    assert library.stored("mine").paused
    offered(database, library, policy, Proposal("mine", act="resume"), week())
    assert listed(library, "bad1.example.net")


def test_a_change_of_category_that_is_milder_waits_and_one_that_is_not_does_not(database, library, policy, tmp_path):
    path = written(tmp_path, *[f"bad{n}.example.net" for n in range(200)])
    outcome, found = offered(database, library, policy, Proposal("mine", str(path), "domains", "games"), week())
    assert (outcome.report, found.objections[0].rule) == (None, "milder")
    assert "200 entries move to a category with milder rules: gambling -> games" in found.objections[0].message
    outcome, _ = offered(database, library, policy, Proposal("mine", str(path), "domains", "hate"), week())
    assert outcome.change is None


def test_a_category_map_that_leaves_out_what_was_blocked_waits(database, library, policy, tmp_path):
    path = written(tmp_path, "domain,category", *[f"a{n}.test,gambling" for n in range(90)], "b.test,hate", name="t.csv")
    library.load("table", path, "csv")
    outcome, found = offered(database, library, policy, Proposal("table", str(path), "csv", categories={"hate": "-"}), week())
    assert (outcome.report, found.objections[0].message) == (None, "1 entries of hate are left out by the list's category map.")


def test_a_new_version_that_opens_much_of_what_was_stopped_waits(database, library, policy, tmp_path):
    path = written(tmp_path, *[f"bad{n}.example.net" for n in range(180)])
    proposal = Proposal("mine", str(path), "domains", "gambling")
    assert offered(database, library, policy, proposal, week(opened=15))[0].change is None
    library.rollback("mine")
    assert offered(database, library, policy, proposal, week(opened=60))[0].change is not None


def test_a_list_that_was_held_keeps_category_and_origin_of_the_folder_it_came_from(database, library, policy, tmp_path, ben):
    folder = tmp_path / "gambling"
    folder.mkdir()
    written(folder, "www.childline.org.uk", name="domains")
    library.load("tree", folder, "squidguard")
    written(folder, "www.childline.org.uk", "www.samaritans.org", name="domains")
    outcome, _ = offered(database, library, policy, Proposal("tree", str(folder / "domains"), "squidguard"))
    changes.approve(database, library, library.folder.parent / "sealed", outcome.change, ben)
    stored = library.stored("tree")
    assert (set(stored.categories), stored.source) == ({"gambling"}, str(folder / "domains"))


@pytest.mark.parametrize(
    ("usage", "everywhere", "asked"),
    [("white", "", True), ("black", "white", True), ("black", "black", False), ("black\nwhite", "", False)],
)
def test_a_category_that_is_given_for_allowing_and_nobody_names_is_asked_about(library, policy, tmp_path, usage, everywhere, asked):
    tree = tmp_path / "blacklists"
    (tree / "learning").mkdir(parents=True)
    written(tree / "learning", "school.test", name="domains")
    written(tree / "learning", *usage.split("\n"), name="usage")
    written(tree, "NAME: learning", f"DEFAULT_TYPE: {everywhere}", name="global_usage")
    with trial(library, Proposal("ut1", str(tree), "ut1")) as tried:
        found = preview(tried, policy, None, second_person=True)
    assert [(one.entry, one.blocks) for one in found.objections if one.rule == "usage"] == ([("learning", False)] if asked else [])
    with trial(library, Proposal("ut1", str(tree), "ut1", scheduled=True)) as tried:
        assert preview(tried, policy, None, second_person=True).held is asked, "nobody sits there when the console loads it"
    with trial(library, Proposal("ut1", str(tree), "ut1", categories={"learning": "games"})) as tried:
        assert preview(tried, policy, None, second_person=True).objections == ()


def test_a_list_that_is_not_there_can_not_be_taken_away(library):
    for act in ("remove", "pause", "resume", "rollback"):
        with pytest.raises(ListError), trial(library, Proposal("absent", act=act)):
            pass


def test_a_change_that_waits_is_kept_as_it_was_proposed(database, library, policy):
    outcome, _ = offered(database, library, policy, Proposal("mine", act="remove"))
    with database.reading() as session:
        view = changes.view(changes.find(session, outcome.change))
    assert (view["act"], view["status"], view["proposed"] <= time.time()) == ("remove", "pending", True)
    changes.sweep(database, library)
    assert msgspec.json.encode(view)
