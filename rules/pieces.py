"""Pieces of text in what a site sends bit by bit: event streams, lines of JSON, plain text.

Pure and incremental: whatever way the same stream is cut into chunks, the same pieces come out.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from rules.fields import is_secret, json_inside, loose_strings, unescaped

type Kind = Literal["events", "lines", "text"]
"""Server-sent events (HTML standard, 9.2), lines of JSON or words, or text as it comes."""

LONGEST_LINE = 16_384
"""Characters of one line that are taken as JSON; a longer one is read in parts of this length, as words."""
MAX_DEPTH = 32
_OVERLAP = 400
"""Characters of an unfinished line that are looked at again when it has grown."""
_ENOUGH = 12
"""Characters after which text shows whether it is lines of JSON."""
_LINE_END = re.compile(r"\r\n|\r|\n")
# What stands before the JSON of a line: `0:` (AI SDKs), `1f:` (React), `42` and `42/room,` (Socket.IO), `a` (SockJS).
_PREFIX = re.compile(r"(?:[0-9a-f]{1,6}:|[0-9]{1,6}(?:/[\w/-]{0,60},)?[0-9]{0,6}|[acm])?(?=[\[{\"])")
_SEPARATOR = re.compile(r"\x1e+")
"""Between messages of SignalR and JSON text sequences (RFC 7464)."""
# Nobody reads these: identifiers, hashes, pictures in base64, addresses.
_MACHINE = re.compile(r"[A-Za-z0-9+/=_.:@-]{24,}|[0-9a-fA-F-]{16,}|https?://\S+")
_decoder = msgspec.json.Decoder()


class Piece(NamedTuple):
    """Some text, and which of the stream's texts it belongs to."""

    lane: str
    """The field's name, with places in lists below it: `content`, `v`, `parts.0`; empty for text outside of JSON."""
    text: str


class Framing:
    """Cuts one stream into lines and those into pieces."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind | Literal["plain"] = kind
        self.sample: dict[str, Any] | None = None
        """The last JSON object of the stream: a notice takes its form."""
        self.done_marks = False
        """True once the stream has told its end by `[DONE]`, as some assistants do."""
        self._line = ""
        self._long = False
        self._peeked = 0

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces of the lines that are complete now."""
        if self.kind == "plain":
            return [Piece("", text)] if text else []
        self._line += text
        if self.kind == "text":
            return self._begin()
        return list(self._complete())

    @property
    def in_line(self) -> bool:
        """True while a line of events or of JSON is unfinished."""
        return bool(self._line) and self.kind != "text"

    def partial(self) -> list[Piece]:
        """Return what there is to read of an unfinished line since this was asked last; changes no later piece."""
        start = max(0, self._peeked - _OVERLAP)
        if len(self._line) <= self._peeked:
            return []
        self._peeked = len(self._line)
        if start > 0 or self._long:
            return [Piece("", unescaped(self._line[start:]))]
        content = self._content(self._line)
        if content is None:
            return []
        return _loose(content) if _PREFIX.match(content.lstrip()) is not None else [Piece("", content)]

    def end(self) -> list[Piece]:
        """Return the pieces of a last line that nothing ended."""
        line, self._line = self._line, ""
        return [] if not line else list(self._pieces(line))

    def _begin(self) -> list[Piece]:
        """Find out what a text of unknown kind is made of, once there is enough of it."""
        start = self._line.lstrip()
        if len(start) < _ENOUGH and _LINE_END.search(start) is None:
            return []
        self.kind = "lines" if _PREFIX.match(start) is not None else "plain"
        if self.kind == "lines":
            return list(self._complete())
        text, self._line = self._line, ""
        return [Piece("", text)]

    def _complete(self) -> Iterator[Piece]:
        buffer, at = self._line, 0
        while True:
            found = _LINE_END.search(buffer, at)
            end = found.start() if found is not None else len(buffer)
            while end - at >= LONGEST_LINE:
                # As words, wherever a chunk of the stream ends.
                yield Piece("", unescaped(buffer[at : at + LONGEST_LINE]))
                at += LONGEST_LINE
                self._long = True
                self._peeked = 0
            if found is None:
                break
            yield from self._pieces(buffer[at:end])
            at = found.end()
            self._long = False
            self._peeked = 0
        self._line = buffer[at:]

    def _pieces(self, line: str) -> Iterator[Piece]:
        if self._long:
            yield Piece("", unescaped(line))
            return
        content = self._content(line)
        if content is None or not content.strip():
            return
        if content.strip() == "[DONE]":
            self.done_marks = True
            return
        value, pieces = read_message(content)
        if isinstance(value, list):
            value = next((one for one in reversed(value) if isinstance(one, dict)), None)
        if isinstance(value, dict):
            self.sample = value
        if value is None:
            # Words without a form: events follow one another as their look says, lines are lines.
            pieces = [piece if piece.lane else Piece("data", piece.text) if self.kind == "events" else Piece("", piece.text + "\n")
                      for piece in pieces]  # fmt: skip
        yield from pieces

    def _content(self, line: str) -> str | None:
        """Return what a line of an event stream carries, None for a comment and for fields that no page shows."""
        if self.kind != "events" or self._long:
            return line
        name, colon, value = line.partition(":")
        if name != "data" or not colon:
            return None
        return value.removeprefix(" ")


def read_message(text: str) -> tuple[Any, list[Piece]]:
    """Return the JSON value of one line or message, None where it is none, and its pieces."""
    stripped = text.strip()
    start = _PREFIX.match(stripped)
    if start is None:
        if '":' in stripped:
            return None, _loose(stripped)
        return None, [Piece("", text)]
    body = stripped[start.end() :]
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        if "\x1e" in body:
            return None, [piece for part in _SEPARATOR.split(body) if part for piece in read_message(part)[1]]
        return None, _loose(body) if body[0] != '"' or '":' in body else [Piece("", text)]
    return value, list(_walk("", value, MAX_DEPTH))


def _walk(name: str, value: Any, depth: int) -> Iterator[Piece]:
    if isinstance(value, str):
        inner = json_inside(value) if depth > 0 else None
        if inner is not None:
            yield from _walk(name, inner, depth - 1)
        elif _readable(name, value):
            yield Piece(name, value)
    elif depth <= 0:
        if isinstance(value, dict | list):
            yield from _loose(msgspec.json.encode(value).decode())
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(str(key), inner, depth - 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            # A list of objects is one text: its fields name their own lanes.
            yield from _walk(f"{name}.{index}" if isinstance(inner, str | list) else name, inner, depth - 1)


def _loose(text: str) -> list[Piece]:
    return [Piece(key, string) for key, string in loose_strings(text.encode("utf-8", "replace")) if _readable(key, string)]


def _readable(name: str, text: str) -> bool:
    if not text or (len(text) >= 16 and _MACHINE.fullmatch(text[:4096]) is not None):
        return False
    # Some assistants name the pieces of their answer so.
    return name.lower() in ("token", "tokens") or not is_secret(name)
