"""The compiled file: what it finds, what it must not find, and how it refuses damage."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.batch import BatchLookup, UrlBatch
from blocklists.compiler import Compiler
from blocklists.errors import IndexDamagedError
from blocklists.host import bare_host
from blocklists.index import ListHit, ListIndex
from blocklists.layout import Label
from blocklists.url import canonicalise

DOMAINS = [b"example.com", b"bad.example.org", b"10.1.2.3", b"[2001:db8::1]"]
PATHS = [b"paths.test/a/b", b"paths.test/Case", b"whole.test/", b"example.com/deep/er/est/of/all/paths"]


@pytest.fixture
def index(tmp_path: Path) -> ListIndex:
    compiler = Compiler()
    compiler.add(Label("one", "games", "domain"), DOMAINS)
    compiler.add(Label("two", "gambling", "domain"), [b"example.com"])
    compiler.add(Label("two", "gambling", "host"), [b"only.test"])
    compiler.add(Label("one", "games", "path"), PATHS)
    compiler.add(Label("one", "games", "url"), [b"paths.test/q?id=1"])
    path = tmp_path / "lists.idx"
    compiler.write(path, {"one": "ab"})
    return ListIndex.open(path)


def found(index: ListIndex, text: str) -> set[str]:
    return {f"{hit.list} {hit.kind} {hit.entry}" for hit in index.lookup(canonicalise(text))}


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com/",
        "https://WWW.EXAMPLE.com:8443/x?y",
        "http://a.b.c.example.com./",
        "http://u:p@example.com",
        "ws://example%2ecom/",
    ],
)
def test_a_domain_is_found_in_every_spelling_and_below(index: ListIndex, text: str) -> None:
    assert found(index, text) == {"one domain example.com", "two domain example.com"}


@pytest.mark.parametrize(
    "text",
    [
        "http://notexample.com/",
        "http://example.com.evil.test/",
        "http://com/",
        "http://example.org/",
        "http://example.co/",
        "http://xample.com",
    ],
)
def test_near_misses_of_a_domain_are_not_found(index: ListIndex, text: str) -> None:
    assert found(index, text) == set()


def test_addresses_match_in_any_spelling(index: ListIndex) -> None:
    assert found(index, "http://0x0a010203/") == {"one domain 10.1.2.3"}
    assert found(index, "http://[2001:DB8:0:0::1]/") == {"one domain [2001:db8::1]"}


def test_a_host_entry_leaves_its_sub_domains_alone(index: ListIndex) -> None:
    assert found(index, "http://only.test/") == {"two host only.test"}
    assert found(index, "http://www.only.test/") == set()


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("http://paths.test/a/b", {"one path paths.test/a/b"}),
        ("http://www.paths.test/a/b/", {"one path paths.test/a/b"}),
        ("http://web3.paths.test/a/b/c.html?x=1", {"one path paths.test/a/b"}),
        ("http://paths.test/a/%62/../b/c", {"one path paths.test/a/b"}),
        ("http://paths.test/a/bc", set()),
        ("http://paths.test/a", set()),
        ("http://sub.paths.test/a/b", set()),
        ("http://paths.test/case", set()),
        ("http://paths.test/Case", {"one path paths.test/Case"}),
        ("http://paths.test/q?id=1", {"one url paths.test/q?id=1"}),
        ("http://paths.test/q?id=12", set()),
        ("http://whole.test/any/thing", {"one path whole.test/"}),
        ("http://sub.whole.test/", set()),
    ],
)
def test_paths_match_at_slash_edges_with_their_case(index: ListIndex, text: str, entries: set[str]) -> None:
    assert found(index, text) == entries


def test_deep_paths_are_found_below_a_listed_domain(index: ListIndex) -> None:
    assert "one path example.com/deep/er/est/of/all/paths" in found(index, "http://example.com/deep/er/est/of/all/paths/x")


def test_digest_entries_match_their_expression(tmp_path: Path) -> None:
    compiler = Compiler()
    compiler.add_hashes(Label("h", "malware", "hash"), [hashlib.sha256(e).digest() for e in (b"evil.test/", b"x.test/a/b.html")])
    index = ListIndex.of(compiler.to_bytes(), "test")
    assert index.lookup(canonicalise("http://a.evil.test/x")) == [ListHit("h", "malware", "domain", "evil.test/")]
    assert index.lookup(canonicalise("http://x.test/a/b.html?q")) == [ListHit("h", "malware", "url", "x.test/a/b.html")]
    assert index.lookup(canonicalise("http://x.test/a/")) == []


def test_the_empty_index_finds_nothing() -> None:
    index = ListIndex.empty()
    assert index.count == 0
    assert index.lookup(canonicalise("http://example.com/a?b")) == []
    index.close()


def test_every_cut_and_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    compiler = Compiler()
    compiler.add(Label("one", "games", "domain"), DOMAINS)
    data = compiler.to_bytes()
    path = tmp_path / "lists.idx"
    for size in (0, 1, 63, 64, 100, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(IndexDamagedError):
            ListIndex.open(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(IndexDamagedError):
        ListIndex.open(path)
    with pytest.raises(IndexDamagedError):
        ListIndex.open(tmp_path / "absent")
    meta_end = 64 + int.from_bytes(data[12:16], "little")
    padding = range(meta_end, (meta_end + 63) // 64 * 64)
    for place in set(range(0, len(data), 3)) - set(padding):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with pytest.raises(IndexDamagedError):
            ListIndex.open(path)


def test_a_file_that_was_cut_short_in_place_is_noticed(tmp_path: Path) -> None:
    compiler = Compiler()
    compiler.add(Label("one", "games", "domain"), DOMAINS)
    path = tmp_path / "lists.idx"
    compiler.write(path)
    index = ListIndex.open(path)
    index.check()
    with path.open("r+b") as file:
        file.truncate(80)
    with pytest.raises(IndexDamagedError, match="cut short"):
        index.check()
    index.close()


labels = st.sampled_from(["a", "b", "example", "www", "x-1"])
hosts = st.lists(labels, min_size=2, max_size=4).map(".".join)


@pytest.mark.parametrize("room", [1_000_000, 0], ids=["with marks", "without room for marks"])
@given(st.lists(hosts, max_size=30), st.lists(hosts, max_size=30), st.lists(hosts, max_size=5), st.lists(hosts, min_size=1, max_size=30))
def test_hits_are_exactly_those_of_a_plain_search(
    room: int, first: list[str], second: list[str], paths: list[str], asked: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blocklists.compiler.SMALL", room)
        patch.setattr("blocklists.compiler.MOST_LOAD", 0)
        compiler = Compiler()
        compiler.add(Label("one", "c", "domain"), [host.encode() for host in first])
        compiler.add(Label("two", "c", "host"), [host.encode() for host in second])
        compiler.add(Label("three", "c", "path"), [host.removeprefix("www.").encode() + b"/" for host in paths])
        index = ListIndex.of(compiler.to_bytes(), "test")
    assert index.meta.marked == (room > 0 or not (first or second or paths))
    batch = BatchLookup(index).find(UrlBatch.of([host + "/" for host in asked]))
    batched = {(int(row), index.meta.labels[number].list) for row, number in zip(batch.rows, batch.labels, strict=True)}
    single = set()
    bare_paths = {host.removeprefix("www.") for host in paths}
    for row, host in enumerate(asked):
        want = {("one", suffix) for suffix in first if host == suffix or host.endswith("." + suffix)}
        want |= {("two", other) for other in second if other == host}
        bare = bare_host(host)
        want |= {("three", bare + "/")} if bare in bare_paths else set()
        hits = index.lookup(canonicalise(f"http://{host}/"))
        assert {(hit.list, hit.entry) for hit in hits} == want
        assert len(hits) == len(want)
        single |= {(row, hit.list) for hit in hits}
    assert batched == single


def test_files_of_the_first_version_are_read() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blocklists.compiler.SMALL", 0)
        patch.setattr("blocklists.compiler.MOST_LOAD", 0)
        patch.setattr("blocklists.layout.VERSION", 1)
        compiler = Compiler()
        compiler.add(Label("one", "games", "domain"), DOMAINS)
        index = ListIndex.of(compiler.to_bytes(), "test")
    assert found(index, "http://a.bad.example.org/") == {"one domain bad.example.org"}
    assert found(index, "http://x.example.org/") == set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blocklists.layout.VERSION", 9)
        data = Compiler().to_bytes()
    with pytest.raises(IndexDamagedError, match="of this version"):
        ListIndex.of(data, "test")


def test_the_nearest_entry_comes_first(index: ListIndex) -> None:
    compiler = Compiler()
    compiler.add(Label("one", "far", "domain"), [b"example.com"])
    compiler.add(Label("one", "near", "domain"), [b"a.b.example.com"])
    index = ListIndex.of(compiler.to_bytes(), "test")
    assert [hit.category for hit in index.lookup(canonicalise("http://x.a.b.example.com/"))] == ["near", "far"]


def test_a_table_keeps_its_size_where_the_parents_of_its_entries_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocklists.compiler.SMALL", 0)
    compiler = Compiler()
    compiler.add(Label("one", "c", "domain"), [b"a.h%d.example" % number for number in range(10_000)])
    data = compiler.to_bytes()
    assert len(data) <= 16 * 10_000 + 4096
    index = ListIndex.of(data, "test")
    assert not index.meta.marked
    assert found(index, "http://x.a.h77.example/") == {"one domain a.h77.example"}
    assert found(index, "http://x.h77.example/") == set()


def test_entries_take_at_most_sixteen_bytes(tmp_path: Path) -> None:
    compiler = Compiler()
    compiler.add(Label("one", "c", "domain"), (f"h{n}.example.com".encode() for n in range(100_000)))
    path = tmp_path / "lists.idx"
    assert compiler.write(path) == 100_000
    assert path.stat().st_size <= 16 * 100_000 + 4096
