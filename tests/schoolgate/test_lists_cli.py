"""`lists` for sealed lists and for what a technician meets on the first day, run in this process."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from schoolgate.paths import StatePaths

type Command = Callable[..., Any]
SECRET = "never-to-be-shown"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """Return one installation for the commands of this module."""
    from schoolgate import firstrun

    paths = StatePaths(tmp_path_factory.mktemp("cli") / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    return paths


def test_a_sealed_list_that_closes_a_vital_host_is_loaded_by_the_only_person_with_a_warning(
    run: Command, installed: StatePaths, tmp_path: Path
) -> None:  # fmt: skip
    source = tmp_path / "iwf.txt"
    source.write_text(f"0.0.0.0 {SECRET}.test childline.org.uk\nbroken {SECRET}\n")
    done = run("lists", "load", "iwf", source, "--sealed", "--format", "hosts", state=installed)
    assert done.code == 0, done.err
    assert "2 entries" in done.err
    assert "would close" in done.err
    assert "line 2" in done.err
    assert SECRET not in done.out + done.err
    assert SealedLists.open(installed.sealed).find(canonicalise(f"https://{SECRET}.test/")) == "iwf"


def test_the_name_of_a_sealed_list_is_not_lent_to_one_whose_text_is_kept(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text(f"{SECRET}.test\n")
    for words in (("load",), ("preview",), ("sources", "add")):
        done = run("lists", *words, "sealed-test", source, "--format", "domains", "--category", "x", state=installed)
        assert (done.code, done.out) == (2, ""), words
        assert "say --sealed to load it" in done.err
    assert not [path for path in installed.lists.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_sealed_source_is_fetched_into_force_and_shown_without_a_word(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    source = tmp_path / "hashes.txt"
    source.write_text(hashlib.sha256(f"{SECRET}.example/".encode()).hexdigest())
    add = ("lists", "sources", "add", "ctiru", source, "--sealed")
    for options, words in (((), "how the sealed list is written"), (("--format", "plain", "--kind", "allow"), "always blocks")):
        refused = run(*add, *options, state=installed)
        assert refused.code == 2
        assert words in refused.err
    assert run(*add, "--format", "sha256", state=installed).code == 0
    fetched = run("lists", "fetch", "ctiru", "--json", state=installed)
    assert (fetched.code, fetched.json["result"]) == (0, "fetched")
    assert SealedLists.open(installed.sealed).find(canonicalise(f"https://www.{SECRET}.example/x")) == "ctiru"
    assert run("lists", "fetch", state=installed).code == 0
    [first, second] = run("lists", "sources", "runs", "ctiru", "--json", state=installed).json["runs"]
    assert (first["result"], second["result"]) == ("unchanged", "fetched")
    looked = run("lists", "preview", "ctiru", "--fetched", state=installed)
    assert looked.code == 2
    assert run("lists", "remove", "ctiru", state=installed).code == 2
    source.unlink()
    gone = run("lists", "fetch", "ctiru", "--json", state=installed)
    assert (gone.code, gone.json["result"]) == (2, "failed")
    assert "can't be read" in gone.err


def test_the_first_day_says_what_each_entry_means_and_how_to_take_a_list_back(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    folder = tmp_path / "blacklists"
    for category, hosts in {"webmail": "office365.com\nboth.test\n", "gambling": "casino.test\nboth.test\nboth.test\n"}.items():
        (folder / category).mkdir(parents=True)
        (folder / category / "domains").write_text(hosts)
    shown = run("lists", "preview", "first", folder, state=installed)
    assert shown.code == 0
    assert "1 of the entries stand there more than once" in shown.out
    assert "1 of the entries stand in more than one category" in shown.out
    assert "The entry office365.com in webmail would block outlook.office365.com" in shown.out
    assert "--map CATEGORY=- leaves its category out" in shown.out
    assert run("lists", "load", "first", folder, state=installed).code == 0
    back = run("lists", "rollback", "first", state=installed)
    assert back.code == 2
    assert "`lists remove first` takes it away" in back.err
    assert run("lists", "remove", "first", state=installed).code == 0


def test_what_the_hosts_of_a_plain_list_stand_for_is_asked_at_a_terminal_and_remembered(
    run: Command, installed: StatePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schoolgate.commands import lists

    source, hosts = tmp_path / "plain.txt", tmp_path / "hosts.txt"
    source.write_text("plain.test\nother.test\n")
    hosts.write_text("0.0.0.0 plain.test\n")

    def found() -> bool:
        done = run("lists", "lookup", "--json", text="http://www.plain.test/\n", state=installed)
        return '"plain"' in done.out

    load = ("lists", "load", "plain", source, "--category", "gambling")
    assert "sub-domains" not in run(*load, state=installed).err
    assert found()
    monkeypatch.setattr(lists, "_somebody_watches", lambda: True)
    asked = run(*load, text="n\n", state=installed)
    assert (asked.code, "Does each of its hosts stand for its sub-domains" in asked.err, found()) == (0, True, False)
    assert "[y/N]" in run(*load, text="\n", state=installed).err
    assert not found()
    assert "sub-domains" not in run(*load, "--sub-domains", state=installed).err
    assert found()
    assert "sub-domains" not in run("lists", "load", "plain", hosts, "--category", "gambling", state=installed).err
