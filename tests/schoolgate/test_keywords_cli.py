"""`schoolgate keywords`: check, try, export and import, against an installation without running processes."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analyser.store import EventStore, SegmentRecord
from rules.event import Event
from rules.policy import load_policy
from rules.ruleset import Ruleset, current_folder
from schoolgate import firstrun, keywording
from schoolgate.errors import Problem
from schoolgate.firstrun import read_key
from schoolgate.paths import StatePaths

TABLE = "Phrase;Severity;Type;Context\nnobody likes jenny;urgent;Banter;KEYWORD\nyou ponk;low;Bullying;\n;;;\nplain;9;Bullying;\n"


type Command = Callable[..., Any]


POLICY = """
[text]
model = false
[groups.ks1]
[groups.ks2]
[keywords]
starter = false
[[keyword_sets]]
category = "self-harm"
level = 4
weight = 70
words = ["how to hurt myself"]
[[keyword_sets]]
category = "pornography"
words = ["breast*"]
unless = ["cancer"]
"""


def prepared(root: Path, policy: str = POLICY) -> StatePaths:
    made = StatePaths(root / "state")
    made.root.mkdir()
    made.policy.write_text(policy)
    firstrun.prepare(made, made.policy, lambda _: None, lambda _: None)
    return made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """Return one installation with few phrases that no test changes."""
    return prepared(tmp_path_factory.mktemp("keywords"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> StatePaths:
    """Return one installation with the phrases that come with Schoolgate."""
    return prepared(tmp_path_factory.mktemp("shipped"), "[groups.ks2]\n")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    """Return an installation with few phrases of the test's own."""
    return prepared(tmp_path)


@pytest.fixture
def run(run: Command) -> Command:
    """Run a command of `schoolgate keywords`."""
    return lambda *arguments, **more: run("keywords", *arguments, **more)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "words.csv"
    path.write_text(TABLE, encoding="cp1252")
    return path


def search(paths: StatePaths, term: str, **fields: Any) -> None:
    """Put one search of yesterday into the record."""
    store = EventStore(paths.events, read_key(paths.events_key))
    values = {
        "id": os.urandom(16).hex(), "time": time.time() - 86_400, "worker": "w", "client_address": "10.0.0.1", "group": "ks2",
        "identity_source": "none", "action": "allow", "reason": "default", "user": "ann", "search": term, "host": "www.google.com",
    }  # fmt: skip
    store.add(msgspec.json.encode([Event(**(values | fields))]).decode(), [SegmentRecord(os.urandom(8).hex(), 1, 0)])
    store.close()


# --- check ----------------------------------------------------------------------------------------------------------


def test_what_comes_with_schoolgate_is_counted_by_category_and_language(run: Command, shipped: StatePaths) -> None:
    found = run("check", "--json", state=shipped).json
    assert {"suicide", "bullying", "drugs"} <= {one["category"] for one in found["summary"]}
    assert sum(one["phrases"] for one in found["summary"]) > 500


def test_each_mistake_is_one_line_with_file_and_line_and_exit_code_2(run: Command, first: StatePaths, tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.toml", tmp_path / "other.toml"
    ours.write_text('[[keyword_sets]]\ncategory = "bullyng"\nwords = [\n  "you ponk",\n  "cock*",\n]\n')
    other.write_text('[[keyword_sets]]\ncategory = "bullying"\nwords = ["song lyrics"]\nunless = ["lyrics"]\n')
    outcome = run("check", ours, other, state=first)
    assert outcome.code == 2
    lines = [line for line in outcome.out.splitlines() if line.startswith(str(tmp_path))]
    assert [line.split(": ")[0] for line in lines] == [f"{ours}:4", f"{ours}:5", f"{other}:3"]
    assert "3 problems" in outcome.err
    assert run("check", other, "--json", state=first).json["valid"] is False


def test_a_right_file_ends_with_0_and_what_cannot_be_read_with_2(run: Command, first: StatePaths, tmp_path: Path, table: Path) -> None:
    ours = tmp_path / "ours.toml"
    ours.write_text('[[keyword_sets]]\ncategory = "bullying"\nwords = ["you ponk"]\n')
    assert run("check", ours, state=first).code == 0
    for wrong in (tmp_path / "nothing.toml", table, tmp_path):
        outcome = run("check", wrong, state=first)
        assert outcome.code == 2
        assert str(wrong) in outcome.out
    wrong_policy = tmp_path / "policy.toml"
    wrong_policy.write_text("[groups\n")
    assert run("check", "--config", wrong_policy, state=first).code == 2
    assert run("check", state=StatePaths(tmp_path / "nowhere")).code == 2


def test_a_checked_file_can_be_held_against_last_months_searches(run: Command, paths: StatePaths, tmp_path: Path) -> None:
    search(paths, "nobody likes jenny")
    ours = tmp_path / "ours.toml"
    ours.write_text('[[keyword_sets]]\ncategory = "bullying"\nlevel = 5\nwords = ["likes jenny"]\n')
    outcome = run("check", ours, "--preview", state=paths)
    assert "newly alerted of: 1 search of 1 user" in outcome.out
    assert "jenny" not in outcome.out.replace("likes jenny 1 of 1 user", "")
    assert "text of pages, forms and prompts is not kept" in outcome.out
    assert run("check", ours, "--preview", "--json", state=paths).json["preview"]["met"]["alerted"]["searches"] == 1


# --- try ------------------------------------------------------------------------------------------------------------


def test_a_text_is_tried_with_every_phrase_and_what_the_gateway_would_do(run: Command, first: StatePaths) -> None:
    found = run("try", "how to hurt myself", "--context", "search", "--group", "ks2", "--json", state=first).json
    assert (found["action"], found["category"], found["group"]) == ("block", "self-harm", "ks2")
    assert found["themes"][0]["reached"]
    assert found["matches"][0]["words"] == "how to hurt myself"
    said = run("try", "-", "--context", "search", text="breast cancer and how to hurt myself", state=first)
    assert "not counted: “breast”" in said.out
    assert "block, level" in said.out
    assert "No phrase stands in it." in run("try", "the water cycle", state=first).out


def test_a_wrong_group_or_address_is_one_sentence(run: Command, first: StatePaths) -> None:
    for options in (("--group", "nobody"), ("--url", "http://")):
        outcome = run("try", "text", *options, state=first)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_a_group_with_thresholds_of_its_own_is_tried_by_them(run: Command, paths: StatePaths) -> None:
    policy = paths.policy.read_text()
    assert "[groups.ks1.thresholds]" not in policy
    paths.policy.write_text(
        f'{policy}\n[groups.ks1.thresholds]\nsearch = 20\n\n[[keyword_sets]]\ncategory = "bullying"\nweight = 30\nwords = ["a ponk"]\n'
    )
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    by_group = {
        group: run("try", "a ponk", "--context", "search", "--group", group, "--json", state=paths).json for group in ("ks1", "ks2")
    }
    assert [(one["action"], one["themes"][0]["threshold"], one["themes"][0]["reached"]) for one in by_group.values()] == [
        ("block", 20, True), ("allow", 50, False),
    ]  # fmt: skip


def test_a_help_site_lowers_what_is_tried_there(run: Command, first: StatePaths) -> None:
    found = run("try", "how to hurt myself", "--url", "https://en.wikipedia.org/", "--json", state=first).json
    assert [(one["by"], one["levels"]) for one in found["lowered"]] == [("site", 1)]
    elsewhere = run("try", "how to hurt myself", "--url", "https://forum.example.org/", "--json", state=first).json
    assert (elsewhere["lowered"], found["level"]) == ([], elsewhere["level"] - 1)


# --- export and import ----------------------------------------------------------------------------------------------


def test_what_is_exported_is_imported_again_without_a_refusal(run: Command, shipped: StatePaths, tmp_path: Path) -> None:
    paths = shipped
    target = tmp_path / "all.csv"
    assert run("export", "--csv", target, state=paths).code == 0
    found = run("import", target, "--preview", "--json", state=paths).json
    # The same phrase twice is a mistake that `check` names; nothing else may be refused.
    assert [one for one in found["refused"] if "already" not in one["reason"]] == []
    assert found["after"] == len({(one.category, phrase) for one in load_policy(paths.policy).keyword_sets for phrase in one.phrases})
    some = run("export", "--category", "drugs", state=paths)
    assert {line.split(",")[5] for line in some.out.splitlines()[1:] if line.count(",") == 14} == {"drugs"}
    assert run("export", "--category", "nonsense", state=paths).code == 2
    assert run("export", "--own", state=paths).out.count("\n") == 1


def test_a_preview_writes_nothing_and_tells_of_refused_lines(run: Command, paths: StatePaths, table: Path) -> None:
    search(paths, "nobody likes jenny", user="zoe.smith")
    before = paths.policy.read_bytes()
    outcome = run("import", table, "--category-map", "Banter=bullying", "--preview", state=paths)
    assert outcome.code == 0
    assert "words.csv:5: plain: level:" in outcome.err
    assert "Nothing was written" in outcome.err
    assert "newly blocked: 1 search of 1 user" in outcome.out
    assert "zoe" not in outcome.out + outcome.err
    assert paths.policy.read_bytes() == before
    assert not (paths.root / keywording.DEFAULT_FILE).exists()


def test_an_import_is_in_force_once_the_policy_names_it(run: Command, paths: StatePaths, table: Path) -> None:
    said = run("import", table, "--category-map", "Banter=bullying", state=paths)
    assert "not in force yet" in said.err
    assert "jenny" not in str(Ruleset.load(current_folder(paths.rulesets)).policy.keyword_sets)
    said = run("import", table, "--category-map", "Banter=bullying", "--use", state=paths)
    assert "in force" in said.err
    sets = Ruleset.load(current_folder(paths.rulesets)).policy.keyword_sets
    (phrase,) = (one for part in sets for one in part.phrases if one.text == "nobody likes jenny")
    assert (phrase.level, phrase.contexts) == (4, ("search", "form", "prompt"))
    # From now on the next import is in force by itself, and the one before is kept.
    table.write_text("phrase,category\nyou pong,bullying\n")
    found = run("import", table, "--json", state=paths).json
    assert (found["in_force"], found["before"], found["added"], found["removed"]) == (True, 2, 1, 2)
    assert "jenny" in (paths.root / f"{keywording.DEFAULT_FILE}.last").read_text()
    assert stat.S_IMODE((paths.root / keywording.DEFAULT_FILE).stat().st_mode) & 0o077 == 0


def test_every_import_is_audited_with_numbers_and_the_tables_digest(run: Command, paths: StatePaths, table: Path) -> None:
    from analyser.casework import audit
    from schoolgate import wiring

    run("import", table, "--category-map", "Banter=bullying", "--use", "--terms", state=paths)
    with wiring.casework_open(paths) as database, database.reading() as session:
        entries = audit.entries(session, after=0, limit=100)
    (entry,) = (one for one in entries if one["action"] == "keywords.import")
    assert (entry["detail"]["after"], entry["detail"]["refused"], entry["detail"]["in_force"]) == (2, 1, True)
    assert len(entry["detail"]["sha256"]) == 64


def test_a_look_at_searched_terms_is_audited(run: Command, paths: StatePaths, table: Path) -> None:
    from analyser.casework import audit
    from schoolgate import wiring

    search(paths, "nobody likes jenny")
    said = run("import", table, "--category-map", "Banter=bullying", "--preview", "--terms", state=paths)
    assert "searched for: nobody likes jenny 1 of 1 user" in said.out
    with wiring.casework_open(paths) as database, database.reading() as session:
        entries = audit.entries(session, after=0, limit=100)
    assert [one["action"] for one in entries if one["action"] == "events.read"] == ["events.read"]


def test_a_file_that_somebody_wrote_is_never_replaced(run: Command, paths: StatePaths, table: Path) -> None:
    ours = paths.root / "ours.toml"
    ours.write_text("# mine\n")
    outcome = run("import", table, "--category", "bullying", "--into", ours, state=paths)
    assert outcome.code == 2
    assert "written by an import" in outcome.err
    assert ours.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--category", "bullyng"), "There is no category"),
        (("--category-map", "Banter"), "THEIRS=CATEGORY"),
        (("--category-map", "Banter=bullyng"), "THEIRS=CATEGORY"),
    ],
)
def test_a_wrong_option_is_one_sentence(run: Command, first: StatePaths, table: Path, options: tuple[str, ...], why: str) -> None:
    outcome = run("import", table, *options, state=first)
    assert (outcome.code, why in outcome.err, outcome.err.count("\n")) == (2, True, 1)


def test_a_table_of_which_nothing_can_be_used_changes_nothing(run: Command, paths: StatePaths, table: Path) -> None:
    run("import", table, "--category-map", "Banter=bullying", "--use", state=paths)
    kept = (paths.root / keywording.DEFAULT_FILE).read_bytes()
    table.write_text("phrase,category\n*,bullying\nx,none\n")
    assert run("import", table, state=paths).code == 2
    table.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    assert run("import", table, state=paths).code == 2
    assert run("import", table.with_name("nothing.csv"), state=paths).code == 2
    assert (paths.root / keywording.DEFAULT_FILE).read_bytes() == kept


def test_when_the_policy_is_wrong_file_and_policy_stay_as_they_were(run: Command, paths: StatePaths, table: Path) -> None:
    run("import", table, "--category-map", "Banter=bullying", "--use", state=paths)
    kept = (paths.root / keywording.DEFAULT_FILE).read_bytes()
    broken = paths.policy.read_text() + "[groups.ks9\n"
    paths.policy.write_text(broken)
    table.write_text("phrase,category\nyou pong,bullying\n")
    outcome = run("import", table, state=paths)
    assert (outcome.code, "policy.toml" in outcome.err) == (2, True)
    assert (paths.root / keywording.DEFAULT_FILE).read_bytes() == kept
    assert paths.policy.read_text() == broken


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("[school]\nname = 'x'\n", "[school]\nname = 'x'\n\n[keywords]\nfiles = [\"k.toml\"]\n"),
        ("[keywords] # ours\nstarter = false\n[text]\n", '[keywords] # ours\nfiles = ["k.toml"]\nstarter = false\n[text]\n'),
        ("[keywords]\nfiles = ['a.toml']\n", None),
        ("keywords.starter = false\n", None),
        ('[school]\nname = """\n[keywords]\n"""\n[keywords]\n', None),
    ],
)
def test_the_policy_names_a_file_without_touching_what_is_there(tmp_path: Path, text: str, changed: str | None) -> None:
    config = tmp_path / "policy.toml"
    config.write_text(text)
    if changed is None:
        with pytest.raises(Problem, match="keywords"):
            keywording._naming(config, tmp_path / "k.toml")
    else:
        assert keywording._naming(config, tmp_path / "k.toml") == changed


def test_ten_thousand_phrases_are_imported_and_in_force_within_a_minute(run: Command, paths: StatePaths, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("phrase,level,category\n" + "".join(f"you are number {n} of many,{n % 5 + 1},bullying\n" for n in range(10_000)))
    began = time.perf_counter()
    found = run("import", path, "--use", "--json", state=paths).json
    assert time.perf_counter() - began < 60
    assert (found["after"], found["in_force"]) == (10_000, True)
