"""Phrases as schools exchange them: whatever spreadsheet they come from, nothing lost on the way there and back, nothing run."""

import csv
import io
import resource
import time
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.keywords.cells import folded
from rules.keywords.exchange import COLUMNS, Entry, ExchangeError, Imported, Reading, entries_of, read_csv, write_csv
from rules.keywords.phraselist import read_exchanged
from rules.keywords.sets import KeywordSet, Phrase, phrase_fault
from rules.keywords.writing import MARK, write_keyword_file
from rules.kinds import CONTEXTS, TEXT_CONTEXTS

CATEGORIES: Mapping[str, str] = {
    folded(name): ours for name, ours in {"bullying": "bullying", "self-harm": "self-harm", "Self harm & suicide": "self-harm"}.items()
}
EVERY = Reading(CATEGORIES)
BULLYING = Reading(CATEGORIES, "bullying")


def read(text: str, reading: Reading = BULLYING, encoding: str = "utf-8") -> Imported:
    return read_csv(text.encode(encoding), reading)


def only(imported: Imported) -> Phrase:
    assert imported.refused == ()
    (entry,) = imported.entries
    return entry.phrase


def test_the_columns_that_schools_exchange_are_understood_in_any_order() -> None:
    found = read("level,match,phrase,action,context\n4,starts,everyone hates you,alert,search typed\n")
    assert only(found) == Phrase("everyone hates you*", 60, 4, ("search", "form"))


def test_a_file_of_senso_is_understood() -> None:
    text = (
        "Phrase,Context,Action,Severity,Screenshot,Match,Type\n"
        "nobody likes you,KEYWORD,LOG,URGENT,TRUE,ALONE,Bullying\n"
        "no one cares,WEBSITECONTENT; CAPTION,LOG,LOW,FALSE,SAMETYPE,Self_Harm\n"
        "notepad,APPLICATION,LOG,LOW,FALSE,ALONE,Bullying\n"
    )
    found = read(text, EVERY)
    assert [(one.category, one.phrase) for one in found.entries] == [
        ("bullying", Phrase("nobody likes you", 60, 4, ("search", "form", "prompt"))),
        ("self-harm", Phrase("no one cares", 30, 2, ("page",))),
    ]
    assert [(one.line, one.text) for one in found.refused] == [(4, "notepad")]
    assert "does not see" in found.refused[0].reason
    assert found.ignored == ("Screenshot",)


def test_a_file_of_lightspeed_is_understood() -> None:
    found = read("term,level\nyou are fat,moderate\nkill yourself,high\n")
    assert [(one.phrase.text, one.phrase.level) for one in found.entries] == [("you are fat", 3), ("kill yourself", 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends_make_no_difference(encoding: str, delimiter: str, ending: str) -> None:
    text = ending.join([delimiter.join(("phrase", "level")), delimiter.join(("“café” née façade", "5")), ""])
    assert only(read(text, encoding=encoding)) == Phrase("“café” née façade", 60, 5, TEXT_CONTEXTS)


def test_the_line_with_the_names_may_stand_behind_a_title() -> None:
    found = read("Our school's words;;\n;;\nnothing;Phrase;Severity\n;you smell;low\n")
    assert only(found).text == "you smell"
    assert found.delimiter == ";"


def test_quotation_marks_commas_and_line_ends_inside_a_phrase_are_text() -> None:
    assert only(read('phrase,level\n"he said ""you,\nare nothing""",3\n')).text == 'he said "you, are nothing"'


def test_a_quotation_mark_that_nobody_closes_names_its_line() -> None:
    found = read("phrase,level\nfirst one,3\n" + '"second one,3\n' + "x y z,3\n" * 200)
    assert [one.phrase.text for one in found.entries] == ["first one"]
    assert [(one.line, "opens here" in one.reason) for one in found.refused] == [(3, True)]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",page,,,", "no phrase"),
        ("*,,,,", "no phrase"),
        ("a,,,,", "too few letters"),
        ("you smell,cinema,,,", 'context: "cinema"'),
        ("you smell,,ignore,,", "do nothing"),
        ("you smell,,shout,,", 'action: "shout"'),
        ("you smell,,,6,", 'level: "6"'),
        ("you smell,,,extreme,", 'level: "extreme"'),
        ("you smell,,,,regex", 'match: "regex"'),
        ("{you|we smell,,,,", "curly bracket"),
        ("you\x01smell,,,,", "can't be read"),
        ("x" * 501 + ",,,,", "at most 500"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_its_number(row: str, why: str) -> None:
    found = read(f"phrase,context,action,level,match\nyou stink,,,,\n{row}\nyou reek,,,,\n")
    assert [one.phrase.text for one in found.entries] == ["you stink", "you reek"]
    assert [one.line for one in found.refused] == [3]
    assert why in found.refused[0].reason


def test_categories_are_found_by_name_mapped_or_refused_with_the_option_that_helps() -> None:
    found = read("phrase,category\nyou smell,SELF HARM & Suicide\nyou reek,Banter\nyou stink,\n", EVERY)
    assert [one.category for one in found.entries] == ["self-harm"]
    assert '--category-map "Banter=CATEGORY"' in found.refused[0].reason
    assert "--category" in found.refused[1].reason
    mapped = Reading({**CATEGORIES, folded("Banter"): "bullying"}, "bullying")
    assert [one.category for one in read("phrase,category\nyou reek,banter\nyou stink,\n", mapped).entries] == ["bullying", "bullying"]


def test_the_same_phrase_twice_is_refused_once_but_not_in_another_context() -> None:
    found = read("phrase,context\nyou smell,search\nYou  Smell,search\nyou smell,page\n")
    assert len(found.entries) == 2
    assert [(one.line, "line 2" in one.reason) for one in found.refused] == [(3, True)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "No line names the columns"),
        (b"colour,size\nred,3\n", "No line names the columns"),
        (b"phrase,term\nred,3\n", 'both say "phrase"'),
        (b"\xff\xfe\x00", "UTF-16"),
        (b"phrase\n" + b"x" * 33_000_000, "32 MB"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_in_one_sentence(data: bytes, why: str) -> None:
    with pytest.raises(ExchangeError, match=why):
        read_csv(data, BULLYING)


def test_a_file_without_a_category_column_needs_one_for_all() -> None:
    with pytest.raises(ExchangeError, match="--category"):
        read("phrase\nyou smell\n", EVERY)


@pytest.mark.parametrize("text", ["=1+1 calc", "+44 call me", "-2 points", "@everyone look", "'=quoted", "''@twice"])
def test_no_cell_that_is_written_is_a_formula_and_it_comes_back_as_it_was(text: str) -> None:
    data = write_csv([Entry("bullying", Phrase(text, 60, 3, TEXT_CONTEXTS, note=text))])
    row = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert only(read_csv(data, EVERY)).text == text


texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\N{REPLACEMENT CHARACTER}"), min_size=2, max_size=40
)
words = texts.map(lambda text: " ".join(text.replace(";", " ").split())).filter(bool)
whole = texts.map(lambda text: " ".join(text.split()).strip("* ")).filter(lambda text: text != "" and phrase_fault(text) is None)
near = words.filter(lambda text: phrase_fault(text) is None)
phrases = st.builds(
    lambda text, ends, **values: Phrase(ends[0] + text + ends[1], **values),
    whole,
    st.sampled_from([("", ""), ("*", ""), ("", "*"), ("*", "*")]),
    weight=st.integers(1, 1_000),
    level=st.integers(1, 5),
    contexts=st.sets(st.sampled_from(CONTEXTS), min_size=1).map(lambda chosen: tuple(one for one in CONTEXTS if one in chosen)),
    needs=st.lists(near, max_size=3).map(tuple),
    unless=st.lists(near, max_size=3).map(tuple),
    kind=words,
    language=st.sampled_from(["en", "cy", "zh-Hant"]),
    loose=st.booleans(),
    lowers=st.integers(0, 4),
    stops=st.booleans(),
    note=words,
)


tables = st.lists(
    st.builds(Entry, st.sampled_from(["bullying", "self-harm"]), phrases), max_size=8, unique_by=lambda one: one.phrase.text.casefold()
)


def _whole(entry: Entry) -> tuple[str, str]:
    return entry.category, repr(entry.phrase)


@settings(deadline=None, max_examples=200)
@given(tables)
def test_what_is_exported_comes_back_whole_and_becomes_a_file_that_the_gateway_reads(entries: list[Entry]) -> None:
    found = read_csv(write_csv(entries), EVERY)
    assert found.refused == ()
    assert [(one.category, one.phrase) for one in found.entries] == [(one.category, one.phrase) for one in entries]
    written = write_keyword_file(found.entries, "ours.toml", "words.csv")
    assert written.refused == ()
    assert sorted(map(_whole, entries_of(written.sets))) == sorted(map(_whole, entries))


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"phrase,level\n", b"\xef\xbb\xbfphrase;level\r\n", b'"phrase"\t"level"\n']))
def test_no_bytes_whatever_break_the_reader(data: bytes, head: bytes) -> None:
    try:
        found = read_csv(head + data, BULLYING)
    except ExchangeError:
        return
    written = write_keyword_file(found.entries, "ours.toml", "words.csv")
    assert sum(len(one.phrases) for one in written.sets) + len(written.refused) == len(found.entries)
    assert written.text.startswith(MARK)


def test_ten_thousand_phrases_are_read_and_written_in_seconds_within_bounded_memory() -> None:
    rows = "".join(f'"nobody likes you number {n}, ""{n}""",search typed,alert,{n % 5 + 1},whole,bullying\n' for n in range(10_000))
    data = ("phrase,context,action,level,match,category\n" + rows).encode()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    found = read_csv(data, EVERY)
    written = write_keyword_file(found.entries, "ours.toml", "words.csv")
    assert time.perf_counter() - began < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kilobytes
    assert len(found.entries) == sum(len(one.phrases) for one in written.sets) == 10_000
    assert {one.category for one in written.sets} == {"bullying"}


def test_a_hundred_thousand_broken_lines_are_refused_and_not_read_again_and_again() -> None:
    began = time.perf_counter()
    found = read("phrase,level\n" + '"\n' * 100_000 + "=cmd|'/C calc'!A0,9\n" * 1_000)
    assert not found.entries
    assert time.perf_counter() - began < 30


def test_a_set_of_the_policy_becomes_entries_of_its_category_only() -> None:
    sets = [KeywordSet(name, (Phrase(text, 60, 3, TEXT_CONTEXTS),)) for name, text in (("bullying", "you smell"), ("drugs", "get high"))]
    assert [one.phrase.text for one in entries_of(sets, "drugs")] == ["get high"]
    assert len(list(entries_of(sets))) == 2
    assert write_csv([]).decode("utf-8-sig").strip() == ",".join(COLUMNS)


def test_phrase_lists_of_e2guardian_become_phrases_for_pages() -> None:
    text = """#listcategory: "bullying"
.Include</lists/other>
< loser ><40>
<worth>,< nothing ><60>
< get lost >
<badword><-30>
<a>,<b>,<c><50>
<x><10%>
nonsense
"""
    found = read_exchanged(text.encode(), EVERY)
    assert [(one.line, one.phrase.text, one.phrase.weight, one.phrase.needs, one.phrase.contexts) for one in found.entries] == [
        (3, "loser", 80, (), ("page",)), (4, "*worth*", 120, ("nothing",), ("page",)), (5, "get lost", 200, (), ("page",)),
    ]  # fmt: skip
    assert [one.line for one in found.refused] == [6, 7, 8, 9]
    assert all(one.reason.endswith(".") for one in found.refused)


def test_a_table_is_still_a_table() -> None:
    data = b"phrase,category\nloser,bullying\n"
    assert read_exchanged(data, EVERY) == read_csv(data, EVERY)
