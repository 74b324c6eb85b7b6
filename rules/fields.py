"""The fields of a request's body, whatever form it is sent in, without the secret ones and within fixed bounds."""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

MAX_FIELDS = 4_000
"""Enough that words can't be hidden behind fields that nobody sees; the body's length is bounded anyway."""
_MAX_DEPTH = 64
_MIN_TEXT = 2

# Fields whose values are secrets or machine data: never weighed, so never written down.
_SECRET = re.compile(
    # "author" and "postcard" are no secrets: a page whose message field has such a name would go unread.
    r"pass(?:w|c|p|$|_|-)|passwd|pwd|secret|token|csrf|xsrf|nonce|otp|pin$|pin_?code|cvv|cvc|(?<!post)(?<!flash)(?<!score)card|iban|"
    r"auth(?!or(?!i[sz]))|session|cookie|"
    r"signature|captcha|credential|private|api_?key|access_?key|assertion|saml|viewstate|security_?(?:code|answer)|one_?time|2fa|mfa|verification",
    re.IGNORECASE,
)
_MULTIPART_NAME = re.compile(rb"""[;\s]name=(?:"([^"\r\n]{0,200})"|([^\s;"]{0,200}))""", re.IGNORECASE)
_MULTIPART_FILE = re.compile(rb"""[;\s]filename\*?=(?=(?:[^"]*"[^"]*")*[^"]*\Z)""", re.IGNORECASE)
"""Outside of quotes: a field may be called `filename=`."""
_MULTIPART_GAP = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))', re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?(utf-?(?:16|32)(?:-?[bl]e)?)""", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_TAG = re.compile(r"<[^<>]{0,4096}>")
_TEXTS = ("application/graphql", "application/xml", "application/javascript")
_JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq", "application/x-jsonlines")
_JSON = ("application/json", "application/json+protobuf", "application/csp-report", "application/x-json", "text/json")
_PARTS = ("multipart/form-data", "multipart/mixed", "multipart/related")
_PROTOBUF = re.compile(
    r"application/(?:x-protobuf|protobuf|vnd\.google\.protobuf|x-google-protobuf|grpc|grpc-web|connect)(?:\+proto|-text)?"
)
_READABLE = re.compile(rb"(?:[\x20-\x7e\n\t]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}){4,}")
"""Runs of UTF-8 text between bytes of a binary message."""
_SECURITY_PREFIX = re.compile(rb"\s*(?:\)\]\}'|while\s*\(1\);|for\s*\(;;\);)\s*")
_decoder = msgspec.json.Decoder()


def form_fields(body: bytes, media_type: str, *, limit: int = 262_144) -> list[tuple[str, str]]:
    """Return (field name, value) pairs without secret fields, at most `MAX_FIELDS`; the bounds of `typed_texts` hold."""
    if not body or limit <= 0:
        return []
    plain = media_type.partition(";")[0].strip().lower()
    cut = _as_utf8(body[:limit], media_type)
    whole = len(body) <= limit
    if not plain:
        # Scripts may send a body without a name for what it is; many sites read it all the same.
        plain = "application/json" if cut.lstrip()[:1] in (b"{", b"[") else "application/x-www-form-urlencoded"
    fields: list[tuple[str, str]] = []
    for name, value in _pairs(cut, plain, media_type, whole=whole):
        if value and not is_secret(name):
            fields.append((name, value))
            if len(fields) >= MAX_FIELDS:
                break
    return fields


def _pairs(body: bytes, plain: str, media_type: str, *, whole: bool) -> Iterator[tuple[str, str]]:
    if plain == "application/x-www-form-urlencoded":
        for name, value in _url_encoded(body):
            yield from _unfolded(name, value, _MAX_DEPTH)
    elif plain in _PARTS:
        for name, value in _multipart(body, media_type):
            yield from _unfolded(name, value, _MAX_DEPTH)
    elif plain in _JSON_LINES:
        yield from _json_lines(body)
    elif plain in _JSON or plain.endswith("+json"):
        yield from _json(body, whole=whole)
    elif _PROTOBUF.fullmatch(plain) is not None:
        yield from _readable_runs(body, text=plain.endswith("-text"))
    elif plain == "text/plain":
        # Pages send JSON under this name too, to avoid a preflight request.
        if body.lstrip()[:1] in (b"{", b"["):
            yield from _json(body, whole=whole)
        else:
            yield "", _text(body)
    elif reads(plain):
        yield "", _TAG.sub(" ", _text(body))


def reads(media_type: str) -> bool:
    """True for a `Content-Type` of a request's body in which typed words are looked for; also for none at all."""
    plain = media_type.partition(";")[0].strip().lower()
    return (
        plain in ("", "application/x-www-form-urlencoded", *_PARTS, *_JSON, *_TEXTS, *_JSON_LINES)
        or plain.startswith("text/")
        or plain.endswith(("+json", "+xml"))
        or _PROTOBUF.fullmatch(plain) is not None
    )


def is_secret(name: str) -> bool:
    """True for the name of a field whose value must never be weighed or written down."""
    return _SECRET.search(name) is not None


def _url_encoded(body: bytes) -> Iterator[tuple[str, str]]:
    for part in body.split(b"&", MAX_FIELDS * 2)[: MAX_FIELDS * 2]:
        name, equals, value = part.partition(b"=")
        yield (_unquote(name), _unquote(value)) if equals else ("", _unquote(name))


def _unquote(data: bytes) -> str:
    return _text(unquote_to_bytes(data.replace(b"+", b" ")))


def _multipart(body: bytes, media_type: str) -> Iterator[tuple[str, str]]:
    boundary = _BOUNDARY.search(media_type)
    if boundary is None:
        return
    line = b"--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    for part in body.split(line, MAX_FIELDS * 2)[1 : MAX_FIELDS * 2]:
        gap = _MULTIPART_GAP.search(part)
        if gap is None:
            continue
        head = part[: gap.start()]
        name = _MULTIPART_NAME.search(head)
        # An uploaded file is not typed. "blob" is the name that browsers give to what a script put together itself.
        file = _MULTIPART_FILE.search(head)
        if (file is None or _SCRIPT_PART.match(head, file.end()) is not None) and _PART_TYPE.search(head) is None:
            yield _text(name[1] or name[2] or b"") if name is not None else "", _text(part[gap.end() :].removesuffix(b"\r\n"))


_SCRIPT_PART = re.compile(rb'"?blob"?\s*(?:$|[;\r\n])')
_PART_TYPE = re.compile(rb"content-type:\s*(?:image|audio|video|font|application/(?:pdf|zip|octet-stream))", re.IGNORECASE)


def _json(body: bytes, *, whole: bool) -> Iterator[tuple[str, str]]:
    prefix = _SECURITY_PREFIX.match(body)
    if prefix is not None:
        body = body[prefix.end() :]
    if not whole:
        # A cut body is no JSON; its strings still are what was typed.
        yield from loose_strings(body)
        return
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Several values, one a line, under the name of one.
        yield from _json_lines(body)
        return
    yield from _json_strings("", value, _MAX_DEPTH)


def _json_lines(body: bytes) -> Iterator[tuple[str, str]]:
    for line in body.split(b"\n", MAX_FIELDS)[:MAX_FIELDS]:
        text = line.strip(b"\x1e \t\r,")
        if not text:
            continue
        try:
            value = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # From here on in one go: a string may hold a line's end.
            yield from loose_strings(body[body.index(line) :])
            return
        yield from _json_strings("", value, _MAX_DEPTH)


def json_inside(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the object or list that a string holds as JSON, as some sites send it; None for any other text."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        inner: dict[str, Any] | list[Any] = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return inner


def _unfolded(name: str, value: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield a field's value, or what is in it where it is JSON itself."""
    inner = json_inside(value) if depth > 0 else None
    if inner is None:
        yield name, value
    else:
        yield from _json_strings(name, inner, depth - 1)


def _json_strings(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if not is_secret(name):
            yield from _unfolded(name, value, depth)
    elif is_secret(name):
        return
    elif depth <= 0:
        # Nobody nests so deep but to hide something: the rest as text, in which the strings stand.
        yield from loose_strings(msgspec.json.encode(value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if " " in key:
                yield "", key  # a sentence, not a field's name
            yield from _json_strings(str(key), inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_strings(name, inner, depth - 1)


def _readable_runs(body: bytes, *, text: bool) -> Iterator[tuple[str, str]]:
    """Yield the runs of text in a message whose form only its makers know (protocol buffers, with or without frames)."""
    if text:
        try:
            body = base64.b64decode(body, validate=False)
        except binascii.Error:
            return
    for match in _READABLE.finditer(body):
        yield "", _text(match[0])


# Possessive, and content with the end of the body for a closing quote: from any quote it matches without going back.
_STRING = re.compile(rb'"((?:[^"\\]++|\\.?)*+)(?:"|\Z)(\s*+:)?', re.DOTALL)


def loose_strings(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield (name, value) for the strings of cut or broken JSON, with the name that stands before each; secrets are left out."""
    key = ""
    for match in _STRING.finditer(body):
        if match[2] is not None:
            key = _text(match[1][:200])
        elif len(match[1]) >= _MIN_TEXT and not is_secret(key):
            text = _text(match[1])
            yield key, unescaped(text)


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")


def unescaped(text: str) -> str:
    """Return text from inside of a JSON string that no parser could read, with its escapes undone."""
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_unescaped, text)
    if _HALF.search(text) is None:
        return text
    # Two halves make an emoji; one alone is no character, and text with it in can't be written down.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None:
        return {"n": "\n", "t": " ", "r": " ", "b": " ", "f": " "}.get(match[2], str(match[2]))
    return chr(int(match[1], 16))


def _as_utf8(body: bytes, media_type: str) -> bytes:
    """Return a body in UTF-16 or UTF-32, named or by its byte order mark, as UTF-8; any other as it is."""
    named = _CHARSET.search(media_type)
    codec = next((name for mark, name in _BOMS if body.startswith(mark)), named[1] if named is not None else None)
    if codec is None:
        return body
    try:
        return body.decode(codec, "replace").encode("utf-8", "replace")
    except LookupError:
        return body


def _text(data: bytes) -> str:
    if b"\0" in data:
        # UTF-16 behind percent signs; a zero byte is part of no word.
        data = data.replace(b"\0", b"")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
