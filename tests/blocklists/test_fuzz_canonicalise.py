"""Any text and any bytes as an address: one canonical form that every spelling of it shares, or `UrlError`, and soon.

By coverage-guided fuzzing too, for as long as one likes (atheris is no dependency of the project):

    uv run --with atheris python tests/blocklists/test_fuzz_canonicalise.py -max_total_time=300 FOLDER_OF_FINDINGS
"""

import sys
import time

import can_ada
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklists.host import MAX_HOST
from blocklists.url import MAX_CHARACTERS, CanonicalUrl, UrlError, canonicalise, expressions

SECONDS = 5.0
"""Far beyond what any address needs."""
PIECES = [
    b"http://", b"https:", b"HTTP:\\\\", b"//", b"ws://u:p@", b"ftp:", b"a.test", b"xn--", b"xn--bcher-kva", "bü".encode(), "。".encode(),
    b"%2e", b"%252e", b"%", b"%25", b"%5c", b"%00", b"%3f", b"%23", b"%ff", b"..", b".", b"/", b"\\", b"?", b"#", b"@", b":", b":80", b"[",
    b"]", b"[::1]", b"[::ffff:10.0.0.1]", b"[64:ff9b::1]", b"0x7f.1", b"017", b"2130706433", b"256", b"\t",
    b"\n", b"\r", b"\0", b" ", b"\xff",
    b"\xed\xa0\x80", "\u200d".encode(), "\u0131".encode(), "ẞ".encode(), b";", b"&", b"=", b"+", b"a" * 64, b"-", b"_",
]  # fmt: skip


def text_of(data: bytes) -> str:
    """Return the text as a request brings it: what is no UTF-8 stands as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def check(text: str) -> None:
    """Hold one text against everything that must be true of every address."""
    began = time.monotonic()
    try:
        url = canonicalise(text)
    except UrlError as error:
        check_refusal(text, error)
        return
    finally:
        assert time.monotonic() - began < SECONDS, text
    assert url.text.isascii()
    assert not set(url.text) & set(" \t\r\n\0#")
    assert 0 <= url.port <= 65_535
    assert url.path.startswith("/")
    assert "//" not in url.path
    assert not {".", ".."} & set(url.path.split("/"))
    assert url.host == url.host.lower().strip(".")
    assert ".." not in url.host
    assert 0 < len(url.host) <= MAX_HOST
    assert 0 < len(set(expressions(url))) == len(expressions(url)) <= 30
    for same in spellings(url):
        again = canonicalise(same)
        assert (again.host, again.path, again.query) == (url.host, url.path, url.query), (text, same)


def spellings(url: CanonicalUrl) -> list[str]:
    """Return other addresses of the same page, as somebody writes them who wants to slip past a list."""
    host, path, query = url.host, url.path, "" if url.query is None else f"?{url.query}"
    escaped = "".join(f"%{ord(character):02x}" if character not in "/%" else character for character in path)
    found = [
        url.text,
        url.sent,
        f"{url.scheme}://{host.upper()}{path}{query}",
        f"{url.scheme}://user:pass@{host}:8080{path}{query}#fragment",
        f"\t {url.scheme.upper()}:\\\\{host}{path}{query}\n",
        f"{url.scheme}://{host}/./x/%2e%2E{path}{query}",
    ]
    if "%" not in path:  # an escape that stays one can't be escaped again without becoming another text
        found.append(f"{url.scheme}://{host}{escaped}{query}")
    if not url.is_address and len(host) < MAX_HOST:
        found.append(f"{url.scheme}://{host}.{path}{query}")
    return [spelling for spelling in found if len(spelling) <= MAX_CHARACTERS]


def check_refusal(text: str, error: UrlError) -> None:
    """What a browser opens is refused for its size, its layers of escapes or a host of dots alone, and for nothing else."""
    assert str(error).endswith(".")
    assert "\n" not in str(error)
    try:
        url = can_ada.parse(text)
    except (ValueError, TypeError):
        return
    if url.protocol not in ("http:", "https:", "ws:", "wss:", "ftp:"):
        return
    if len(text) > MAX_CHARACTERS or "too many layers" in str(error) or len(url.hostname) > MAX_HOST:
        return
    host = url.hostname
    assert host.startswith(".") or host.endswith(".") or ".." in host, (text, error)


@given(data=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join)))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_an_address_in_every_spelling_or_one_error(data: bytes) -> None:
    check(text_of(data))


@given(text=st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text_is_an_address_in_every_spelling_or_one_error(text: str) -> None:
    check("http://" + text)
    check(text)


@pytest.mark.parametrize("piece", ["%25", "/../", "//", "a.", "%2e%2e/", "%", "\\", "?", "@", "[", "xn--", "。", "\u0301"])
def test_the_longest_addresses_of_one_piece_end_soon(piece: str) -> None:
    many = MAX_CHARACTERS // len(piece)
    for text in (f"http://{piece * many}", f"http://a.test/{piece * (many - 20)}", f"http://a.test/?{piece * (many - 20)}"):
        check(text)


def _fuzz() -> None:
    import atheris  # type: ignore[import-not-found]

    atheris.instrument_all()
    atheris.Setup(sys.argv, lambda data: check(text_of(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz()
