"""The parts of the detection benchmark: intervals, baselines, disguises, written sets."""

import html
import tarfile
from pathlib import Path
from urllib.parse import unquote

import pytest
from detection_parts.baselines import E2guardian, ldnoobw
from detection_parts.figures import Counts, wilson
from detection_parts.measuring import Answer, disguises, measure, thinned
from detection_parts.mutations import MUTATIONS
from detection_parts.sets import WRITTEN, Case, MeasuredSet, written, written_cases
from detection_parts.table import put_into, tables
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 1_000), st.integers(1, 1_000))
def test_an_interval_holds_its_share(hits: int, more: int) -> None:
    share = wilson(hits, hits + more)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_wilsons_interval_of_a_known_case() -> None:
    share = wilson(10, 100)
    assert share.low == pytest.approx(0.0552, abs=1e-4)
    assert share.high == pytest.approx(0.1744, abs=1e-4)
    assert wilson(0, 0).value == 0


def test_counts_keep_harmful_and_harmless_apart() -> None:
    counts = Counts()
    for harmful, heard, blocked in ((True, True, True), (True, False, False), (False, True, False), (False, False, True)):
        counts.add(harmful=harmful, heard=heard, blocked=blocked)
    assert (counts.recall.value, counts.precision.value, counts.false_alarms.value, counts.blocks.value) == (0.5, 0.5, 0.5, 0.5)


def lists(folder: Path, name: str, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with tarfile.open(folder / name, "w:gz") as archive:
        for path in files:
            archive.add(folder / path, path)
    return folder


def test_ldnoobw_as_words_and_as_parts_of_words(tmp_path: Path) -> None:
    whole, part = ldnoobw(lists(tmp_path, "ldnoobw.tar.gz", {"en": "bad word\nass\n"}))
    assert whole("A Bad Word!")
    assert not whole("a classroom")
    assert part("a classroom")


def test_e2guardians_rule_adds_each_phrase_once_and_wants_all_parts(tmp_path: Path) -> None:
    weighted = "< bomb ><30>\n<ammonium>,< make ><25>\n<garden><-20>\n#<x><900>\n"
    folder = lists(tmp_path, "e2guardian-lists.tar.gz", {
        "phraselists/ukenglish/a/weighted": weighted, "phraselists/ukenglish/a/banned": "< behead>,< jihad>\n",
        "phraselists/french/a/weighted": "<bonjour><900>\n",
    })  # fmt: skip
    blocked = E2guardian(folder)
    assert not blocked("a bomb, a bomb, a bomb")
    assert blocked("make a bomb of ammonium")
    assert not blocked("make a bomb of ammonium in the garden")
    assert not blocked("bombs of ammonium and make-up bonjour")
    assert blocked("jihadists behead")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80))
def test_disguises_can_be_undone(text: str) -> None:
    assert unquote(MUTATIONS["percent"](text)) == text
    assert MUTATIONS["zero-width"](text).replace("\u200b", "") == text.replace("\u200b", "")
    if "&" not in text:
        assert html.unescape(MUTATIONS["entities"](text)) == text


def test_each_disguise_changes_plain_words() -> None:
    for name, change in MUTATIONS.items():
        assert change("please kill those people") != "please kill those people", name


def test_written_cases_name_file_and_line_of_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "harmful": true, "theme": "drugs", "context": "prompt"}\n\n{"text": "b", "harmful": false}\n')
    assert written_cases(path, None, "form") == [Case("a", True, None, "drugs", "ai"), Case("b", False, None, "", "typed")]
    path.write_text('{"text": "a", "context": "search"}\n')
    assert written_cases(path, True, "form") == [Case("a", True, None, "", "search")]
    with pytest.raises(ValueError, match=r"x\.jsonl:1"):
        written_cases(path, None, "form")


def test_every_written_set_is_there() -> None:
    sets = {one.name: one for one in written(WRITTEN)}
    assert any(case.harmful for case in sets["first person and teenage talk"].cases)
    assert all(len(one.cases) > 20 for one in sets.values())


def test_samples_are_even_and_whole_sets_stay_whole() -> None:
    cases = [Case(str(number), False, None) for number in range(10)]
    assert [case.text for case in thinned(cases, 5)] == ["0", "2", "4", "6", "8"]
    assert thinned(cases, None) is cases


def test_measuring_counts_by_context_and_disguises_count_what_is_lost_and_added(tmp_path: Path) -> None:
    measured = [
        MeasuredSet("harm", [Case("kill him", True, None, "x", "typed"), Case("a poem", False, None, "y", "ai")], ()),
        MeasuredSet("prose", [Case("sonnet", False, 0), Case("kilogram", False, 0)], ("search",)),
    ]

    def finds(_: Case, text: str, __: str) -> Answer:
        heard = "kill" in text or "0" in text
        return Answer(heard, False, ("violence",) if heard else ())

    results = list(measure({"schoolgate": finds}, measured, None))
    assert [(one.name, one.context) for one in results] == [("harm", "as written"), ("prose", "search")]
    assert results[0].counts["schoolgate"].recall.value == 1
    assert results[0].themes["violence"].found == 1
    changed = {one.mutation: one for one in disguises(finds, measured, 10, 10)}
    assert changed["spaces"].kept == {"harm": 0.0}
    assert (changed["leetspeak"].added, changed["leetspeak"].benign) == (2, 2)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: what `benchmarks/detection.py` wrote -->\nold\n<!-- end of table -->\nafter\n")
    put_into(page, tables(results, list(changed.values()), 1_000))
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| harm (1 + 1) | as written | schoolgate | 100.0%" in text
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        put_into(page, "x")
