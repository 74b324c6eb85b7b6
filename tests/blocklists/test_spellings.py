"""No spelling that a browser accepts for a listed address slips past; and the published vectors for names."""

import gzip
import ipaddress
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.compiler import Compiler
from blocklists.host import MAX_HOST, registrable_domain
from blocklists.index import ListIndex
from blocklists.layout import Label
from blocklists.sealed import SealedLists
from blocklists.sealedstore import load_sealed
from blocklists.url import UrlError, canonical_host, canonicalise


def compiled() -> ListIndex:
    compiler = Compiler()
    compiler.add(Label("l", "c", "domain"), [b"listed.test", b"xn--bcher-kva.test", b"10.20.30.40", b"[2001:db8::a14:1e28]"])
    compiler.add(Label("l", "c", "path"), [b"paths.test/some/Page.html"])
    compiler.add(Label("l", "c", "url"), [b"paths.test/q?id=a b".replace(b" ", b"%20")])
    return ListIndex.of(compiler.to_bytes(), "test")


INDEX = compiled()


@st.composite
def spelled(draw: st.DrawFn, text: str, *, cased: bool = False) -> str:
    """The text with some of its letters escaped once or more, and in other case where that does not matter."""
    out = []
    for character in text:
        how = draw(st.integers(0, 5))
        if how == 0 and character not in "/.":
            escape = "".join(f"%{byte:02x}" for byte in character.encode())
            out.append(escape if draw(st.booleans()) else escape.upper())
        elif how == 1 and not cased:
            out.append(character.upper())
        elif how == 2 and not cased and character.isascii() and character.isalpha():
            out.append(chr(ord(character) + 0xFEE0))  # the full-width form, which IDNA folds
        else:
            out.append(character)
    return "".join(out)


@st.composite
def host_spelling(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["listed.test", "bücher.test", "xn--bcher-kva.test", "BÜCHER.test", "bu\u0308cher.test"]))
    front = draw(st.sampled_from(["", "", "www.", "a.b.", "xn--80ak6aa92e.", "under_score.", "-x."]))
    host = front + (name if "xn--" in name else draw(spelled(name)))
    host = host.replace(".", draw(st.sampled_from([".", "。", "．", "%2e", "｡"])), draw(st.integers(0, 3)))
    return host + draw(st.sampled_from(["", "", ".", "。"]))


def ipv4_spellings() -> list[str]:
    value = int(ipaddress.IPv4Address("10.20.30.40"))
    parts = [10, 20, 30, 40]
    spellings = [
        str(value),
        hex(value),
        f"0{value:o}",
        f"10.{value & 0xFFFFFF}",
        f"10.20.{value & 0xFFFF}",
        "0xA.0x14.0X1e.40",
        "012.024.036.050",
    ]
    spellings += [
        ".".join(f"{part:#x}" for part in parts),
        "10.20.30.40.",
        "１０.２０.３０.４０",
        "%31%30.20.30.40",
        "[::ffff:10.20.30.40]",
    ]
    return [*spellings, "[::ffff:a14:1e28]", "[64:ff9b::a14:1e28]", "0x0000000a.20.30.40"]


def ipv6_spellings() -> list[str]:
    return ["[2001:DB8::A14:1E28]", "[2001:db8:0:0:0:0:a14:1e28]", "[2001:0db8:0000::0a14:1e28]", "[2001:db8::10.20.30.40]"]


around = st.tuples(
    st.sampled_from(["http://", "https://", "HTTP://", "https:", "http:\\\\", "ws://", "https:///", " https://", "ht\ntps://", "//", ""]),
    st.sampled_from(["", "user@", "user:pass@", "listed.example@", "u%40v@", "http:pw@"]),
    st.sampled_from(["", ":80", ":443", ":8080", ":", ":00443"]),
    st.sampled_from(["", "/", "/x", "\\x", "?q", "#f", "/%2e%2e/x", "/\t"]),
)


@given(host=st.one_of(host_spelling(), st.sampled_from(ipv4_spellings() + ipv6_spellings())), around=around)
def test_no_spelling_of_a_listed_host_slips_past(host: str, around: tuple[str, str, str, str]) -> None:
    scheme, user, port, rest = around
    if not scheme and (user or ":" in host):
        scheme = "http://"
    text = f"{scheme}{user}{host}{port}{rest}"
    try:
        url = canonicalise(text)
    except UrlError:
        return  # no browser opens it, and the gateway answers with an error
    assert INDEX.lookup(url), text


@given(
    path=spelled("/some/Page.html", cased=True),
    front=st.sampled_from(["", "/.", "/x/..", "/%2e", "//", "/a/b/../..", "/x/%2E%2e", "\\", "/.x/..", "/.x/y/../.."]),
    host=st.sampled_from(["paths.test", "www.paths.test", "WWW2.paths.test.", "web.paths.test:81"]),
    rest=st.sampled_from(["", "/", "/below", "?q", "#f", "?a=/../..", "/;v=1"]),
)
def test_no_spelling_of_a_listed_path_slips_past(path: str, front: str, host: str, rest: str) -> None:
    assert INDEX.lookup(canonicalise(f"https://{host}{front}{path}{rest}")), path


@given(query=spelled("id=a b", cased=True))
def test_no_spelling_of_a_listed_query_slips_past(query: str) -> None:
    assert INDEX.lookup(canonicalise(f"https://paths.test/q?{query}")), query


@given(host=host_spelling(), around=around)
def test_no_spelling_of_a_sealed_host_slips_past(
    tmp_path_factory: pytest.TempPathFactory, host: str, around: tuple[str, str, str, str]
) -> None:
    scheme, user, port, rest = around
    try:
        url = canonicalise(f"{scheme or 'http://'}{user}{host}{port}{rest}")
    except UrlError:
        return
    assert _sealed(tmp_path_factory).find(url) == "iwf", host


_SEALED: list[SealedLists] = []


def _sealed(factory: pytest.TempPathFactory) -> SealedLists:
    if not _SEALED:
        folder = factory.mktemp("sealed")
        (folder / "source").write_text("listed.test\nbücher.test\n", encoding="utf-8")
        load_sealed(folder / "sealed", "iwf", folder / "source")
        _SEALED.append(SealedLists.open(folder / "sealed"))
    return _SEALED[0]


# Our parser refuses punycode that stands for nothing and letters that no name may hold; browsers differ among
# themselves. What we refuse is answered with an error, never let through.
def test_names_become_ascii_as_the_web_platform_tests_say(shared_data: Path) -> None:
    with gzip.open(shared_data / "conformance/wpt_toascii.json.gz", "rt", encoding="utf-8") as file:
        cases = [case for case in json.load(file) if isinstance(case, dict)]
    right = 0
    other: set[str] = set()
    for case in cases:
        text, wanted = case["input"], case["output"]
        try:
            host = canonical_host(text)
        except UrlError:
            # Punycode that stands for nothing, names longer than the DNS can hold, letters of the newest Unicode.
            assert wanted is None or "xn--" in text or len(wanted) > MAX_HOST or not text.isascii(), text
            continue
        assert wanted is not None, text
        # Our form drops dots that no name server sees, and unwraps addresses.
        expected = re.sub(r"\.\.+", ".", wanted).strip(".")
        if host not in (expected, canonical_host(wanted)):
            other.add(text)
        right += 1
    # The capital sharp s became ß in UTS 46 of Unicode 15.1; before it was "ss". A browser sends us either in ASCII.
    assert all("ẞ" in text for text in other), other
    assert right > 40


def test_registrable_domains_are_those_of_the_public_suffix_tests(shared_data: Path) -> None:
    text = (shared_data / "conformance/test_psl.txt").read_text(encoding="utf-8")
    cases = re.findall(r"^checkPublicSuffix\('([^']+)', (?:'([^']+)'|null)\);", text, re.MULTILINE)
    assert len(cases) > 60
    checked = 0
    for name, wanted in cases:
        if name.startswith("."):
            continue  # no browser sends such a host; ours loses the dot
        host = canonical_host(name)
        # Where there is none ("com"), the host stands for itself.
        assert registrable_domain(host) == (canonical_host(wanted) if wanted else host), name
        checked += 1
    assert checked > 60
