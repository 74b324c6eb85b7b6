"""Expressions: asked for, read by RE2 in linear time, bounded, and never the reason that a request passes unlooked at."""

import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklists import expressions as module
from blocklists.errors import IndexDamagedError, ListError
from blocklists.expressions import Expression, ExpressionError, ExpressionIndex, checked_expression, write_expressions
from blocklists.formats.expressions import read_expressions
from blocklists.library import Library
from blocklists.lookup import lookup_lines
from blocklists.reading import Line
from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from blocklists.why import why
from rules.decide import decide
from rules.policy import parse_policy
from rules.request import Request, Subject
from rules.ruleset import Ruleset
from rules.state import State


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / "games").mkdir(parents=True, exist_ok=True)
        (folder / "games" / name).write_text(text)
    return folder


def hits(library: Library, url: str) -> list[tuple[str, str, str]]:
    return [tuple(one) for one in library.open_expressions().find(canonicalise(url))]


def test_they_are_loaded_only_when_somebody_asks_and_said_to_be_left_out_otherwise(tmp_path: Path) -> None:
    source = tree(tmp_path / "bl", domains="play.test\n", expressions="(poker|casino)/[0-9]+\n")
    library = Library(tmp_path / "lists")
    report = library.load("ut1", source, "ut1")
    library.compile()
    assert (report.skipped, report.skips[0].reason.endswith("(--expressions)")) == (1, True)
    assert hits(library, "https://a.test/CASINO/7?x") == []
    library.load("ut1", source, "ut1", expressions=True)
    library.compile()
    assert hits(library, "https://a.test/CASINO/7?x") == [("ut1", "games", "(poker|casino)/[0-9]+")]
    assert hits(library, "https://a.test/casino/x") == []
    [answer] = lookup_lines(library.open_index(), library.open_allow(), ["https://a.test/casino/7"], library.open_expressions())
    assert answer["hits"] == [{"list": "ut1", "entry": "(poker|casino)/[0-9]+", "kind": "expression"}]


@pytest.mark.parametrize("packed", [False, True])
def test_why_names_the_line_of_an_expression(tmp_path: Path, packed: bool) -> None:
    source = tree(tmp_path / "bl", expressions="# ours\n^play[0-9]\\.test/\n")
    if packed:
        with tarfile.open(tmp_path / "bl.tar.gz", "w:gz") as archive:
            archive.add(source, "bl")
        source = tmp_path / "bl.tar.gz"
    library = Library(tmp_path / "lists")
    library.load("ut1", source, "ut1", expressions=True)
    library.compile()
    [reason] = why(library, library.open_index(), library.open_allow(), canonicalise("http://play3.test/"), library.open_expressions())
    assert (reason.kind, reason.line, reason.entry) == ("expression", 2, "^play[0-9]\\.test/")
    assert reason.file.endswith("games/expressions")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(a)\\1", "RE2 can't read"), ("(?=x)y", "RE2 can't read"), ("(", "RE2 can't read"), (".*", "match everything"),
        ("a|", "match everything"),
        ("caf\u00e9", "ASCII"), ("x" * 5000, "longer"), ("(x{1000}){1000}", "RE2 can't read"),
    ],
)  # fmt: skip
def test_one_that_can_not_be_used_is_refused_with_its_line(text: str, words: str) -> None:
    [refused] = read_expressions([Line(1, "# comment"), Line(7, text)])
    assert refused.line == 7
    assert words in refused.reason


def test_blanks_are_kept_as_signs_and_lines_that_rewrite_are_passed_over() -> None:
    assert checked_expression("a b") == r"a\x20b"
    [skipped] = read_expressions([Line(1, '"(a)"->"b"')])
    assert "rewrite" in skipped.reason


def test_an_address_made_to_hurt_takes_no_time() -> None:
    index = ExpressionIndex([Expression("l", "c", pattern) for pattern in ("(a+)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$")])
    began = time.perf_counter()
    for number in range(50):
        index.find_text("evil.test/" + "a" * 4000 + "!" + "x" * 2000 + str(number))
    assert time.perf_counter() - began < 5


def test_more_than_a_gateway_should_carry_is_refused_and_the_last_good_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path / "lists")
    library.load("few", tree(tmp_path / "few", expressions="one\ntwo\n"), "ut1", expressions=True)
    library.compile()
    before = library.expressions_path.read_bytes()
    monkeypatch.setattr(module, "MOST", 3)
    library.load("many", tree(tmp_path / "many", expressions="three\nfour\n"), "ut1", expressions=True)
    with pytest.raises(ListError, match="--expressions"):
        library.compile()
    assert library.expressions_path.read_bytes() == before


def test_a_search_that_ran_out_of_memory_is_an_error_and_not_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    index = ExpressionIndex([Expression("l", "c", "poker")])
    assert index.find_text("a.test/poker")

    class Silent:
        def Match(self, _: str) -> list[int]:  # noqa: N802 - RE2's name
            return []

    monkeypatch.setattr(index, "_set", Silent())
    with pytest.raises(MemoryError, match="--expressions"):
        index.find_text("b.test/poker")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lists.expressions"
    write_expressions(path, [Expression("l", "c", "poker")])
    assert ExpressionIndex.open(path).count == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IndexDamagedError):
        ExpressionIndex.open(path)
    path.write_text('{"form":9,"expressions":[]}')
    with pytest.raises(IndexDamagedError, match="form 9"):
        ExpressionIndex.open(path)


@given(patterns=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), max_size=8), text=st.text(max_size=60))
@settings(deadline=None, max_examples=150)
def test_any_text_is_an_expression_or_refused_and_what_is_kept_can_be_asked(patterns: list[str], text: str) -> None:
    kept = []
    for pattern in patterns:
        try:
            kept.append(Expression("l", "c", checked_expression(pattern)))
        except ExpressionError:
            continue
    found = ExpressionIndex(kept).find_text("example.org/" + text)
    assert set(found) <= set(kept)


def test_an_allow_list_has_no_expressions(tmp_path: Path) -> None:
    library = Library(tmp_path / "lists")
    with pytest.raises(ListError, match="can't allow"):
        library.load("x", tree(tmp_path / "t", expressions="a\n"), "ut1", kind="allow", expressions=True)
    (tmp_path / "x.txt").write_text("poker\n")
    with pytest.raises(ListError, match="can't allow"):
        library.load("x", tmp_path / "x.txt", "expressions", kind="allow")


def test_the_gateway_decides_by_them_and_names_the_list(tmp_path: Path) -> None:
    policy = parse_policy('[groups.pupils]\ndefault = "allow"\n[groups.pupils.actions]\ngambling = "block"\n', "policy.toml")
    ruleset = Ruleset.of(policy, SealedLists.empty(), expressions=ExpressionIndex([Expression("ut1", "gambling", "/poker[0-9]")]))
    for path, action in (("/POKER7", "block"), ("/poker", "allow")):
        request = Request(url=canonicalise(f"https://a.test{path}"), subject=Subject("", "pupils"), at=0.0)
        assert decide(request, ruleset, State()).action == action
