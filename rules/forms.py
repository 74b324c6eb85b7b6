"""Words that somebody typed into a form, a message or a prompt, taken from a request's body within fixed bounds."""

import html
import re

from rules.fields import form_fields, is_secret, reads
from rules.request import TypedText

__all__ = ["form_fields", "is_machine", "is_secret", "plain_words", "reads", "typed_texts", "typed_words"]

MAX_CHARACTERS = 60_000
"""Characters of typed words that one request gives at most."""
_MIN_TEXT = 2
_LONGEST_JOINED = 4_000
_TAG = re.compile(r"<[^<>]{0,4096}>")
_HTML = re.compile(r"</[a-zA-Z]|<(?:br|p|div|span|b|i|body|html)\b", re.IGNORECASE)
_BLOCK_TAG = re.compile(
    r"<(?:/?(?:p|div|li|ul|ol|td|tr|table|h[1-6]|blockquote|pre|body|html|head|title)\b|br\b)[^<>]{0,4096}>", re.IGNORECASE
)
"""Tags that set words apart; others stand inside of words too ("k<b>i</b>ll")."""
_MACHINE = re.compile(r"[A-Za-z0-9+/=_.:@-]{24,}|[0-9a-fA-F-]{16,}|[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]*|[\d.,:\s-]+|https?://\S+")


def typed_texts(body: bytes, media_type: str, *, prompt: bool = False, limit: int = 262_144) -> tuple[TypedText, ...]:
    """Return the words in a request's body; () for types without words (see `reads`).

    Reads at most `limit` bytes: URL-encoded and multipart forms, JSON (also inside of fields, and a value a line),
    XML, plain text, and the readable runs of protocol buffers. Passwords, tokens, card numbers and other secret fields
    are dropped, and so are values that no person types (long identifiers, numbers, addresses). Strings that stand side
    by side under one name, as editors send what was typed, are read together too. `prompt` says that the address
    belongs to an AI assistant. Never raises for odd bodies.
    """
    return typed_words(form_fields(body, media_type, limit=limit), "prompt" if prompt else "form")


def typed_words(fields: list[tuple[str, str]], context: str) -> tuple[TypedText, ...]:
    """Return the words in (field name, value) pairs, at most `MAX_CHARACTERS`; values that no person types are left out."""
    found: list[TypedText] = []
    left = MAX_CHARACTERS
    for value in (*(value for _, value in fields), *_together(fields)):
        text = plain_words(value).strip()
        if len(text) < _MIN_TEXT or is_machine(text):
            continue
        found.append(TypedText(text[:left], context))
        left -= len(text)
        if left <= 0:
            break
    return tuple(found)


def is_machine(text: str) -> bool:
    """True for a value that no person typed: a long identifier, a number, an address, nothing but signs."""
    return _MACHINE.fullmatch(text[:4096]) is not None


def plain_words(text: str) -> str:
    """Return a text without the HTML that mail and document editors write it in."""
    if "<" not in text or _HTML.search(text) is None:
        return text
    return html.unescape(_TAG.sub("", _BLOCK_TAG.sub(" ", text)))


def _together(fields: list[tuple[str, str]]) -> list[str]:
    """Return what pieces side by side under one name make together: `{"ops": [{"insert": "how "}, {"insert": "to"}]}`."""
    found: list[str] = []
    start = 0
    for index in range(1, len(fields) + 1):
        if index < len(fields) and fields[index][0] == fields[start][0]:
            continue
        if index - start > 1 and fields[start][0]:
            found.append("".join(value for _, value in fields[start:index])[:_LONGEST_JOINED])
        start = index
    return found
