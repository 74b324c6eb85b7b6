"""Compiled phrases as a file, so that they are unfolded once and every worker takes them over in milliseconds."""

from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version

import msgspec

from rules.keywords.automaton import Automaton
from rules.keywords.compile import Entry, Phrases, vocabulary_of, watched_phrases
from rules.keywords.sets import KeywordSet

FORM = 2


class _Table(msgspec.Struct, array_like=True):
    """One automaton and what its patterns mean."""

    automaton: bytes
    groups: list[list[int]]
    """Entries, by number, that belong to one pattern; most patterns share theirs with others."""
    group_of: bytes
    """The number of its group for each pattern, as 32-bit numbers."""


class _Heading(msgspec.Struct, array_like=True):
    form: int
    library: str
    """Version of the automaton's library; another one may lay its states out in another way."""


class _File(_Heading, array_like=True):
    phrases: int
    entries: list[tuple[int, list[bytes], list[bytes], int, int]]
    """Number of the phrase, parts before and after gaps, spaces at its start and end."""
    words: _Table
    page: _Table
    letters: _Table


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_File)
_heading = msgspec.msgpack.Decoder(_Heading)


def freeze(phrases: Phrases) -> bytes:
    """Return compiled phrases as bytes; the sets themselves are not in them."""
    numbers = {one: number for number, one in enumerate(phrases.watched)}
    known: dict[Entry, int] = {}
    tables = [_table(automaton, known) for automaton in (phrases.words, phrases.page, phrases.letters)]
    entries = [(numbers[entry.phrase], list(entry.before), list(entry.after), int(entry.opening), int(entry.closing)) for entry in known]
    return _encoder.encode(_File(FORM, _library(), len(phrases.watched), entries, *tables))


def of_this_version(data: bytes) -> bool:
    """Return whether this version of Schoolgate, with the library that it has, can take over what `freeze` once gave."""
    try:
        found = _heading.decode(data)
    except msgspec.MsgspecError:
        return False
    return found.form == FORM and found.library == _library()


def thaw(data: bytes, sets: Iterable[KeywordSet]) -> Phrases | None:
    """Return what `freeze` kept, for the same sets; None when it was made by another version or for other sets.

    The caller vouches for the bytes (a ruleset's manifest has their digest); raises `msgspec.MsgspecError` for others.
    """
    found = _decoder.decode(data)
    watched = watched_phrases(sets)
    if found.form != FORM or found.library != _library() or found.phrases != len(watched):
        return None
    entries = [Entry(watched[number], tuple(before), tuple(after), *ends) for number, before, after, *ends in found.entries]
    return Phrases(
        watched, _thawed(found.words, entries), _thawed(found.page, entries), _thawed(found.letters, entries), vocabulary_of(watched)
    )  # fmt: skip


def _table(automaton: Automaton[tuple[Entry, ...]], known: dict[Entry, int]) -> _Table:
    groups: dict[tuple[Entry, ...], int] = {}
    group_of = array("I", (groups.setdefault(entries, len(groups)) for entries in automaton.values))
    rows = [[known.setdefault(entry, len(known)) for entry in entries] for entries in groups]
    return _Table(automaton.frozen(), rows, group_of.tobytes())


def _thawed(table: _Table, entries: Sequence[Entry]) -> Automaton[tuple[Entry, ...]]:
    groups = [tuple(entries[number] for number in row) for row in table.groups]
    group_of = array("I")
    group_of.frombytes(table.group_of)
    return Automaton.thawed(table.automaton, [groups[number] for number in group_of])


@cache
def _library() -> str:
    return version("daachorse")
