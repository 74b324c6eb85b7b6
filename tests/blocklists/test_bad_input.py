"""Broken and hostile input: a clear error or a refusal with its line, bounded memory, and the old index still there."""

import contextlib
import gzip
import io
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocklists.entries import Allowed, Entry, HostLines, Refused, Skipped
from blocklists.errors import ListError
from blocklists.formats.detect import detect, detect_text
from blocklists.formats.interface import InCategory, Options
from blocklists.formats.registry import FORMATS
from blocklists.library import Library
from blocklists.url import canonicalise

TEXT_FORMATS = [name for name in FORMATS if name not in ("squidguard", "ut1")]
FRAGMENTS = [
    b"||", b"^", b"@@", b"$", b"##", b"*.", b"a.test", b"co.uk", b"0.0.0.0 ", b"CNAME .", b"local-zone: ", b"/", b"address=/", b"\n",
    b"\r", b"\0",
    b"\xff", b"(", b")", b'"', b"<", b">", b",", b"{", b"[", b"]", b"}", b":", b"include:", b"full:", b"\\", b"%", b"$ORIGIN ", b"xn--",
    b"-", b" ",
    "ü".encode(), b"\xef\xbb\xbf", b"2001:db8::/32", b"ab" * 32, b".", b"1e9", b"$GENERATE 1-9 ", b"@", b";", b"#",
]  # fmt: skip

FRAGMENTED = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)
WHOLE_FILE = ("json", "adguard-services", "rpz", "exclusions", "v2fly", "nextdns")


def check(items: object) -> None:
    for item in items:  # type: ignore[attr-defined]
        inner = item.item if isinstance(item, InCategory) else item
        assert isinstance(inner, Entry | Allowed | Refused | Skipped | HostLines)
        if isinstance(inner, Entry | Allowed):
            assert inner.text.isascii()
            assert inner.text
            assert not set(inner.text) & set("\n\t ")
            assert inner.line >= 0
            if inner.kind in ("domain", "host"):
                assert canonicalise(f"http://{inner.text}/").host == inner.text
        elif isinstance(inner, HostLines):
            assert len(inner.numbers) == inner.data.count(b"\n")
            for host in inner.data.decode("ascii").split():
                assert canonicalise(f"http://{host}/").host == host


@pytest.mark.parametrize("name", TEXT_FORMATS)
@given(data=st.one_of(st.binary(max_size=300), FRAGMENTED))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_entries_refusals_or_one_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    try:
        check(FORMATS[name].read(path, Options("c")))
    except ListError:
        return


@given(data=st.one_of(st.text(max_size=200), FRAGMENTED.map(lambda data: data.decode("latin-1"))))
def test_recognising_any_text_ends_in_a_guess_or_one_error(data: str) -> None:
    try:
        guess = detect_text(data)
    except ListError:
        return
    assert guess.format in FORMATS
    assert 0 <= guess.confidence <= 1


@pytest.mark.parametrize("name", ["domains", "adblock", "rpz", "dnsmasq", "unbound", "wildcard", "networks", "e2guardian", "csv"])
@pytest.mark.parametrize("wrap", ["crlf", "bom", "latin-1", "utf-16", "gzip", "cr", "no end"])
def test_every_format_reads_every_encoding_and_line_end(tmp_path: Path, name: str, wrap: str) -> None:
    text = {
        "domains": "a.test\nb.test\n", "adblock": "||a.test^\n||b.test^\n", "rpz": "a.test CNAME .\nb.test CNAME .\n",
        "dnsmasq": "local=/a.test/\nlocal=/b.test/\n", "unbound": 'local-zone: "a.test" static\nlocal-zone: "b.test" static\n',
        "wildcard": "*.a.test\n*.b.test\n", "networks": "10.0.0.1\n10.0.0.2\n", "e2guardian": "a.test\nb.test\n",
        "csv": "a.test,1\nb.test,2\n",
    }[name]  # fmt: skip
    data = {
        "crlf": text.replace("\n", "\r\n").encode(), "bom": b"\xef\xbb\xbf" + text.encode(), "utf-16": text.encode("utf-16"),
        "latin-1": ("# ü\n" if name != "rpz" else "; ü\n").encode("latin-1") + text.encode(), "gzip": gzip.compress(text.encode()),
        "cr": text.replace("\n", "\r").encode(), "no end": text.rstrip("\n").encode(),
    }[wrap]  # fmt: skip
    path = tmp_path / "list"
    path.write_bytes(data)
    found = []
    for item in FORMATS[name].read(path, Options("c")):
        assert isinstance(item, Entry | HostLines), item
        found += item.data.decode().split() if isinstance(item, HostLines) else [item.text]
    assert found == (["10.0.0.1", "10.0.0.2"] if name == "networks" else ["a.test", "b.test"])


@pytest.mark.parametrize("name", [name for name in TEXT_FORMATS if name not in WHOLE_FILE])
def test_a_line_of_ten_megabytes_is_refused_with_its_number(tmp_path: Path, name: str) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"\n" + b"a" * 10_000_000 + b"\n")
    items = list(FORMATS[name].read(path, Options("c")))
    assert [(item.line, len(item.text) <= 120) for item in items if isinstance(item, Refused)] == [(2, True)]


@pytest.mark.parametrize(
    "data", [b'{"a":[{"\xffdomain":"a.test","category":"x"},{"url":"http://b.test/x"}]}', b'[{"domain":"b.test","note":"caf\xe9"}]']
)
def test_json_in_latin_1_is_read_as_other_lists_are(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(data)
    found = [item.item if isinstance(item, InCategory) else item for item in FORMATS["json"].read(path, Options("c"))]
    assert [item.text for item in found if isinstance(item, Entry)][-1].startswith("b.test")


def test_an_address_with_a_zone_is_refused_and_one_inside_ipv6_is_the_ipv4_address(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("2::%02\nfe80::1%lo0\n64:ff9b::c000:201\n::ffff:192.0.2.1\n64:ff9b::c000:200/120\n")
    items = list(FORMATS["networks"].read(path, Options("c")))
    assert [item.line for item in items if isinstance(item, Refused)] == [1, 2]
    assert [item.text for item in items if isinstance(item, Entry)] == ["192.0.2.1", "192.0.2.1", "192.0.2.0/24"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("data", [b"\x1f\x8b\x08", b"\x1f\x8b\x08\xff\x25k\x03K\xc9", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"])
def test_a_packed_file_that_stops_in_its_header_is_one_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    with contextlib.suppress(ListError):
        check(FORMATS[name].read(path, Options("c")))
    with pytest.raises(ListError, match="list"):
        detect(path)


@pytest.mark.parametrize("member", ["global_usage", "a/usage", "a/domains", "a/urls", "a/expressions"])
def test_an_archive_that_ends_before_a_member_is_one_error(tmp_path: Path, member: str) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as file:
        for name in ("b/domains", member):
            info = tarfile.TarInfo(f"blacklists/{name}")
            info.size = 600
            file.addfile(info, io.BytesIO(b"good.test\n" * 60))
    cut = whole.getvalue().rindex(b"blacklists") + 512
    for packed in (whole.getvalue()[:cut], gzip.compress(whole.getvalue()[:cut]), gzip.compress(whole.getvalue()[: cut + 300])):
        path = tmp_path / "b.tar.gz"
        path.write_bytes(packed)
        with pytest.raises(ListError, match=r"b\.tar\.gz"):
            list(FORMATS["ut1"].read(path, Options(expressions=True)))


def test_nul_bytes_inside_plain_lines_are_refused_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"a.test\nb\0.test\n" + b"c.test\n" * 100)
    refused = [item for item in FORMATS["domains"].read(path, Options()) if isinstance(item, Refused)]
    assert [(item.line, item.reason) for item in refused] == [(2, "the line holds NUL bytes")]


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], **options: object) -> Path:
    with tarfile.open(path, "w:gz", **options) as file:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def test_an_archive_with_a_huge_extended_header_is_an_error(tmp_path: Path) -> None:
    info = tarfile.TarInfo("blacklists/a/domains")
    info.pax_headers = {"comment": "x" * 5_000_000}
    path = archive(tmp_path / "b.tar.gz", [(info, b"a.test\n")], format=tarfile.PAX_FORMAT)
    with pytest.raises(ListError, match="extended header"):
        list(FORMATS["ut1"].read(path, Options()))
    with pytest.raises(ListError):
        detect(path)


def test_a_member_that_unpacks_to_too_much_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocklists.formats.tree.MAX_BYTES", 1_000_000)
    path = archive(tmp_path / "b.tar.gz", [(tarfile.TarInfo("blacklists/a/domains"), b"\n" * 3_000_000)])
    with pytest.raises(ListError, match="when unpacked"):
        list(FORMATS["ut1"].read(path, Options()))


@pytest.mark.parametrize("name", ["nextdns", "v2fly", "exclusions"])
def test_hostile_archives_of_services_lose_their_hostile_members_only(tmp_path: Path, name: str) -> None:
    link = tarfile.TarInfo("services/link")
    link.type, link.linkname = tarfile.SYMTYPE, "../../etc/passwd"
    device = tarfile.TarInfo("services/dev")
    device.type = tarfile.BLKTYPE
    path = tmp_path / "s.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for info in (link, device):
            file.addfile(info)
        for member in ("/abs/one", "../two", "services/good", "services/good", "services/\nbad"):
            info = tarfile.TarInfo(member)
            info.size = 10
            file.addfile(info, io.BytesIO(b"good.test\n"))
    items = [item.item for item in FORMATS[name].read(path, Options()) if isinstance(item, InCategory)]
    assert [item.text for item in items if isinstance(item, Entry)] == ["good.test"]
    assert sum(isinstance(item, Refused) for item in items) == 6


def test_a_download_that_stopped_half_way_is_an_error_and_the_old_list_stays(tmp_path: Path) -> None:
    library = Library(tmp_path / "lists")
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress(b"old.test\n"))
    library.load("g", path, "domains", "games")
    library.compile()
    whole = gzip.compress(b"".join(b"h%d.test\n" % number for number in range(5_000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ListError, match="fetch it again"):
        library.load("g", path, "domains", "games")
    library.compile()
    assert library.open_index().lookup(canonicalise("http://old.test/"))
    assert len(library.history.versions("g")) == 1


_FULL_DISK = """
import resource, sys
from pathlib import Path
from blocklists.errors import ListError
from blocklists.library import Library
library = Library(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    library.load("g", Path(sys.argv[2]), "domains", "games") if sys.argv[4] == "load" else library.compile()
except ListError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.parametrize("step", ["load", "compile"])
def test_a_full_disk_is_told_and_the_old_index_serves_on(tmp_path: Path, step: str) -> None:
    library = Library(tmp_path / "lists")
    small, big = tmp_path / "small", tmp_path / "big"
    small.write_text("old.test\n")
    big.write_text("".join(f"host-number-{number}.test\n" for number in range(20_000)))
    library.load("g", small, "domains", "games")
    library.compile()
    if step == "compile":
        library.load("g", big, "domains", "games")
    before = sorted(path.name for path in library.folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, library.folder, big, "100000", step], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "told: " in done.stderr
    assert "File too large" in done.stderr
    assert sorted(path.name for path in library.folder.rglob("*")) == before
    assert library.open_index().lookup(canonicalise("http://old.test/"))
    if step == "load":
        assert library.status()[0].entries == 1


def test_memory_stays_bounded_for_a_packed_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"a" * 50_000_000 + b"\nb.test\n"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = list(FORMATS["domains"].read(path, Options()))
    assert [type(item) for item in items] == [Refused, Entry]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
