"""Text that arrives in pieces, weighed as it grows: an AI answer, messages of a chat.

A stream may have several texts at once, by field (`rules.pieces`). Each is judged in windows of its last 400 to 900
characters, whose places depend on the text alone, so that the same stream gives the same decision however it is cut
into chunks. A match is settled once nothing that follows can undo it: words after a phrase may make it harmless
(`unless`), and the last word may go on ("cock" … "tail").
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from rules.decision import Decision, Match
from rules.keywords.sets import KeywordSet
from rules.pieces import Piece

type Judge = Callable[[str], Decision | None]
"""Says what a text calls for, None for nothing."""

BLOCK = 400
"""Characters after which a window moves on; it keeps as many before them in mind."""
NEAR = 120
"""Characters around a phrase in which other words can change what it means (100 in the normalised text)."""
LANES = 32
_SNAPSHOT = 16_384
"""Characters of a text by which a piece is known as the whole text so far, sent again."""
_REPEATED = 24
"""Characters from which on a piece that came before counts as the same one sent again."""
_TRIES = 12


class Found(NamedTuple):
    """What a text calls for, and the text."""

    decision: Decision
    text: str


class _Window(NamedTuple):
    text: str
    begun: bool
    """False where the text goes on to the left."""
    word_open: bool
    """True where the last word may go on."""


def conditional(sets: Iterable[KeywordSet]) -> frozenset[str]:
    """Return the phrases that words after them can make harmless."""
    return frozenset(phrase.text for one in sets for phrase in one.phrases if phrase.unless)


class RunningText:
    """The texts of one stream in one direction; memory is bounded however long it lasts."""

    def __init__(self, judge: Judge, conditional: Container[str], *, joined: bool = False) -> None:
        """`joined` says that pieces follow one another without a gap, as an assistant's do; else their look decides."""
        self._judge = judge
        self._conditional = conditional
        self._joined = joined
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._glimpsed = False
        self.suspicious = False
        """True while something was found that would stop the stream, unless what follows undoes it."""

    def add(self, pieces: Iterable[Piece]) -> list[Found]:
        """Take pieces in and return what is settled by now, the oldest first."""
        changed: dict[str, _Lane] = {}
        for name, text in pieces:
            lane = self._lanes.get(name)
            if lane is None:
                lane = self._lanes[name] = _Lane(self._joined, named=bool(name))
                if len(self._lanes) > LANES:
                    self._lanes.popitem(last=False)
            else:
                self._lanes.move_to_end(name)
            if lane.add(text):
                changed[name] = lane
        found = [one for lane in changed.values() for one in self._weigh(lane)]
        self._glimpsed = False
        self._note_suspicion()
        return found

    def glimpse(self, pieces: Iterable[Piece]) -> list[Found]:
        """Judge pieces that may still change, after the texts they belong to, without taking them in."""
        found: list[Found] = []
        for name, text in pieces:
            lane = self._lanes.get(name)
            together = lane.with_piece(text) if lane is not None else text
            one, doubt = self._check(_Window(together, lane is None or lane.begun, True))
            if one is not None:
                found.append(one)
            self._glimpsed = self._glimpsed or (doubt is not None and doubt.action.stops)
        self._note_suspicion()
        return found

    def settle(self) -> list[Found]:
        """Judge what was in doubt as if nothing followed: the stream has ended, or is silent."""
        found: list[Found] = []
        for lane in self._lanes.values():
            if lane.doubt is not None:
                lane.doubt = None
                decision = self._judge(lane.open_window.text)
                if decision is not None:
                    found.append(Found(decision, lane.open_window.text))
        self._glimpsed = False
        self._note_suspicion()
        return found

    @property
    def doubtful(self) -> bool:
        """True while `settle` may find something."""
        return any(lane.doubt is not None for lane in self._lanes.values())

    def _note_suspicion(self) -> None:
        self.suspicious = self._glimpsed or any(lane.doubt is not None and lane.doubt.action.stops for lane in self._lanes.values())

    def _weigh(self, lane: "_Lane") -> Iterator[Found]:
        for window in lane.windows():
            found, lane.doubt = self._check(window)
            if found is not None:
                yield found

    def _check(self, window: _Window) -> tuple[Found | None, Decision | None]:
        """Return what is settled about a window, and what is in doubt."""
        text, word_open = window.text, window.word_open
        doubt: Decision | None = None
        for _ in range(_TRIES):
            decision = self._judge(text)
            if decision is None:
                return None, doubt
            if not window.begun:
                # The window before this one had all of what stands around these.
                cut = [match for match in decision.matches if match.start < NEAR and match.phrase in self._conditional]
                if cut:
                    text = text[max(match.end for match in cut) :]
                    continue
            open_ended = [match for match in decision.matches if self._may_change(match, text, word_open)]
            if not open_ended:
                return Found(decision, text), doubt
            doubt = doubt or decision
            # Without them: does the rest suffice?
            text, word_open = text[: min(match.start for match in open_ended)], False
        return None, doubt

    def _may_change(self, match: Match, text: str, word_open: bool) -> bool:
        if match.phrase in self._conditional:
            return match.end > len(text) - NEAR
        return word_open and match.end >= len(text) and text[-1:].isalnum()


class _Lane:
    """One text: what is left of it, and where its windows stand."""

    __slots__ = (
        "_block", "_edges", "_end", "_first", "_grows", "_joined", "_known", "_named", "_pieces", "_whole", "doubt", "open_window", "seen",
    )  # fmt: skip

    def __init__(self, joined: bool, *, named: bool) -> None:
        self.seen = ""
        """The end of the text so far: the last whole block, some characters before it, and what came since."""
        self.doubt: Decision | None = None
        self.open_window = _Window("", True, False)
        self._end = 0
        """Characters of the text so far."""
        self._block = 0
        """Where the current block begins."""
        self._joined = joined
        self._named = named
        """Only a field's values come as they were sent; other pieces end where a chunk does, so their ends say nothing."""
        self._pieces = self._edges = 0
        self._whole: str | None = ""
        self._grows = False
        self._first: list[str] | None = []
        """The first pieces, while they are few: once their look is known, they are put together again."""
        self._known: OrderedDict[str, None] = OrderedDict()

    @property
    def begun(self) -> bool:
        """True while the text's beginning is still there."""
        return len(self.seen) == self._end

    @property
    def joined(self) -> bool:
        """True where pieces follow one another without a gap: spaces at their edges say so."""
        return self._joined or self._grows or (self._edges >= 2 and 3 * self._edges >= self._pieces)

    def add(self, text: str) -> bool:
        """Append a piece; False when nothing is new."""
        fresh, joint = self._fresh(text)
        if not fresh:
            return False
        if self._named:
            self._remember(text, fresh, joint)
        self.seen += joint + fresh
        self._end += len(joint) + len(fresh)
        if self._first is not None:
            self._first.append(fresh)
            if self._end > BLOCK:
                self._first = None
            elif self.joined and not self._joined:
                self.seen, self._first = "".join(self._first), None
                self._end = len(self.seen)
        return True

    def with_piece(self, text: str) -> str:
        """Return the end of the text as it would be with one piece more."""
        fresh, joint = self._fresh(text)
        return self.seen + joint + fresh

    def _fresh(self, text: str) -> tuple[str, str]:
        """Return what a piece adds, and what stands before it."""
        whole = self._whole
        if not self._named:
            return text, "" if self._joined or not self._end else " "
        if whole and text.startswith(whole):
            # The text so far, sent again as a whole with more at its end.
            return text[len(whole) :], ""
        if len(text) >= _REPEATED and (text in self._known or (whole is not None and whole.startswith(text))):
            return "", ""
        return text, "" if self.joined or not self._end else " "

    def _remember(self, text: str, fresh: str, joint: str) -> None:
        self._pieces += 1
        self._edges += text[:1].isspace() or text[-1:].isspace()
        if len(text) >= _REPEATED:
            self._known[text[:_SNAPSHOT]] = None
            if len(self._known) > LANES:
                self._known.popitem(last=False)
        if self._whole is not None:
            self._grows = self._grows or (bool(self._whole) and len(fresh) < len(text))
            whole = self._whole + joint + fresh
            self._whole = whole if len(whole) <= _SNAPSHOT else None

    def windows(self) -> Iterator[_Window]:
        """Return the windows that are to be judged now: those that are full, and the one that still grows."""
        while self._end - self._block > BLOCK:
            self._block += BLOCK
            yield self._window(self._block, word_open=True)
            keep = self._end - max(0, self._block - BLOCK - NEAR)
            self.seen = self.seen[-keep:]
        self.open_window = self._window(self._end, word_open=self.joined)
        yield self.open_window

    def _window(self, end: int, *, word_open: bool) -> _Window:
        first = self._end - len(self.seen)
        start = max(first, self._block - 2 * BLOCK - NEAR if end == self._block else self._block - BLOCK - NEAR)
        return _Window(self.seen[start - first : end - first], start == 0, word_open)
