"""The words of a page that a person sees."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.charsets import charset_of
from rules.page import is_text, must_sniff, visible_text

HTML = "text/html"


def test_scripts_and_styles_are_not_words_and_elements_are_apart() -> None:
    body = (
        b"<html><head><title>Big title</title><style>p{}</style>"
        b"<meta name=description content='about it'></head><body>"
        b"<script>var evil</script><p>one</p><p>two</p><img alt='a cat'><!-- note --></body>"
    )
    words = visible_text(body, HTML).split()
    assert words == ["Big", "title", "one", "two", "about", "it", "a", "cat"]


def test_json_values_are_words_also_when_cut() -> None:
    assert visible_text(b'{"key": "the \\u0066irst", "n": 1, "list": ["second one", "cut o', "application/json").split() == [
        "the",
        "first",
        "second",
        "one",
        "cut",
        "o",
    ]


@pytest.mark.parametrize(
    ("body", "media_type", "charset"),
    [
        (b"\xef\xbb\xbfx", HTML, "utf-8"),
        (b"\xff\xfex\0", HTML, "utf-16-le"),
        (b"x", "text/html; charset=iso-8859-1", "cp1252"),
        (b"<meta charset='gb2312'>x", HTML, "gb18030"),
        (b"caf\xe9 au lait", HTML, "cp1252"),
        ("café".encode(), HTML, "utf-8"),
        ("café".encode()[:-1], HTML, "utf-8"),
        (b"x", "text/html; charset=zip", "utf-8"),
        (b"x", "text/html; charset=no-such", "utf-8"),
    ],
)
def test_charset_is_found_as_browsers_do(body: bytes, media_type: str, charset: str) -> None:
    assert charset_of(body, media_type).replace("_", "-") == charset


def test_other_types_have_no_words_and_the_limit_holds() -> None:
    assert visible_text(b"abc", "image/png") == ""
    assert len(visible_text(b"<p>" + b"word " * 1000, HTML, limit=100)) == 100


@given(
    st.binary(max_size=300),
    st.sampled_from([HTML, "application/json", "text/plain; charset=utf-7", "application/xhtml+xml; charset=utf-16", "a/b+json"]),
)
def test_no_body_makes_it_fail(body: bytes, media_type: str) -> None:
    assert isinstance(visible_text(body, media_type), str)


def test_hostile_json_takes_time_in_proportion() -> None:
    for body in (b'"' * 250_000, b'"\\' * 120_000, b'" ' * 120_000, b'"' + b" " * 250_000):
        start = time.perf_counter()
        visible_text(body, "application/json")
        assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "opening", [b"<div>", b"<a>x<div>", b"<b><p>", b"<font size=1><p>", b"<div></span>", b"<DIV class='>'>", b"<table><tr><td>"]
)
def test_deeply_nested_pages_are_read_in_proportion(opening: bytes) -> None:
    start = time.perf_counter()
    assert "core" in visible_text(opening * (1_000_000 // len(opening)) + b"core", HTML)
    assert time.perf_counter() - start < 10


def test_a_long_flat_page_is_read_without_its_scripts() -> None:
    assert "evil" not in visible_text(b"<script>evil</script>" + b"<li><b>a</b> one<br>" * 5_000, HTML)


@pytest.mark.parametrize(
    ("media_type", "text", "as_document", "sniffed"),
    [
        ("text/html; charset=x", True, True, False),
        ("TEXT/HTML(comment)", True, True, False),
        ("image/png, text/html", True, True, False),
        ("image/svg+xml", True, True, False),
        ("text/css", False, True, False),
        ("", True, True, True),
        ("*/*", True, True, True),
        ("nonsense", True, True, True),
        ("image/png", False, False, False),
        ("application/octet-stream", False, False, False),
    ],
)
def test_a_type_is_read_as_browsers_read_it(media_type: str, text: bool, as_document: bool, sniffed: bool) -> None:
    assert (is_text(media_type), is_text(media_type, document=True), must_sniff(media_type)) == (text, as_document, sniffed)


@pytest.mark.parametrize(
    ("body", "media_type", "charset"),
    [
        (b"x", "text/html; charset=punycode", "utf-8"),
        (b"x", "text/html; charset=utf-7", "utf-8"),
        (b"x", "text/html; charset=unicode_escape", "utf-8"),
        (b"<meta charset=utf-16>x", HTML, "utf-8"),
        (b"x", "text/html; charset=utf-16", "utf-16-le"),
        (b"<?xml version='1.0' encoding='windows-1251'?>", "text/xml", "cp1251"),
        ("<?xml?>".encode("utf-16-be"), "text/xml", "utf-16-be"),
        (b"x", "text/html; charset=zip; charset=koi8-r", "koi8-r"),
        (b"x", "text/html; xcharset=utf-16", "utf-8"),
        (b"x", 'text/html; note="; charset=utf-16"; charset="KOI8-R"', "koi8-r"),
        (b"x", "text/html; charset='utf-16'", "utf-8"),
    ],
)
def test_only_what_browsers_know_is_a_charset(body: bytes, media_type: str, charset: str) -> None:
    assert charset_of(body, media_type) == charset


@given(st.binary(max_size=400), st.sampled_from(["", "text/xml", "image/svg+xml", "*/*", "a, text/html", "text/css"]))
def test_no_body_of_an_odd_type_makes_it_fail(body: bytes, media_type: str) -> None:
    assert isinstance(visible_text(body, media_type), str)


def test_hostile_xml_takes_time_in_proportion() -> None:
    for body in (b"<" * 400_000, b"<a " * 200_000, b'title="' * 80_000, b"title='" * 80_000, b"&" * 400_000, b"<![CDATA[" * 50_000):
        start = time.perf_counter()
        visible_text(body, "text/xml")
        visible_text(b"<p>" + body, HTML)
        assert time.perf_counter() - start < 3


def test_emoji_that_json_writes_as_escapes_are_read() -> None:
    assert visible_text(b'{"t": "a \\ud83d\\udd2a b", "u": "half \\ud83d"}', "application/json") == "a 🔪 b half \ufffd"


@pytest.mark.parametrize("attribute", [b" a%d", b"/a%d", b" a%d='<'", b" a%d='>'", b' a%d="1"'])
def test_a_tag_of_endless_attributes_is_read_in_proportion(attribute: bytes) -> None:
    body = b"<p>before<div" + b"".join(attribute % number for number in range(40_000)) + b">after</div>"
    started = time.perf_counter()
    assert visible_text(body, HTML).startswith("before")
    assert time.perf_counter() - started < 2
