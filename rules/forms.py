"""Words that somebody typed into a form, a message or a prompt, taken from a request's body within fixed bounds."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from rules.request import TypedText

MAX_FIELDS = 200
MAX_CHARACTERS = 20_000
"""Characters of typed words that one request gives at most."""
_MAX_DEPTH = 12
_MIN_TEXT = 2

# Fields whose values are secrets or machine data: never weighed, so never written down.
_SECRET = re.compile(
    r"pass(?:w|c|p|$|_|-)|passwd|pwd|secret|token|csrf|xsrf|nonce|otp|pin$|pin_?code|cvv|cvc|card|iban|auth|session|cookie|"
    r"signature|captcha|credential|private|api_?key|access_?key|assertion|saml|viewstate|security_?(?:code|answer)|one_?time|2fa|mfa|verification",
    re.IGNORECASE,
)
_MULTIPART_NAME = re.compile(rb'name="([^"\r\n]{0,200})"', re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})', re.IGNORECASE)
_MACHINE = re.compile(r"[A-Za-z0-9+/=_.:@-]{24,}|[0-9a-fA-F-]{16,}|\W*|[\d.,:\s-]+|https?://\S+")
_decoder = msgspec.json.Decoder()


def typed_texts(body: bytes, media_type: str, *, prompt: bool = False, limit: int = 262_144) -> tuple[TypedText, ...]:
    """Return the words in a request's body: URL-encoded, multipart and JSON forms, and plain text; () for any other type.

    Reads at most `limit` bytes. Passwords, tokens, card numbers and other secret fields are dropped, and so are values
    that no person types (long identifiers, numbers, addresses). `prompt` says that the address belongs to an AI
    assistant. Never raises for odd bodies.
    """
    context = "prompt" if prompt else "form"
    found: list[TypedText] = []
    left = MAX_CHARACTERS
    for _, value in form_fields(body, media_type, limit=limit):
        text = value.strip()
        if len(text) < _MIN_TEXT or _MACHINE.fullmatch(text[:4096]) is not None:
            continue
        found.append(TypedText(text[:left], context))
        left -= len(text)
        if left <= 0:
            break
    return tuple(found)


def form_fields(body: bytes, media_type: str, *, limit: int = 262_144) -> list[tuple[str, str]]:
    """Return (field name, value) pairs without secret fields, at most `MAX_FIELDS`; the bounds of `typed_texts` hold."""
    if not body or limit <= 0:
        return []
    plain = media_type.partition(";")[0].strip().lower()
    cut = body[:limit]
    if plain == "application/x-www-form-urlencoded":
        pairs = _url_encoded(cut)
    elif plain == "multipart/form-data":
        pairs = _multipart(cut, media_type)
    elif plain == "application/json" or plain.endswith("+json"):
        pairs = _json(cut, whole=len(body) <= limit)
    elif plain == "text/plain":
        # Pages send JSON under this name too, to avoid a preflight request.
        pairs = _json(cut, whole=len(body) <= limit) if cut.lstrip()[:1] in (b"{", b"[") else iter([("", _text(cut))])
    else:
        return []
    fields: list[tuple[str, str]] = []
    for name, value in pairs:
        if value and not is_secret(name):
            fields.append((name, value))
            if len(fields) >= MAX_FIELDS:
                break
    return fields


def is_secret(name: str) -> bool:
    """True for the name of a field whose value must never be weighed or written down."""
    return _SECRET.search(name) is not None


def _url_encoded(body: bytes) -> Iterator[tuple[str, str]]:
    for part in body.split(b"&", MAX_FIELDS * 2)[: MAX_FIELDS * 2]:
        name, _, value = part.partition(b"=")
        yield _unquote(name), _unquote(value)


def _unquote(data: bytes) -> str:
    return _text(unquote_to_bytes(data.replace(b"+", b" ")))


def _multipart(body: bytes, media_type: str) -> Iterator[tuple[str, str]]:
    boundary = _BOUNDARY.search(media_type)
    if boundary is None:
        return
    for part in body.split(b"--" + boundary[1].encode("latin-1", "replace"), MAX_FIELDS * 2)[1 : MAX_FIELDS * 2]:
        head, gap, value = part.partition(b"\r\n\r\n")
        name = _MULTIPART_NAME.search(head)
        # An uploaded file is not typed.
        if gap and name is not None and b"filename=" not in head.lower():
            yield _text(name[1]), _text(value.removesuffix(b"\r\n"))


def _json(body: bytes, *, whole: bool) -> Iterator[tuple[str, str]]:
    if not whole:
        # A cut body is no JSON; its strings still are what was typed.
        yield from (("", string) for string in _loose_strings(body))
        return
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield from (("", string) for string in _loose_strings(body))
        return
    yield from _json_strings("", value, _MAX_DEPTH)


def _json_strings(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif depth <= 0 or is_secret(name):
        return
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _json_strings(str(key), inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_strings(name, inner, depth - 1)


# Possessive, and content with the end of the body for a closing quote: from any quote it matches without going back.
_STRING = re.compile(rb'"((?:[^"\\]++|\\.?)*+)(?:"|\Z)(\s*+:)?', re.DOTALL)


def _loose_strings(body: bytes) -> Iterator[str]:
    key = ""
    for match in _STRING.finditer(body):
        if match[2] is not None:
            key = _text(match[1][:200])
        elif len(match[1]) >= _MIN_TEXT and not is_secret(key):
            yield _text(match[1])


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
