"""Answers that stream: what passes is weighed first, and an answer that must not go on ends with a notice of ours.

Nothing here waits or touches a socket: bytes of the site go in, bytes for the client come out, with a time at which to
look again (`proxy.streams` does both). An answer is passed on as soon as it is weighed. Only while something stands
there that would stop it, unless what follows undoes that, it is held back, for 40 ms at most.
"""

import codecs
import re
from collections.abc import Callable
from typing import NamedTuple

from proxy.unpacking import Unpacker
from rules.charsets import charset_of
from rules.notices import JsonTail, stream_notice
from rules.pieces import Framing, Kind
from rules.streamed import Found, RunningText

HOLD_SECONDS = 0.04
"""So long text is held back that may turn out harmless."""
HELD_BYTES = 65_536
SETTLE_SECONDS = 1.0
"""After so much silence a last word counts as whole, and nothing more is expected to undo a phrase."""
STOPPED = "This answer was stopped by the school's filter."
UNCHECKED = "This answer could not be checked, so the school's filter stopped it."

_EVENTS = "text/event-stream"
_LINES = frozenset({
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines",
    "application/json-seq", "application/stream+json", "application/jsonlines",
})  # fmt: skip


def kind_of(content_type: str, *, assistant: bool) -> Kind | None:
    """Return how an answer of the type streams; None for one that doesn't, or not with words.

    JSON and plain text stream where an assistant answers (`assistant`); elsewhere they are ordinary answers.
    """
    for part in content_type.lower().split(","):
        plain = part.partition(";")[0].strip()
        if plain == _EVENTS:
            return "events"
        if is_lines(plain):
            return "lines"
        if assistant and (plain.endswith("+json") or plain in ("application/json", "application/json+protobuf", "text/json")):
            return "lines"
        if assistant and plain in ("text/plain", "text/x-component", "text/x-unknown", "text/markdown"):
            return "text"
    return None


def is_lines(content_type: str) -> bool:
    """True for a type that says by its name that every line is a JSON value of its own."""
    return any(part.partition(";")[0].strip() in _LINES for part in content_type.lower().split(","))


class Step(NamedTuple):
    """What follows from some bytes of an answer."""

    data: bytes
    """Passes on to the client."""
    wake: float | None = None
    """Seconds after which to ask `StreamWeigher.tick`."""
    cut: bool = False
    """The answer ends with `data`; the site is not listened to any more."""


class StreamWeigher:
    """One streamed answer."""

    def __init__(
        self,
        kind: Kind,
        content_type: str,
        codings: str,
        running: RunningText,
        *,
        stops: Callable[[Found], bool],
        broken: Callable[[Exception], None],
        still_open: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        """`stops` writes down what was found and says whether it ends the answer; `broken` is told of a fault of ours;
        `still_open` says whether the rules still let the answer through at all."""
        self._framing = Framing(kind)
        self._unpacker = Unpacker(codings)
        charset = "utf-8" if kind == "events" else charset_of(b"", content_type)
        self._decoder = codecs.getincrementaldecoder(charset)("replace")
        self._whole = "json" in content_type.lower() and kind == "lines" and not is_lines(content_type)
        self._tail = JsonTail()
        self._tail_decoder = codecs.getincrementaldecoder(charset)("replace")
        self._running = running
        self._stops = stops
        self._broken = broken
        self._still_open = still_open
        self._clock = clock
        self._held = bytearray()
        self._held_since = self._fed = 0.0
        self._over = False

    @property
    def packed(self) -> bool:
        """True when the client gets the answer unpacked, so that its headers must not name a coding."""
        return self._unpacker.active

    def feed(self, data: bytes) -> Step:
        """Weigh bytes of the answer; they, or those held back before, pass on unless the answer ends here."""
        return self._guarded(lambda: self._feed(data))

    def tick(self) -> Step:
        """Look again after some silence."""
        return self._guarded(self._tick)

    def end(self) -> Step:
        """The site has ended the answer."""
        return self._guarded(self._end)

    def lost(self) -> None:
        """The client or the site has gone: what was passed on is still written down."""
        if not self._over:
            self._over = True
            for found in self._running.settle():
                self._stops(found)

    def _guarded(self, work: Callable[[], Step]) -> Step:
        if self._over:
            return Step(b"")
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - fail closed: what was not weighed doesn't pass
            self._broken(error)
            return self._cut(UNCHECKED)

    def _feed(self, data: bytes) -> Step:
        self._fed = self._clock()
        if not self._still_open():
            return self._cut(STOPPED)
        for plain in self._unpacker.feed(data):
            if not self._held:
                self._held_since = self._fed
            self._held += plain
            pieces = self._framing.feed(self._decoder.decode(plain))
            if self._any_stops(self._running.add(pieces)) or self._any_stops(self._running.glimpse(self._framing.partial())):
                return self._cut(STOPPED)
        return self._pass()

    def _tick(self) -> Step:
        if self._running.doubtful and self._clock() - self._fed >= SETTLE_SECONDS and self._any_stops(self._running.settle()):
            return self._cut(STOPPED)
        return self._pass()

    def _end(self) -> Step:
        found = [*self._running.add(self._framing.end()), *self._running.settle()]
        if self._any_stops(found):
            return self._cut(STOPPED)
        self._over = True
        return Step(self._taken(len(self._held)))

    def _pass(self) -> Step:
        """Return what may go now: all, but for what may turn out to stop the answer, and a line that is not whole yet."""
        left = self._held_since + HOLD_SECONDS - self._clock()
        if left <= 0 or len(self._held) > HELD_BYTES:
            return Step(self._taken(len(self._held)), SETTLE_SECONDS if self._running.doubtful else None)
        if self._running.suspicious:
            return Step(b"", left)
        ready = len(self._held)
        if self._framing.in_line and not self._whole:
            # A notice after half a line would be lost on a program that reads lines.
            ready = self._held.rfind(b"\n") + 1
            if not ready and b"\r" in self._held:
                ready = self._held.rfind(b"\r") + 1
        return Step(self._taken(ready), left if self._held else SETTLE_SECONDS if self._running.doubtful else None)

    def _taken(self, length: int) -> bytes:
        data = bytes(self._held[:length])
        del self._held[:length]
        text = self._tail_decoder.decode(data)
        if not self._whole and ("\n" in text or "\r" in text):
            self._tail = JsonTail()
            text = re.split(r"[\r\n]", text)[-1]
        if text and self._framing.kind in ("events", "lines"):
            self._tail.feed(text)
        return data

    def _any_stops(self, found: list[Found]) -> bool:
        return any(self._stops(one) for one in found)

    def _cut(self, sentence: str) -> Step:
        self._over = True
        self._held.clear()
        return Step(stream_notice(self._framing, sentence, self._tail), cut=True)
