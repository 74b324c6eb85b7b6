"""The words of a page that a person sees, taken from a response's body within fixed bounds."""

import html
import re
from collections import Counter

from selectolax.lexbor import LexborHTMLParser

from rules.charsets import charset_of, decode
from rules.fields import unescaped

MAX_CHARACTERS = 300_000
SNIFFED = 1445
"""Bytes by which browsers tell what an answer without a usable type is (MIME Sniffing standard, 7)."""
# Possessive, and content with the end of the text for a closing quote: from any quote it matches without going back.
_JSON_STRING = re.compile(r'"((?:[^"\\]++|\\.?)*+)(?:"|\Z)(\s*+:)?', re.DOTALL)
_UNSEEN = ["script", "style", "noscript", "iframe"]
_XML = frozenset({"application/xhtml+xml", "text/xml", "application/xml"})
_UNKNOWN = frozenset({"*/*", "unknown/unknown", "application/unknown", "multipart/x-mixed-replace"})
_SHOWN = frozenset({"application/javascript", "application/x-javascript", "application/ecmascript"})
"""Types beside `text/...` that a browser shows as text when somebody opens them by themselves."""
_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_SPOKEN = ("alt", "title", "content", "placeholder")
_SPOKEN_IN_XML = re.compile(r"""\b(?:alt|title|content|placeholder)\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)')""")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""How text of two bytes a character begins."""
_TAG = re.compile(r"<[^<>]*>")
_NAMED_TAG = re.compile(rb"<(/?)([a-zA-Z][^\t\n\f\r />]{0,40})")
_NEVER_OPEN = frozenset(b"area base br col embed hr img input link meta param source track wbr li p td th tr dt dd option".split())
"""Elements without content, and those whose next one closes them."""
_MANY_TAGS = 6_000
"""Tags up to which even the deepest nesting takes no more than a tenth of a second."""
_DEEPEST = 2_000
_MANY_BYTES = 32_768
"""Below this length, even a page of a single tag takes a parser less than a second."""
_ENDLESS_TAG = re.compile(rb"""<[a-zA-Z][^\s/>]*+[\s/](?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]++))?+){500}""")
"""A tag of hundreds of attributes: a parser compares each with all before it."""
_SPEAKING = 'meta[name="description"], meta[name="keywords"], img[alt]'
_SPEAKS = re.compile(rb"""<(?:img|image|meta(?!\s+charset=[\w"'-]+\s*/?>))[\s/]""", re.IGNORECASE)
"""A tag that may have one of them; nearly every page says its charset."""
_HOLDS = re.compile(rb"<(?:template|iframe)[\s/>]", re.IGNORECASE)
_TEMPLATE = re.compile(rb"<(/?)template(?=[\s/>])", re.IGNORECASE)


def is_text(media_type: str, *, document: bool = False) -> bool:
    """True for a `Content-Type` whose words can be read, and for one that leaves it to the browser to find out.

    `document` says that somebody opens the answer by itself: then a style sheet or a script is shown as text.
    """
    kind = _kind(media_type)
    return kind in ("html", "xml", "json", "text", "sniff") or (document and kind == "shown")


def must_sniff(media_type: str) -> bool:
    """True when only the first bytes of the answer tell whether it has words."""
    return _kind(media_type) == "sniff"


def looks_binary(start: bytes) -> bool:
    """True for the first bytes of something that no browser shows as text (MIME Sniffing standard, 7.1: binary data bytes)."""
    return not start.startswith(_WIDE) and _BINARY.search(start, 0, SNIFFED) is not None


def visible_text(body: bytes, media_type: str, *, limit: int = MAX_CHARACTERS) -> str:
    """Return the words that a person sees in a decompressed body, at most `limit` characters; empty for other types.

    HTML: title, description and text without scripts and styles, with a space between elements' texts. XML: text and
    the replacement texts of entities. JSON: its string values. Never raises for odd bodies.
    """
    kind = _kind(media_type)
    if not body or kind == "other":
        return ""
    if kind == "sniff":
        kind = _sniffed(body)
    if kind == "html":
        return _html_text(body, media_type)[:limit]
    text = decode(body, media_type)
    if kind == "xml":
        text = _xml_text(text)
    elif kind == "json":
        text = _json_text(text, limit)
    return text[:limit]


def _kind(media_type: str) -> str:
    """Return how a browser reads the type: html, xml, json, text, shown (text when opened by itself), sniff or other.

    Several types, from repeated fields or commas: which of them counts differs by browser, so the one with most in it.
    """
    kinds = {_kind_of(part) for part in media_type.split(",")} if "," in media_type else {_kind_of(media_type)}
    if len(kinds) == 1:
        return kinds.pop()
    return next((kind for kind in ("html", "xml", "json", "text", "shown") if kind in kinds), "sniff")


def _kind_of(media_type: str) -> str:
    plain = re.split(r"[;\s(]", media_type.strip().lower(), maxsplit=1)[0]
    if plain == "text/html":
        return "html"
    if plain == "text/plain":
        return "text"
    if plain == "application/json" or plain.endswith("+json"):
        return "json"
    if plain in _XML or plain.endswith("+xml"):
        return "xml"
    if plain in _UNKNOWN or _TYPE.fullmatch(plain) is None:
        return "sniff"
    return "shown" if plain.startswith("text/") or plain in _SHOWN else "other"


def _sniffed(body: bytes) -> str:
    start = body[:SNIFFED].lstrip(b"\t\n\x0c\r \xef\xbb\xbf")
    if start.startswith(b"<?xml"):
        return "xml"
    return "html" if start.startswith(b"<") or body.startswith(_WIDE) else "text"


def _html_text(body: bytes, media_type: str) -> str:
    # Lexbor keeps what a template holds in a tree of its own, yet pages show it (declarative shadow DOM).
    holds = _HOLDS.search(body) is not None
    if holds:
        body = _TEMPLATE.sub(rb"<\1div", body)
    page = _utf8(body, media_type)
    if (len(body) > _MANY_TAGS and body.count(b"<") > _MANY_TAGS and _nests_deeply(body)) or (
        len(body) > _MANY_BYTES and _ENDLESS_TAG.search(body) is not None
    ):
        text = _TAG.sub(" ", page if isinstance(page, str) else page.decode("utf-8", "replace"))
        return html.unescape(" ".join(text.split()))
    tree = LexborHTMLParser(page)
    # Asking the tree costs more than looking whether there is anything to ask for; UTF-16 names nothing in ASCII.
    wide = b"\0" in body
    inner = []
    if wide or holds:
        inner = [_xml_text(value) for node in tree.css("iframe[srcdoc]") if (value := node.attributes.get("srcdoc"))]
    tree.strip_tags(_UNSEEN)
    root = tree.root
    if root is None:
        return ""
    text = root.text(separator=" ")
    extra = []
    if wide or _SPEAKS.search(body) is not None:
        extra = [value for node in tree.css(_SPEAKING) for value in _spoken(node.attributes)]
    return " ".join([text, *extra, *inner]) if extra or inner else text


def _nests_deeply(body: bytes) -> bool:
    """True for a page whose elements may stand so deep in one another that a parser's time grows with the square of it.

    Counts start tags without an end tag of their name. Browsers stop at a depth of 512; a page that goes on is an attack
    or a mistake, and is read without a tree: scripts and styles count as text there, nothing that is shown is missed.
    """
    unclosed: Counter[bytes] = Counter()
    for end, name in _NAMED_TAG.findall(body):
        name = name.lower()  # noqa: PLW2901 - the same name
        if end:
            unclosed[name] = max(0, unclosed[name] - 1)
        elif name not in _NEVER_OPEN:
            unclosed[name] += 1
    return unclosed.total() > _DEEPEST


def _utf8(body: bytes, media_type: str) -> bytes | str:
    """Return the page as Lexbor reads it; bytes that are UTF-8 already pass without a detour over Python text."""
    charset = charset_of(body, media_type)
    return body if charset == "utf-8" else body.decode(charset, "replace")


def _spoken(attributes: dict[str, str | None]) -> list[str]:
    return [value for name in _SPOKEN if (value := attributes.get(name))]


def _xml_text(text: str) -> str:
    """Join the texts between tags. An HTML parser would read XML wrongly: CDATA, `<script/>`, entities of its own."""
    spoken = [one or other for one, other in _SPOKEN_IN_XML.findall(text)]
    plain = text.replace("<![CDATA[", " ").replace("]]>", " ").replace("<!ENTITY", "> ")
    return html.unescape(" ".join([_TAG.sub(" ", plain), *spoken]))


def _json_text(text: str, limit: int) -> str:
    """Join the string values; keys are not words of a page. Works on cut and broken JSON too."""
    found: list[str] = []
    total = 0
    for match in _JSON_STRING.finditer(text):
        if match[2] is None and len(match[1]) > 1:
            value = unescaped(match[1])
            found.append(value)
            total += len(value) + 1
            if total >= limit:
                break
    return " ".join(found)
