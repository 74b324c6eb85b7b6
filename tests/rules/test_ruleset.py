"""Rulesets: built whole, swapped at once, and never half."""

import shutil
from pathlib import Path

import pytest

from blocklists.library import Library
from blocklists.url import canonicalise
from rules.build import KEPT, build
from rules.keywords import frozen
from rules.policy import PolicyError
from rules.ruleset import PHRASES, Ruleset, RulesetError, current_folder

POLICY = """
[categories.games]
[groups.pupils]
[groups.pupils.actions]
games = "block"
"""


class Place:
    """Folders of one installation."""

    def __init__(self, root: Path, sealed: Path) -> None:
        self.policy, self.lists, self.sealed, self.rulesets = root / "policy.toml", root / "lists", root / "sealed", root / "rulesets"
        self.policy.write_text(POLICY)
        shutil.copytree(sealed, self.sealed)
        (root / "games.txt").write_text("games.example\n")
        library = Library(self.lists)
        library.load("games", root / "games.txt", "domains", category="games")
        library.compile()

    def build(self) -> Path:
        return build(self.policy, self.lists, self.sealed, self.rulesets)


@pytest.fixture
def place(tmp_path: Path, sealed_folder: Path) -> Place:
    return Place(tmp_path, sealed_folder)


def test_built_ruleset_is_current_and_whole(place: Place) -> None:
    folder = place.build()
    assert current_folder(place.rulesets) == folder
    ruleset = Ruleset.load(folder)
    assert ruleset.version == 1
    assert ruleset.lists.lookup(canonicalise("http://www.games.example/x"))[0].category == "games"


def test_reload_takes_unchanged_parts_over(place: Place) -> None:
    first = Ruleset.load(place.build())
    place.policy.write_text(POLICY + "[groups.staff]\n")
    second = Ruleset.load(place.build(), first)
    assert "staff" in second.policy.groups
    assert second.lists is first.lists
    assert second.sealed is first.sealed
    third = Ruleset.load(place.build(), second)
    assert third.policy is second.policy
    assert third.keywords is second.keywords


def test_phrases_are_compiled_once_for_rulesets_of_the_same_phrases(place: Place) -> None:
    first = place.build() / PHRASES
    place.policy.write_text(POLICY + "[groups.staff]\n")
    assert (place.build() / PHRASES).samefile(first)
    place.policy.write_text(POLICY + '[[keyword_sets]]\ncategory = "games"\nwords = ["poker night"]\n')
    third = place.build() / PHRASES
    assert not third.samefile(first)
    assert Ruleset.load(third.parent).keywords.weigh("poker night", "search").matches


@pytest.mark.parametrize("damage", ["other bytes", "another version"])
def test_compiled_phrases_that_serve_no_more_are_made_anew(place: Place, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.build() / PHRASES
    if damage == "other bytes":
        kept = first.read_bytes()
        first.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    else:
        monkeypatch.setattr(frozen, "_library", lambda: "another")
    assert not (place.build() / PHRASES).samefile(first)


def test_wrong_policy_leaves_the_last_good_ruleset_current(place: Place) -> None:
    folder = place.build()
    place.policy.write_text("[groups.a]\ndefualt = 1\n")
    with pytest.raises(PolicyError):
        place.build()
    assert current_folder(place.rulesets) == folder
    assert sorted(path.name for path in place.rulesets.iterdir()) == [".lock", "0001", "current"]


def test_required_sealed_list_that_is_absent_stops_the_build(place: Place) -> None:
    place.policy.write_text('[sealed]\nrequired = ["iwf"]\n' + POLICY)
    with pytest.raises(RulesetError, match="iwf"):
        place.build()


def test_missing_sealed_lists_stop_build_and_load(place: Place) -> None:
    folder = place.build()
    shutil.rmtree(place.sealed)
    with pytest.raises(RulesetError):
        Ruleset.load(folder)
    with pytest.raises(RulesetError):
        place.build()
    assert current_folder(place.rulesets) == folder


@pytest.mark.parametrize("name", ["lists.idx", "policy.toml", "keywords.json", "manifest.json"])
def test_damaged_folder_is_refused(place: Place, name: str) -> None:
    folder = place.build()
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(RulesetError):
        Ruleset.load(folder)
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(RulesetError):
        Ruleset.load(folder)


def test_keyword_files_are_frozen_into_the_ruleset(place: Place, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('[[keyword_sets]]\ncategory = "games"\nwords = ["purple banana"]\n')
    place.policy.write_text('[keywords]\nfiles = ["more.toml"]\n' + POLICY)
    folder = place.build()
    (tmp_path / "more.toml").unlink()
    assert Ruleset.load(folder).keywords.weigh("a purple banana", "search").themes


def test_only_the_last_few_folders_stay(place: Place) -> None:
    for _ in range(KEPT + 2):
        folder = place.build()
    assert len([path for path in place.rulesets.iterdir() if path.name.isdecimal()]) == KEPT
    assert current_folder(place.rulesets) == folder


def test_no_ruleset_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RulesetError, match="no ruleset"):
        current_folder(tmp_path)
