"""What of the lists needs a person: each said once, in a sentence, for as long as it lasts."""

import time
from pathlib import Path

from analyser.casework.people import GATEWAY
from analyser.lists import changes, fetch, sources
from analyser.lists.preview import preview
from analyser.lists.trial import Proposal, trial
from analyser.lists.watch import refresh_conditions, sealed_conditions
from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list, load_sealed
from rules.policy import parse_policy


def said(database):
    with database.reading() as session:
        return [condition.sentence for condition in refresh_conditions(session)]


def test_a_sealed_list_that_missed_its_day_is_named_with_its_age(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("bad.test\n")
    install_test_list(tmp_path / "sealed")
    load_sealed(tmp_path / "sealed", "iwf", source)
    lists = SealedLists.open(tmp_path / "sealed")
    assert list(sealed_conditions(lists, time.time() + 30 * 3600)) == []
    [condition] = sealed_conditions(lists, time.time() + 40 * 3600)
    assert (condition.cause, condition.level) == ("sealed", 3)
    assert condition.sentence == "The sealed list iwf is 40 hours old; its publisher sends one every day: load the newest."
    lists._digests.clear()
    assert [c.sentence.split()[3] for c in sealed_conditions(lists, time.time())] == ["iwf", "sealed-test"]


def test_failures_of_sources_that_nobody_wants_refreshed_are_the_command_lines_own_affair(database, ann) -> None:
    with database.session() as session:
        sources.add(session, ann, sources.Source("by-hand", "https://127.0.0.1:9/x"))
        sources.add(session, ann, sources.Source("daily", "https://127.0.0.1:9/x", every_minutes=1440))
    for name in ("by-hand", "daily", "daily"):
        fetch.note_failure(database, name, GATEWAY, "It could not be reached.")
    assert said(database) == ["The list daily could not be refreshed 2 times, the one that is there stays: It could not be reached."]


def test_a_refresh_that_waits_is_named_and_what_a_person_loaded_is_not(database, library, tmp_path, ben) -> None:
    policy = parse_policy('[groups.pupils]\ndefault = "allow"\nother_categories = "block"\n', "policy.toml")
    path = tmp_path / "few.txt"
    path.write_text("only.test\n")

    def offer(scheduled):
        with trial(library, Proposal("mine", str(path), "domains", "gambling", scheduled=scheduled)) as tried:
            return changes.offer(database, tried, preview(tried, policy, None, second_person=True), "os:ann").change

    offer(False)
    assert said(database) == []
    number = offer(True)
    [sentence] = said(database)
    assert sentence.startswith(f"A refresh of the list mine waits for somebody's approval (number {number}): The list has 1 entries")
    changes.refuse(database, library, number, ben)
    assert said(database) == []
