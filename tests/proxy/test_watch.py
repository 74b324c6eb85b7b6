"""The watcher: what lies on disk comes into force, what is damaged does not, and nothing is reported twice."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from blocklists.library import Library
from blocklists.sealedstore import install_test_list, load_sealed
from blocklists.url import canonicalise
from proxy.live import Live
from proxy.watch import Watcher
from rules.build import build
from rules.ruleset import Ruleset
from rules.state import Grant, Snapshot

# Without the phrases that come with Schoolgate, whose compiling takes longer than what is tested here.
POLICY = "[keywords]\nstarter = false\n[categories.games]\n[groups.pupils]\n"


class Place:
    """Folders of one installation, and a watcher over them."""

    def __init__(self, root: Path) -> None:
        self.policy, self.lists, self.sealed = root / "policy.toml", root / "lists", root / "sealed"
        self.rulesets, self.snapshot, self.root = root / "rulesets", root / "snapshot.json", root
        self.policy.write_text(POLICY)
        install_test_list(self.sealed)
        Library(self.lists).compile()
        self.live = Live()
        self.faults: list[str] = []
        self.changes: list[Ruleset] = []
        self.watcher = Watcher(self.live, self.rulesets, self.snapshot, self.changes.append, self.faults.append)

    def build(self, policy: str = POLICY) -> Path:
        self.policy.write_text(policy)
        return build(self.policy, self.lists, self.sealed, self.rulesets)

    def publish(self, generation: int) -> None:
        grants = tuple(Grant(f"g{n}", "host", "a.test", "/", "group", "pupils", 0, 9e9) for n in range(generation))
        beside = self.root / "snapshot.tmp"
        beside.write_bytes(msgspec.json.encode(Snapshot(generation, time.time(), grants)))
        beside.replace(self.snapshot)

    def until(self, true: Callable[[], bool], seconds: float = 4.0) -> float:
        """Wait and return the seconds that it took."""
        started = time.monotonic()
        while not true():
            if time.monotonic() - started > seconds:
                raise AssertionError(f"not within {seconds} s; faults: {self.faults}")
            time.sleep(0.01)
        return time.monotonic() - started


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.watcher.stop()


def test_without_a_ruleset_everything_is_refused_until_there_is_one(place: Place) -> None:
    place.watcher.start()
    assert "There is no ruleset" in place.live.fault
    place.build()
    place.until(lambda: bool(place.changes))
    assert not place.live.fault
    assert place.changes == [place.live.ruleset]


def test_a_new_ruleset_is_in_force_within_a_second_and_takes_unchanged_parts_over(place: Place) -> None:
    place.build()
    place.watcher.start()
    first = place.live.ruleset
    assert first is not None
    place.build(POLICY + "[groups.staff]\n")
    assert place.until(lambda: place.live.ruleset is not first) < 1.0
    second = place.live.ruleset
    assert second is not None
    assert "staff" in second.policy.groups
    assert second.sealed is first.sealed
    assert not place.faults


def test_a_damaged_ruleset_leaves_the_last_good_one_and_is_said_once(place: Place) -> None:
    place.build()
    place.watcher.start()
    good = place.live.ruleset
    folder = place.build(POLICY + "[groups.staff]\n")
    damaged = place.rulesets / "9999"
    damaged.mkdir()
    for file in folder.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "policy.toml").write_text("[groups.a]\n")
    # First the good one may have been seen; what counts is that the damaged one never is.
    place.until(lambda: place.live.ruleset is not good)
    good = place.live.ruleset
    link = place.rulesets / "next"
    link.symlink_to("9999")
    link.replace(place.rulesets / "current")
    place.until(lambda: len(place.faults) > 0)
    time.sleep(2.5)
    assert len(place.faults) == 1
    assert place.live.ruleset is good
    assert not place.live.fault
    place.build(POLICY + "[groups.guests]\n")
    place.until(lambda: place.live.ruleset is not good)
    assert not place.live.fault


def test_lists_that_are_cut_short_in_place_refuse_everything_until_they_are_compiled_again(place: Place) -> None:
    # Rulesets share the compiled file with the library by hard links: whoever writes into it writes into all of them.
    place.build()
    place.watcher.start()
    good = place.live.ruleset
    assert good is not None
    with (place.lists / "lists.idx").open("r+b") as file:
        file.truncate(100)
    place.until(lambda: bool(place.live.fault))
    assert any("cut short" in fault for fault in place.faults)
    Library(place.lists).compile()
    place.build()
    place.until(lambda: not place.live.fault)
    assert place.live.ruleset is not good
    assert place.live.ruleset is not None
    assert place.live.ruleset.lists.lookup(canonicalise("http://example.com/")) == []


def test_a_snapshot_is_in_force_within_a_quarter_of_a_second(place: Place) -> None:
    place.build()
    place.watcher.start()
    for generation in (1, 2, 3):
        place.publish(generation)
        assert place.until(lambda wanted=generation: place.live.state.generation == wanted) < 0.5  # type: ignore[misc]


def test_a_damaged_snapshot_leaves_the_last_good_one_and_is_said_once(place: Place) -> None:
    place.build()
    place.publish(2)
    place.watcher.start()
    assert place.live.state.generation == 2
    place.snapshot.write_text('{"generation": ')
    place.until(lambda: bool(place.faults))
    time.sleep(0.5)
    assert place.faults == ["The state snapshot can't be read."]
    assert place.live.state.generation == 2
    place.publish(3)
    place.until(lambda: place.live.state.generation == 3)
    place.snapshot.unlink()
    time.sleep(0.3)
    assert place.live.state.generation == 3


def test_a_missing_sealed_list_refuses_everything_until_it_is_back_and_is_said_once(place: Place) -> None:
    place.build()
    place.watcher.start()
    (file,) = place.sealed.glob("*.digests")
    body = file.read_bytes()
    file.unlink()
    assert place.until(lambda: bool(place.live.fault)) < 2.0
    time.sleep(2.5)
    assert len(place.faults) == 1
    assert "sealed-test" in place.live.fault
    before = place.live.ruleset
    file.write_bytes(body)
    assert place.until(lambda: not place.live.fault) < 2.0
    assert place.live.ruleset is not None
    assert before is not None
    assert place.live.ruleset.sealed is not before.sealed, "after a loss every file is read afresh"
    file.unlink()
    place.until(lambda: bool(place.live.fault))
    assert len(place.faults) == 2, "a second loss is another fault"


def test_a_sealed_list_that_comes_back_with_other_bytes_stays_a_fault(place: Place) -> None:
    place.build()
    place.watcher.start()
    (file,) = place.sealed.glob("*.digests")
    body = file.read_bytes()
    file.unlink()
    place.until(lambda: bool(place.live.fault))
    file.write_bytes(bytes(len(body)))
    time.sleep(2.5)
    assert place.live.fault


def test_a_newly_registered_sealed_list_holds_without_a_new_ruleset(place: Place) -> None:
    place.build()
    place.watcher.start()
    url = canonicalise("https://newly.sealed.example/")
    ruleset = place.live.ruleset
    assert ruleset is not None
    assert ruleset.sealed.find(url) is None
    (place.root / "more.txt").write_text("newly.sealed.example\n")
    load_sealed(place.sealed, "iwf", place.root / "more.txt")
    place.until(lambda: place.live.ruleset is not None and place.live.ruleset.sealed.find(url) == "iwf")
    assert not place.faults
    assert not place.live.fault
