"""Sealed lists: found in every spelling, nothing else found, and nothing readable left on disk."""

import errno
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists import sealedinput
from blocklists.errors import ListError, SealedListError
from blocklists.sealed import SealedLists, digest_url
from blocklists.sealedstore import REGISTRY, Registry, confirm, install_test_list, load_sealed, old_lists, register
from blocklists.url import CanonicalUrl, canonicalise, expressions
from schoolgate import firstrun
from schoolgate.paths import StatePaths

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


def test_hosts_files_load_and_the_machines_own_names_are_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "hosts"
    source.write_text("127.0.0.1 localhost\n0.0.0.0 bad.test worse.test # why\n\n# x\n10.0.0.1 good.test\n0.0.0.0 co.uk\n")
    report = load_sealed(tmp_path / "s", "iwf", source, "hosts")
    assert (report.entries, report.refused_lines) == (2, (5, 6))
    lists = SealedLists.open(tmp_path / "s")
    assert lists.find(canonicalise("https://www.WORSE.test/any")) == "iwf"
    assert lists.find(canonicalise("https://good.test/")) is None


def test_a_digest_of_a_whole_registry_is_refused_as_its_name_is(tmp_path: Path) -> None:
    source = tmp_path / "hashes"
    source.write_text("".join(hashlib.sha256(text.encode()).hexdigest() + "\n" for text in ("bad.test/", "com/", "co.uk/", "gov.uk/")))
    assert load_sealed(tmp_path / "s", "iwf", source, "sha256").refused_lines == (2, 3, 4)


def test_a_file_that_unpacks_without_end_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealedinput, "MOST_ENTRIES", 1000)
    source = tmp_path / "bomb.gz"
    source.write_bytes(gzip.compress("".join(f"host{n}.test\n" for n in range(2000)).encode()))
    with pytest.raises(ListError, match="more than 1,000 entries"):
        load_sealed(tmp_path / "s", "iwf", source)
    assert not (tmp_path / "s").exists()


def test_what_speaks_against_a_list_is_said_in_numbers_alone() -> None:
    def found(*texts: str, refused: int = 0) -> sealedinput.SealedInput:
        return sealedinput.SealedInput(frozenset(hashlib.sha256(text.encode()).digest() for text in texts), refused, ())

    many = [f"host{n}.test/" for n in range(60)]
    against = sealedinput.speaks_against
    assert against(found(*many), None, ["help.test"], ["own.test"]) == []
    assert [(one.rule, one.blocks) for one in against(found(*many), 100, [])] == [("shrank", True)]
    assert [one.rule for one in against(found(*many), 20, [])] == ["grew"]
    assert [one.rule for one in against(found(*many, refused=40), None, [])] == ["refused"]
    closing = against(found("help.test/", "own.test/", "page.vital.test/x"), None, ["www.help.test", "vital.test"], ["own.test"])
    assert [one.rule for one in closing] == ["vital", "own"]
    assert closing[0].message == "The list would close 1 host that must stay open, and nobody could open them again."
    assert not any("help" in one.message or one.entry for one in closing)


def test_a_list_whose_publisher_has_nothing_newer_is_fresh(folder: Path) -> None:
    before = SealedLists.open(folder)
    loaded = datetime.fromisoformat(before.entries[0].loaded).timestamp()
    confirm(folder, "iwf")
    after = SealedLists.open(folder)
    assert (after.canaries, after.entries[0].sha256) == (before.canaries, before.entries[0].sha256)
    old = [msgspec.structs.replace(one, loaded="2026-01-01T00:00:00+00:00") for one in after.entries]
    assert old_lists(old, loaded + 35 * 3600) == []
    assert old_lists([msgspec.structs.replace(one, checked="") for one in old], loaded) != []


def test_a_full_disk_while_registering_leaves_the_list_and_no_rubbish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {path: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if REGISTRY in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ListError, match="No space left"):
        register(folder, "iwf", frozenset({bytes(32)}))
    assert {path: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")} == files


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


PARTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)
ADDRESSES = st.builds(
    lambda host, path, slash, query: canonicalise(f"http://{host}/{'/'.join(path)}{'/' if slash and path else ''}{query}"),
    st.sampled_from(["a.test", "x.a.test", "v.w.x.y.z.a.test", "u.v.w.x.y.z.a.test", "192.0.2.1"]),
    PARTS, st.booleans(), st.sampled_from(["", "?q=1", "?q=2"]),
)  # fmt: skip


@given(st.lists(ADDRESSES, min_size=1, max_size=4), st.lists(ADDRESSES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_what_was_asked_before_changes_no_answer(listed: list[CanonicalUrl], asked: list[CanonicalUrl], chance: random.Random) -> None:
    held = {chance.choice(expressions(one)) for one in listed}
    digests = {hashlib.sha256(one.encode()).digest(): "iwf" for one in held}
    lists = SealedLists(None, Registry(), digests, ())
    for url in [*asked, *asked, *listed]:
        assert (lists.find(url) is not None) == (not held.isdisjoint(expressions(url)))


def test_each_list_has_a_canary_of_its_own_that_stays_when_the_list_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "other.txt"
    source.write_text("worse.test\n")
    load_sealed(folder, "ctiru", source)
    lists = SealedLists.open(folder)
    assert set(lists.canaries) == {"iwf", "ctiru"}
    assert len(set(lists.canaries.values())) == 2
    for name, host in lists.canaries.items():
        assert lists.find(canonicalise(f"https://{host}/any")) == name
    assert lists.deaf() == []
    assert load_sealed(folder, "ctiru", source).entries == 1, "the canary is not counted among the publisher's entries"
    assert SealedLists.open(folder).canaries == lists.canaries


def test_a_list_that_does_not_find_its_canary_is_named(folder: Path) -> None:
    lists = SealedLists.open(folder)
    lists._digests.clear()
    assert lists.deaf() == ["iwf"]


def test_lists_of_an_earlier_release_have_no_canary_and_open(folder: Path) -> None:
    registry = json.loads((folder / REGISTRY).read_bytes())
    [entry] = registry["lists"]
    body = (folder / entry["file"]).read_bytes()
    own = hashlib.sha256(f"{entry['canary']}/".encode()).digest()
    kept = b"".join(body[at : at + 32] for at in range(0, len(body), 32) if body[at : at + 32] != own)
    (folder / entry["file"]).write_bytes(kept)
    entry |= {"sha256": hashlib.sha256(kept).hexdigest()}
    del entry["canary"]
    (folder / REGISTRY).write_text(json.dumps(registry))
    lists = SealedLists.open(folder)
    lists.check()
    assert (lists.canaries, lists.find(canonicalise("http://bad.test/"))) == ({}, "iwf")


def test_a_list_is_old_after_a_day_and_a_half_and_the_products_own_never(folder: Path) -> None:
    install_test_list(folder)
    entries = SealedLists.open(folder).entries
    loaded = datetime.fromisoformat(entries[0].loaded).timestamp()
    assert old_lists(entries, loaded + 36 * 3600) == []
    assert old_lists(entries, loaded + 36 * 3600 + 1) == [("iwf", 36 * 3600 + 1)]


SECRET = "do-not-show-this-name"


CASES = (
    (f"{SECRET}.test\n", "plain"), (f"http://[{SECRET}\n", "plain"), (f"{SECRET}.test\n", "sha256"), (f"{SECRET}.test\n", "hosts"),
    (f"{SECRET}\0.test\n{SECRET} x\n{SECRET}.test/a\n", "plain"), (f"{SECRET}.test\n".encode("utf-16").decode("latin-1"), "plain"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_command_and_no_file_shows_an_entry_not_even_in_errors(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    source = tmp_path / "members-only.txt"

    def shown(*arguments: str) -> str:
        command = [sys.executable, "-m", "schoolgate", *arguments, "--state", str(paths.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return done.stdout + done.stderr

    for number, (text, format_) in enumerate(CASES):
        source.write_bytes(text.encode("latin-1"))
        said = shown("lists", "load", f"iwf{number}", str(source), "--sealed", "--format", format_, "--json")
        assert said
        assert SECRET not in said, (number, said)
    said = shown("lists", "status", "--json") + shown("lists", "search", SECRET[:12])
    assert SECRET not in said
    canaries = SealedLists.open(paths.sealed).canaries
    assert {"iwf0", "iwf4"} <= set(canaries)
    assert not any(host in said for host in canaries.values())
    for path in paths.root.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
            assert SECRET.encode("utf-16-le") not in path.read_bytes(), path
