"""The lists folder: loading, replacing, compiling, and what stays when something fails."""

import multiprocessing
from pathlib import Path

import pytest

from blocklists.errors import IndexDamagedError, ListError
from blocklists.library import Library
from blocklists.lookup import lookup_lines
from blocklists.url import canonicalise


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "lists")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def categories(library: Library, text: str) -> list[str]:
    index = library.open_index()
    return [hit.category for hit in index.lookup(canonicalise(text))]


def test_a_loaded_list_is_found_after_compiling(library: Library, tmp_path: Path) -> None:
    report = library.load("g", write(tmp_path / "g.txt", "a.test\nA.TEST\nco.uk\n"), "domains", "games")
    assert (report.entries, report.duplicates, report.refused) == (2, 1, 1)
    assert (report.refusals[0].line, report.refusals[0].text) == (3, "co.uk")
    assert "public suffix" in report.refusals[0].reason
    library.compile()
    assert categories(library, "http://x.a.test/") == ["games"]
    [status] = library.status()
    assert (status.name, status.entries, status.categories, status.refused, status.fault) == ("g", 2, {"games": 2}, 1, None)


def test_loading_again_replaces_and_removing_forgets(library: Library, tmp_path: Path) -> None:
    library.load("g", write(tmp_path / "g.txt", "a.test\n"), "domains", "games")
    library.load("g", write(tmp_path / "g.txt", "b.test\n"), "domains", "games")
    library.compile()
    assert categories(library, "http://a.test/") == []
    assert categories(library, "http://b.test/") == ["games"]
    assert len(list(library.folder.glob("*.entries"))) == 1
    library.remove("g")
    library.compile()
    assert categories(library, "http://b.test/") == []
    with pytest.raises(ListError, match="no list named"):
        library.remove("g")


def test_a_failed_load_keeps_the_last_good_list(library: Library, tmp_path: Path) -> None:
    library.load("g", write(tmp_path / "g.txt", "a.test\n"), "domains", "games")
    with pytest.raises(ListError, match="no entry"):
        library.load("g", write(tmp_path / "g.txt", "com\n*\n"), "domains", "games")
    library.compile()
    assert categories(library, "http://a.test/") == ["games"]
    assert len(list(library.folder.glob("*.entries"))) == 1


def test_a_damaged_list_keeps_the_last_good_compiled_file(library: Library, tmp_path: Path) -> None:
    library.load("g", write(tmp_path / "g.txt", "a.test\n"), "domains", "games")
    library.compile()
    [entries] = library.folder.glob("*.entries")
    entries.write_bytes(b"a")
    with pytest.raises(ListError, match="load the list again"):
        library.compile()
    assert library.status()[0].fault is not None
    assert categories(library, "http://a.test/") == ["games"]
    assert not list(library.folder.glob(".lists.idx.*"))


def test_the_same_host_in_two_lists_keeps_both(library: Library, tmp_path: Path) -> None:
    library.load("g", write(tmp_path / "g.txt", "a.test\n"), "domains", "games")
    library.load("h", write(tmp_path / "h.txt", "0.0.0.0 a.test\n"), "hosts", "ads")
    library.compile()
    hits = library.open_index().lookup(canonicalise("http://a.test/"))
    assert {(hit.list, hit.category, hit.kind) for hit in hits} == {("g", "games", "domain"), ("h", "ads", "host")}


def test_hosts_files_mean_sub_domains_only_when_asked(library: Library, tmp_path: Path) -> None:
    library.load("h", write(tmp_path / "h.txt", "0.0.0.0 a.test\n"), "hosts", "ads")
    library.compile()
    assert categories(library, "http://x.a.test/") == []
    library.load("h", tmp_path / "h.txt", "hosts", "ads", subdomains=True)
    library.compile()
    assert categories(library, "http://x.a.test/") == ["ads"]


def test_allow_lists_are_exact_strings_and_block_nothing(library: Library, tmp_path: Path) -> None:
    library.load("ok", write(tmp_path / "ok.txt", "a.test\nb.test/good\nc.test/p?q=1\n"), "urls", kind="allow")
    library.compile()
    allow = library.open_allow()
    assert categories(library, "http://a.test/") == []

    def entry(text: str) -> str | None:
        hit = allow.find(canonicalise(text))
        return hit and hit.entry

    assert entry("http://www.a.test/x") == "a.test"
    assert entry("http://b.test/good/x") == "b.test/good"
    assert entry("http://www.b.test/good") == "b.test/good"
    assert entry("http://b.test/goods") is None
    assert entry("http://b.test/") is None
    assert entry("http://c.test/p?q=1") == "c.test/p?q=1"
    assert entry("http://c.test/p") is None
    text = library.allow_path.read_text()
    library.allow_path.write_text(text.replace("a.test", "z.test"))
    with pytest.raises(IndexDamagedError):
        library.open_allow()


@pytest.mark.parametrize(
    ("name", "format_", "category", "kind", "message"),
    [
        ("../x", "domains", "c", "block", "can't name a list"), ("x", "nonsense", "c", "block", "formats are"),
        ("x", "domains", None, "block", "category"),
        ("x", "domains", "a\tb", "block", "printable"), ("x", "sha256", "c", "allow", "exact texts"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_explained(
    library: Library, tmp_path: Path, name: str, format_: str, category: str | None, kind: str, message: str
) -> None:
    with pytest.raises(ListError, match=message):
        library.load(name, write(tmp_path / "g.txt", "a.test\n"), format_, category, kind)  # type: ignore[arg-type]


def _load(folder: Path, number: int, source: Path) -> None:
    library = Library(folder)
    library.load(f"l{number}", source, "domains", "games")
    library.compile()


def test_concurrent_loads_wait_for_each_other(library: Library, tmp_path: Path) -> None:
    source = write(tmp_path / "g.txt", "".join(f"h{n}.test\n" for n in range(2_000)))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_load, args=(library.folder, number, source)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [status.name for status in library.status()] == ["l0", "l1", "l2"]
    assert len(library.open_index().lookup(canonicalise("http://h7.test/"))) == 3


def test_lookup_lines_answers_every_line(library: Library, tmp_path: Path) -> None:
    library.load("g", write(tmp_path / "g.txt", "a.test\n"), "domains", "games")
    library.load("ok", write(tmp_path / "ok.txt", "b.test\n"), "domains", kind="allow")
    library.compile()
    answers = list(lookup_lines(library.open_index(), library.open_allow(), ["http://www.a.test/x\n", "b.test", "::nonsense::\r\n"]))
    assert answers[0] == {
        "url": "http://www.a.test/x", "categories": ["games"], "hits": [{"list": "g", "entry": "a.test", "kind": "domain"}],
    }  # fmt: skip
    assert answers[1]["allowed"] == {"list": "ok", "entry": "b.test", "kind": "domain"}
    assert answers[2]["url"] == "::nonsense::"
    assert answers[2]["hits"] == []
    assert "address" in answers[2]["error"]
