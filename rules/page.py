"""The words of a page that a person sees, taken from a response's body within fixed bounds."""

import codecs
import re

from selectolax.lexbor import LexborHTMLParser

MAX_CHARACTERS = 300_000
_SNIFF = 2048
"""Bytes in which a page has to name its character set (HTML standard, encoding sniffing: 1024; some sites are late)."""
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"""charset\s*=\s*["']?([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Labels that mean another character set to browsers (Encoding standard), and ones Python knows under dangerous names.
_LABELS = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}
# Possessive, and content with the end of the text for a closing quote: from any quote it matches without going back.
_JSON_STRING = re.compile(r'"((?:[^"\\]++|\\.?)*+)(?:"|\Z)(\s*+:)?', re.DOTALL)
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_UNSEEN = ["script", "style", "template", "noscript", "svg", "iframe"]
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_SPOKEN = ("alt", "title", "content", "placeholder")


def is_text(media_type: str) -> bool:
    """True for a `Content-Type` whose words can be read: HTML, JSON and plain text."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain in _HTML or plain in ("text/plain", "application/json") or plain.endswith("+json")


def visible_text(body: bytes, media_type: str, *, limit: int = MAX_CHARACTERS) -> str:
    """Return the words that a person sees in a decompressed body, at most `limit` characters; empty for other types.

    HTML: title, description and text without scripts and styles, with a space between elements' texts. JSON: its
    string values. Never raises for odd bodies.
    """
    plain = media_type.partition(";")[0].strip().lower()
    if not body or not is_text(media_type):
        return ""
    if plain in _HTML:
        return _html_text(body, media_type)[:limit]
    text = decode(body, media_type)
    if plain != "text/plain":
        text = _json_text(text, limit)
    return text[:limit]


def charset_of(body: bytes, media_type: str) -> str:
    """Return the Python codec for a body: byte order mark, header, `<meta>`, then UTF-8, then windows-1252."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return name
    header = _HEADER_CHARSET.search(media_type)
    named = header[1] if header is not None else None
    if named is None:
        meta = _META_CHARSET.search(body, 0, _SNIFF)
        named = meta[1].decode("ascii") if meta is not None else None
    codec = _codec(named) if named is not None else None
    if codec is not None:
        return codec
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut at the very end says nothing about the rest.
        return "utf-8" if error.reason == "unexpected end of data" else "cp1252"
    return "utf-8"


def decode(body: bytes, media_type: str) -> str:
    """Return the body as text; bytes that don't fit become U+FFFD."""
    return body.decode(charset_of(body, media_type), "replace").removeprefix("\ufeff")


def _codec(label: str) -> str | None:
    label = label.lower()
    label = _LABELS.get(label, label)
    try:
        info = codecs.lookup(label)
        # Python has codecs that are no character sets (zip, rot13); a page must not choose one.
        return info.name if info._is_text_encoding else None  # noqa: SLF001  # the only way to ask
    except LookupError:
        return None


def _html_text(body: bytes, media_type: str) -> str:
    charset = charset_of(body, media_type)
    # Lexbor reads UTF-8; bytes pass without a detour over Python text when they are that already.
    tree = LexborHTMLParser(body if charset == "utf-8" else body.decode(charset, "replace"))
    tree.strip_tags(_UNSEEN)
    root = tree.root
    if root is None:
        return ""
    text = root.text(separator=" ")
    extra = [value for node in tree.css('meta[name="description"], meta[name="keywords"], img[alt]') for value in _spoken(node.attributes)]
    return " ".join([text, *extra]) if extra else text


def _spoken(attributes: dict[str, str | None]) -> list[str]:
    return [value for name in _SPOKEN if (value := attributes.get(name))]


def _json_text(text: str, limit: int) -> str:
    """Join the string values; keys are not words of a page. Works on cut and broken JSON too."""
    found: list[str] = []
    total = 0
    for match in _JSON_STRING.finditer(text):
        if match[2] is None and len(match[1]) > 1:
            value = _JSON_ESCAPE.sub(_unescaped, match[1]) if "\\" in match[1] else match[1]
            found.append(value)
            total += len(value) + 1
            if total >= limit:
                break
    return " ".join(found)


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    return {"n": " ", "t": " ", "r": " ", "b": " ", "f": " "}.get(match[2], match[2])
