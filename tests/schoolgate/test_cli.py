"""The commands, run in this process against an installation without running processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schoolgate import wiring
from schoolgate.commands.events import moment
from schoolgate.errors import Problem
from schoolgate.paths import StatePaths

type Command = Callable[..., Any]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """Return one installation for the commands of this module."""
    from schoolgate import firstrun

    paths = StatePaths(tmp_path_factory.mktemp("cli") / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    return paths


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--config", "/nowhere/policy.toml"),
        ("events",),
        ("lists", "status"),
        ("explain", "https://bbc.co.uk"),
        ("up", "--listen", "gateway:80"),
        ("up", "--console", "8081"),
        ("worker", "--name", "../worker"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(run: Command, paths: StatePaths, words: tuple[str, ...]) -> None:
    outcome = run(*words, state=paths)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("schoolgate: ")
    assert outcome.err.count("\n") == 1
    assert not paths.root.exists()


def test_up_refuses_a_folder_of_a_newer_version_and_a_wrong_policy(run: Command, paths: StatePaths) -> None:
    paths.root.mkdir()
    paths.policy.write_text("[school]\nnaem = 'Hill'\n")
    ports = ("--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
    wrong = run("up", *ports, state=paths)
    assert (wrong.code, wrong.out) == (2, "")
    assert "policy.toml:2:" in wrong.err
    assert "naem" in wrong.err
    paths.format.write_text("7\n")
    newer = run("up", *ports, state=paths)
    assert (newer.code, newer.out) == (2, "")
    assert "newer Schoolgate" in newer.err


def test_a_list_is_loaded_looked_up_explained_and_removed(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text("casino.example\ncom\n")
    loaded = run("lists", "load", "mine", str(source), "--format", "domains", "--category", "gambling", state=installed)
    assert loaded.code == 0
    assert "1 entry" in loaded.err
    assert "list.txt:2: com is" in loaded.err
    answers = run(
        "lists", "lookup", "--json", text="http://www.casino.example/x\nhttps://bbc.co.uk\n:::\n", state=installed
    ).out.splitlines()
    first, second, third = map(json.loads, answers)
    assert first["categories"] == ["gambling"]
    assert first["hits"] == [{"list": "mine", "entry": "casino.example", "kind": "domain"}]
    assert (second["hits"], third["hits"]) == ([], [])
    assert third["error"]
    names = [one["name"] for one in run("lists", "status", "--json", state=installed).json["lists"]]
    assert {"mine", "sealed-test", "starter-doh"} <= set(names)
    explained = run("explain", "http://casino.example", "--group", "ks2", "--at", "2026-11-23T10:30", "--json", state=installed).json
    assert (explained["action"], explained["reason"], explained["list"]) == ("block", "list", "mine")
    assert [step["step"] for step in explained["steps"] if step["decided"]] == ["listed_categories"]
    assert "→ listed categories" in run("explain", "http://casino.example", state=installed).out
    assert run("lists", "remove", "mine", state=installed).code == 0
    assert run("lists", "lookup", "--json", text="http://casino.example/\n", state=installed).json["hits"] == []


def test_a_list_that_cannot_be_read_changes_nothing(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    source = tmp_path / "bad.txt"
    source.write_text("com\n*\n")
    before = installed.current_ruleset.readlink()
    outcome = run("lists", "load", "bad", str(source), "--format", "domains", "--category", "x", state=installed)
    assert outcome.code == 2
    assert installed.current_ruleset.readlink() == before


def test_a_sealed_list_names_refused_lines_by_number_only(run: Command, installed: StatePaths, tmp_path: Path) -> None:
    source = tmp_path / "sealed.txt"
    source.write_text("secret.example\nnot an entry of any kind\n")
    outcome = run("lists", "load", "iwf", str(source), "--format", "plain", "--sealed", state=installed)
    assert outcome.code == 0
    assert "line 2" in outcome.err
    assert "not an entry" not in outcome.err
    answer = run("explain", "https://secret.example/page", "--group", "staff", "--json", state=installed)
    assert answer.json["reason"] == "sealed-list"
    assert "secret.example" not in answer.out


def test_explain_refuses_what_it_cannot_ask(run: Command, installed: StatePaths) -> None:
    for words in (("http://a.example", "--group", "nobody"), ("http://a.example", "--at", "noon"), (":::",)):
        assert run("explain", *words, state=installed).code == 2


def test_a_token_is_all_that_reaches_standard_output_and_ends_when_revoked(run: Command, installed: StatePaths) -> None:
    created = run("token", "create", "--role", "dsl", "--name", "monitor", state=installed)
    assert created.out.startswith("sgt_")
    assert len(created.out.split()) == 1
    assert run("token", "create", "--role", "dsl", "--name", "monitor", state=installed).code == 2
    assert run("token", "create", "--role", "king", "--name", "other", state=installed).code == 2
    assert run("token", "revoke", "--name", "monitor", state=installed).code == 0
    assert run("token", "list", "--json", state=installed).json["tokens"] == [{"name": "monitor", "role": "dsl", "revoked": True}]


def test_accounts_get_a_link_for_the_console_and_a_password_for_the_gateway(run: Command, installed: StatePaths) -> None:
    link = run("account", "add", "ann", "--role", "dsl", state=installed)
    assert link.out.startswith("http://127.0.0.1:8081/set-password/")
    pupil = run("account", "add", "ben", "--group", "ks2", "--password-stdin", text="orange kettle\n", state=installed)
    assert (pupil.code, pupil.out) == (0, "")
    for words in (("cat",), ("cat", "--group", "nobody"), ("cat", "--role", "king"), ("cat", "--group", "ks2"), ("ann", "--role", "dsl")):
        assert run("account", "add", *words, state=installed).code == 2
    assert run("account", "disable", "ben", state=installed).code == 0
    rows = {row["name"]: row for row in run("account", "list", "--json", state=installed).json["accounts"]}
    assert (rows["ann"]["role"], rows["ann"]["password"]) == ("dsl", False)
    assert (rows["ben"]["group"], rows["ben"]["password"], rows["ben"]["disabled"]) == ("ks2", True, True)
    assert run("account", "link", "nobody", state=installed).code == 2


def test_the_audit_holds_every_step_and_a_changed_entry_is_found(run: Command, paths: StatePaths, installed: StatePaths) -> None:
    whole = run("audit", "verify", "--json", state=installed).json
    assert whole["ok"]
    run("events", "--user", "ben", "--reason", "a worried parent rang", state=installed)
    assert run("audit", "verify", "--json", state=installed).json["entries"] == whole["entries"] + 1
    with wiring.casework_open(installed) as database, database.engine.begin() as connection:
        connection.exec_driver_sql("update audit set time = time + 1 where number = 2")
    broken = run("audit", "verify", state=installed)
    assert broken.code == 1
    assert "Entry 2" in broken.out, broken.err


def test_check_names_every_problem_with_its_line(run: Command, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(wiring.starter_policy() + "\n[nonsense]\nkey = 1\n")
    outcome = run("check", "--config", str(policy), "--json", "--state", str(tmp_path / "none"))
    assert outcome.code == 2
    assert outcome.json["problems"][0]["line"] == policy.read_text().splitlines().index("[nonsense]") + 1
    policy.write_text(wiring.starter_policy())
    assert run("check", "--config", str(policy), "--state", str(tmp_path / "none")).code == 0


def test_times_are_read_as_iso_or_as_so_long_ago() -> None:
    assert moment("2026-11-23T10:30:00+00:00", "--since") == 1795429800.0
    assert moment("2h", "--since") == pytest.approx(moment("120m", "--since"), abs=5)
    with pytest.raises(Problem, match="--since 'noon'"):
        moment("noon", "--since")
