"""List formats: good lines, bad lines with their numbers, and files that are broken as a whole."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.entries import Entry, EntryError, HostLines, Refused, host_entry, url_entry
from blocklists.errors import ListError
from blocklists.formats.digests import read_sha256
from blocklists.formats.domains import read_domains
from blocklists.formats.hosts import read_hosts
from blocklists.formats.interface import Alias, InCategory, Usage
from blocklists.formats.tree import read_squidguard, read_ut1
from blocklists.formats.urls import read_squidguard_urls, read_urls
from blocklists.library import Library
from blocklists.reading import MAX_LINE, Source, read_lines


def lines_of(data: bytes) -> list[str]:
    return [line.text for line in read_lines(Source(io.BytesIO(data), "test"))]


def entries(items: object) -> list[str]:
    return [item.text for item in items if isinstance(item, Entry)]  # type: ignore[attr-defined]


def in_categories(items: object) -> list[tuple[str, str]]:
    """Category and text of every entry, those of a block of lines too."""
    found = []
    for item in items:  # type: ignore[attr-defined]
        if isinstance(item, InCategory) and isinstance(item.item, HostLines):
            found += [(item.category, text) for text in item.item.data.decode().split()]
        elif isinstance(item, InCategory) and isinstance(item.item, Entry):
            found.append((item.category, item.item.text))
    return found


def source_lines(text: str) -> object:
    return read_lines(Source(io.BytesIO(text.encode()), "test"))


@pytest.mark.parametrize(
    "data",
    [
        b"a.test\nb.test\n", b"a.test\nb.test", b"a.test\r\nb.test\r\n", b"a.test\rb.test\r", b"\xef\xbb\xbfa.test\nb.test",
        "a.test\nb.test\n".encode("utf-16"), "a.test\nb.test\n".encode("utf-16-le"), "a.test\r\nb.test\n".encode("utf-16-be"),
        gzip.compress(b"a.test\nb.test\n", mtime=0),
    ],
)  # fmt: skip
def test_lines_come_out_the_same_from_any_encoding_and_line_end(data: bytes) -> None:
    assert lines_of(data) == ["a.test", "b.test"]


def test_latin_1_lines_are_read_among_utf_8_lines() -> None:
    assert lines_of("büro.test\n".encode() + "büro.test\n".encode("latin-1")) == ["büro.test", "büro.test"]


def test_a_ten_megabyte_line_is_refused_and_the_next_line_read() -> None:
    lines = list(read_lines(Source(io.BytesIO(b"x" * 10_000_000 + b"\nb.test\n"), "test")))
    assert [(line.number, line.fault is None) for line in lines] == [(1, False), (2, True)]
    assert lines[1].text == "b.test"
    assert all(len(line.text) <= MAX_LINE for line in lines)


def test_nul_bytes_are_refused_with_their_line() -> None:
    items = list(read_domains(read_lines(Source(io.BytesIO(b"a.test\nb\0.test\nlong-enough-name.test\n"), "test"))))
    assert [type(item) for item in items] == [Entry, Refused, Entry]
    assert items[1].line == 2


def test_a_gzip_bomb_is_stopped() -> None:
    bomb = gzip.compress(b"\n" * 3_000_000)
    with pytest.raises(ListError, match="more than"):
        list(read_lines(Source(io.BytesIO(bomb), "bomb.gz", limit=1_000_000)))


def test_a_cut_gzip_file_is_an_error() -> None:
    with pytest.raises(ListError, match="fetch it again"):
        lines_of(gzip.compress(os.urandom(5000))[:-200])


@given(st.binary(max_size=400))
def test_any_bytes_give_entries_and_refusals_and_nothing_else(data: bytes) -> None:
    for reader in (read_domains, read_hosts, read_urls, read_squidguard_urls, read_sha256):
        try:
            items = list(reader(read_lines(Source(io.BytesIO(data), "test"))))
        except ListError:
            continue
        for item in items:
            assert isinstance(item, Entry | Refused)
            if isinstance(item, Entry):
                assert item.text.isascii()
                assert "\n" not in item.text


@pytest.mark.parametrize(
    "text", ["com", "co.uk", "*", "*.com", ".", "..", "localhost", "*.co.uk", "foo.ck", "CO.UK.", "a b.test", "http://x.test/", "a*.test"]
)
def test_entries_that_would_match_a_registry_or_nothing_are_refused(text: str) -> None:
    with pytest.raises(EntryError):
        host_entry(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM.", "example.com"), ("*.example.com", "example.com"), (".example.com", "example.com"),
        ("blogspot.com", "blogspot.com"),
        ("www.ck", "www.ck"), ("under_score.test", "under_score.test"), ("allosexe-.myblox.fr", "allosexe-.myblox.fr"),
        ("bücher.test", "xn--bcher-kva.test"), ("0x7f.1", "127.0.0.1"), ("2001:DB8::1", "[2001:db8::1]"), ("www.com", "www.com"),
    ],
)  # fmt: skip
def test_hosts_come_out_canonical(text: str, host: str) -> None:
    assert host_entry(text) == host


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("www.example.com/A/b/", ("path", "example.com/A/b")), ("example.com", ("path", "example.com/")),
        ("http://example.com:80/a?b=1#c", ("url", "example.com/a?b=1")), ("www.com/x", ("path", "www.com/x")),
        ("1.2.3.4/x", ("path", "1.2.3.4/x")), ("example.com/a/../b", ("path", "example.com/b")),
    ],
)  # fmt: skip
def test_url_entries_follow_squidguard(text: str, entry: tuple[str, str]) -> None:
    assert url_entry(text) == entry


@pytest.mark.parametrize("text", ["co.uk", "co.uk/", "com/x", "*/x", "mailto:a@b.test"])
def test_url_entries_that_reach_too_far_are_refused(text: str) -> None:
    with pytest.raises(EntryError):
        url_entry(text)


def test_plain_domains_pass_over_comments_and_name_bad_lines() -> None:
    items = list(read_domains(source_lines("# c\n! c\n; c\n// c\n\na.test # note\nnot a host\nco.uk\n")))  # type: ignore[arg-type]
    assert entries(items) == ["a.test"]
    assert [item.line for item in items if isinstance(item, Refused)] == [7, 8]


def test_hosts_files_give_every_name_of_a_line_and_no_local_ones() -> None:
    text = "127.0.0.1 localhost\n0.0.0.0 a.test b.test # c\n::1 ip6-localhost\n\t0.0.0.0\tc.test\n"
    text += "1.2.3.4 intranet.test\n0.0.0.0 com\nfe80::1%lo0 localhost\nnonsense\n"
    items = list(read_hosts(source_lines(text)))  # type: ignore[arg-type]
    assert entries(items) == ["a.test", "b.test", "c.test"]
    assert {item.kind for item in items if isinstance(item, Entry)} == {"host"}
    assert [item.line for item in items if isinstance(item, Refused)] == [5, 6, 8]


def test_url_lists_take_hosts_with_sub_domains_and_paths_as_prefixes() -> None:
    items = list(read_urls(source_lines("https://a.test/\nhttp://a.test/x\nhttp://a.test/x?y\n")))  # type: ignore[arg-type]
    assert [(item.kind, item.text) for item in items if isinstance(item, Entry)] == [
        ("domain", "a.test"), ("path", "a.test/x"), ("url", "a.test/x?y"),
    ]  # fmt: skip


def tar_of(path: Path, members: list[tuple[str, bytes | str | None]]) -> Path:
    """Write an archive; text content is a link target, None a device."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.CHRTYPE
                archive.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def test_a_ut1_archive_gives_categories_aliases_and_usage(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "b.tar.gz",
        [
            ("blacklists/ads", "publicite"), ("blacklists/publicite/domains", b"ad.test\n"), ("blacklists/publicite/urls", b"x.test/ad\n"),
            ("blacklists/child/domains", b"kids.test\n"), ("blacklists/child/usage", b"# c\nwhite\n"),
            ("blacklists/child/expressions", b".*\n"),
        ],
    )  # fmt: skip
    items = list(read_ut1(path))
    assert in_categories(items) == [
        ("publicite", "ad.test"), ("publicite", "x.test/ad"), ("child", "kids.test"),
    ]  # fmt: skip
    assert Alias("ads", "publicite") in items
    assert Usage("child", ("white",)) in items


def test_what_a_tree_says_of_its_categories_in_two_places_is_shown(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("press", "games"):
        (tree / name).mkdir(parents=True)
        (tree / name / "domains").write_text(f"{name}.test\n")
        (tree / name / "usage").write_text("# c\nblack\n")
    (tree / "global_usage").write_text("# UT1\nNAME:\tpress\nDEFAULT_TYPE:\twhite\nDESC EN: x\n\nNAME:\tgames\nDEFAULT_TYPE: black\n")
    report = Library(tmp_path / "lists").load("t", tree)
    assert report.format == "ut1"
    assert report.disputed_categories == {"press": ("black", "white")}


def test_a_hostile_archive_loses_its_hostile_members_only(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "b.tar.gz",
        [
            ("/etc/evil/domains", b"a.test\n"), ("../up/domains", b"b.test\n"), ("blacklists/dev/domains", None),
            ("blacklists/loop", "loop"), ("blacklists/out", "../../etc"), ("blacklists/file/domains", "/etc/passwd"),
            ("blacklists/good/domains", b"good.test\n"), ("blacklists/good/domains", b"twice.test\n"),
        ],
    )  # fmt: skip
    items = list(read_ut1(path))
    assert [text for _, text in in_categories(items)] == ["good.test"]
    assert sum(isinstance(i, Refused) for i in items) == 7


def test_a_folder_tree_follows_no_link_out_of_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "domains").write_text("secret.test\n")
    tree = tmp_path / "tree"
    (tree / "games").mkdir(parents=True)
    (tree / "games" / "domains").write_text("game.test\n")
    (tree / "jeux").symlink_to("games")
    (tree / "out").symlink_to(secret)
    (tree / "loop").symlink_to("loop")
    items = list(read_ut1(tree))
    assert [text for _, text in in_categories(items)] == ["game.test"]
    assert Alias("jeux", "games") in items
    assert sum(isinstance(i, Refused) for i in items) == 2


def test_a_cut_archive_is_an_error(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "b.tar.gz", [("blacklists/a/domains", os.urandom(20_000).hex().encode())])
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(ListError):
        list(read_ut1(path))


def test_a_squidguard_category_has_domains_and_urls(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("a.test\n")
    (tmp_path / "urls").write_text("b.test/x\n")
    assert [text for _, text in in_categories(read_squidguard(tmp_path, "games"))] == ["a.test", "b.test/x"]
    with pytest.raises(ListError):
        list(read_squidguard(tmp_path.parent / "nothing-here", "games"))
