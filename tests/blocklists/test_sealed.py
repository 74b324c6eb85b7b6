"""Sealed lists: found in every spelling, nothing else found, and nothing readable left on disk."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.errors import ListError, SealedListError
from blocklists.sealed import REGISTRY, SealedLists, digest_url, install_test_list, load_sealed
from blocklists.url import canonicalise

ENTRIES = "bad.test\nhttps://pages.test/a/Page.html\npages.test/folder/\npages.test/q?id=1\ncom\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source.txt"
    source.write_text(ENTRIES)
    report = load_sealed(tmp_path / "sealed", "iwf", source)
    assert (report.entries, report.refused, report.refused_lines) == (4, 1, (5,))
    source.unlink()
    return tmp_path / "sealed"


@pytest.mark.parametrize(
    "text",
    [
        "http://bad.test/", "https://www.BAD.test./any?thing", "http://b%61d.test:8080/x", "http://u:p@bad.test/", "http://pages.test/a/Page.html#x",
        "ws://pages.test:1/a/./%50age.html?whatever", "http://pages.test/folder/x/y", "http://pages.test//folder//", "http://pages.test/q?id=%31",
    ],
)  # fmt: skip
def test_entries_are_found_in_every_spelling(folder: Path, text: str) -> None:
    assert SealedLists.open(folder).find(canonicalise(text)) == "iwf"


@pytest.mark.parametrize(
    "text",
    [
        "http://notbad.test/", "http://test/", "http://pages.test/", "http://pages.test/a/page.html", "http://pages.test/a/", "http://pages.test/folder",
        "http://pages.test/q?id=2", "http://pages.test/a/Page.html/x", "http://bad.test.example/",
    ],
)  # fmt: skip
def test_near_misses_are_not_found(folder: Path, text: str) -> None:
    assert SealedLists.open(folder).find(canonicalise(text)) is None


def test_claimed_hosts_are_looked_up_too(folder: Path) -> None:
    lists = SealedLists.open(folder)
    assert lists.find(canonicalise("http://fine.test/"), ("fine.test", "www.bad.test")) == "iwf"
    assert lists.find(canonicalise("http://fine.test/"), ("fine.test", "pages.test", "...")) is None


def test_the_folder_holds_digests_and_no_entry(folder: Path) -> None:
    for path in folder.iterdir():
        data = path.read_bytes()
        for word in (b"bad.test", b"pages", b"folder"):
            assert word not in data
    [digests] = folder.glob("*.digests")
    assert hashlib.sha256(b"bad.test/").digest() in digests.read_bytes()


def test_hash_files_load(tmp_path: Path) -> None:
    source = tmp_path / "hashes"
    source.write_text(hashlib.sha256(b"bad.test/").hexdigest().upper() + "\nnot a digest\n")
    assert load_sealed(tmp_path / "s", "ctiru", source, "sha256").refused_lines == (2,)
    assert SealedLists.open(tmp_path / "s").find(canonicalise("http://x.bad.test/y")) == "ctiru"


def test_a_missing_cut_changed_or_empty_list_is_an_error_that_names_the_list(folder: Path) -> None:
    [digests] = folder.glob("*.digests")
    data = digests.read_bytes()
    lists = SealedLists.open(folder)
    lists.check()
    for damage in (b"", data[:-1], data[:-32], data + b"x" * 32):
        digests.write_bytes(damage)
        with pytest.raises(SealedListError, match="iwf") as caught:
            SealedLists.open(folder)
        assert "bad.test" not in str(caught.value)
        with pytest.raises(SealedListError, match="iwf"):
            lists.check()
    digests.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(SealedListError, match="iwf"):
        SealedLists.open(folder)
    digests.unlink()
    with pytest.raises(SealedListError, match="iwf"):
        lists.check()


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"lists": []}', b"[]"])
def test_a_missing_or_emptied_register_is_an_error(folder: Path, content: bytes | None) -> None:
    lists = SealedLists.open(folder)
    (folder / REGISTRY).unlink()
    if content is not None:
        (folder / REGISTRY).write_bytes(content)
    with pytest.raises(SealedListError):
        SealedLists.open(folder)
    for _ in range(2):
        with pytest.raises(SealedListError):
            lists.check()


def test_a_list_that_leaves_the_register_is_an_error(folder: Path) -> None:
    install_test_list(folder)
    lists = SealedLists.open(folder)
    register = json.loads((folder / REGISTRY).read_text())
    register["lists"] = [entry for entry in register["lists"] if entry["name"] != "iwf"]
    (folder / REGISTRY).write_text(json.dumps(register))
    for _ in range(2):
        with pytest.raises(SealedListError, match="iwf"):
            lists.check()


def test_a_newer_list_is_noticed_without_a_fault(folder: Path, tmp_path: Path) -> None:
    lists = SealedLists.open(folder)
    source = tmp_path / "new.txt"
    source.write_text("other.test\n")
    load_sealed(folder, "iwf", source)
    lists.check()
    assert lists.outdated
    assert SealedLists.open(folder).find(canonicalise("http://other.test/")) == "iwf"


def test_a_load_without_entries_keeps_the_list(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "empty.txt"
    source.write_text("# nothing\n")
    with pytest.raises(ListError):
        load_sealed(folder, "iwf", source)
    assert SealedLists.open(folder).find(canonicalise("http://bad.test/")) == "iwf"


def test_the_test_list_installs_and_is_harmless(tmp_path: Path) -> None:
    report = install_test_list(tmp_path)
    assert report.refused == 0
    lists = SealedLists.open(tmp_path)
    assert lists.names == ("sealed-test",)
    assert lists.find(canonicalise("https://iwf.sealed-test.test/x")) == "sealed-test"
    assert lists.find(canonicalise("https://example.com/")) is None


def test_the_keyed_hash_depends_on_key_and_canonical_url() -> None:
    url = canonicalise("http://bad.test/a")
    assert digest_url(url, b"k" * 32) == digest_url(canonicalise("HTTP://BAD.test/./a"), b"k" * 32)
    assert digest_url(url, b"k" * 32) != digest_url(url, b"j" * 32)
    assert "bad" not in digest_url(url, b"k" * 32)


hosts = st.sampled_from(["bad.test", "x.bad.test", "notbad.test", "pages.test", "www.pages.test", "test", "a.pages.test"])
paths = st.lists(st.sampled_from(["a", "Page.html", "page.html", "folder", "q", "..", "x"]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(host=hosts, path=paths, slash=st.booleans(), query=st.sampled_from(["", "?", "?id=1", "?id=2", "?x"]))
def test_nothing_but_an_entry_and_its_spellings_is_found(
    tmp_path_factory: pytest.TempPathFactory, host: str, path: str, slash: bool, query: str
) -> None:
    lists = _property_lists(tmp_path_factory)
    url = canonicalise(f"http://{host}{path}{'/' if slash else ''}{query}")
    on_pages = url.host == "pages.test" or url.host.endswith(".pages.test")
    listed = (
        url.host == "bad.test"
        or url.host.endswith(".bad.test")
        or (on_pages and (url.path == "/a/Page.html" or url.path.startswith("/folder/") or url.path_and_query == "/q?id=1"))
    )
    assert (lists.find(url) == "iwf") is listed


_CACHE: list[SealedLists] = []


def _property_lists(factory: pytest.TempPathFactory) -> SealedLists:
    if not _CACHE:
        folder = factory.mktemp("property")
        (folder / "source").write_text(ENTRIES)
        load_sealed(folder / "sealed", "iwf", folder / "source")
        _CACHE.append(SealedLists.open(folder / "sealed"))
    return _CACHE[0]
