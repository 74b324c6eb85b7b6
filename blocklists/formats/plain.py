"""Hosts one a line, as most lists have them: millions of lines are checked in numpy, odd ones one by one.

A line is plain when it is a host that the WHATWG parser leaves as it is, in lower-case ASCII, and no public suffix. Any
other line (a comment, Unicode, upper case, an address, a mistake) goes to the format's own reader with its number.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from blocklists.entries import HostLines, Item
from blocklists.host import ICANN_SUFFIXES, MAX_HOST, WILDCARD_PARENTS
from blocklists.layout import hash_bytes
from blocklists.reading import MAX_LINE, Line, Source, decode_line, is_utf16, read_lines
from blocklists.spans import Bytes, Places, padded, span_keys

type ReadLines = Callable[[Iterable[Line]], Iterator[Item]]

_CHUNK = 1 << 20
_NEWLINE, _DOT, _HYPHEN = b"\n.-"
_SIEVE_BITS = 20
_OWN = b"localdomain"
"""The only names of a machine itself, as hosts files have them, that look like a site's."""


def read_plain(source: Source, kind: str, read: ReadLines, prefixes: tuple[bytes, ...] = ()) -> Iterator[Item]:
    """Yield the entries of a list of hosts; `read` is asked for every line that is not plain.

    With `prefixes` a line is plain only when it begins with one of them, such as "0.0.0.0 ".
    """
    number = 0
    rest = source.read(4096)
    if is_utf16(rest):
        source.give_back(rest)
        yield from read(read_lines(source))
        return
    rest = rest.removeprefix(b"\xef\xbb\xbf")
    while True:
        data = source.read(_CHUNK)
        text = rest + data
        cut = text.rfind(b"\n") + 1
        rest, text = text[cut:], text[:cut]
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if b"\r" in text or len(rest) > MAX_LINE:
            # Line ends of old Macs, or a line without an end: the reader of lines knows both.
            source.give_back(text + rest)
            yield from read(read_lines(source, number))
            return
        if text:
            yield from _read_block(text, number, kind, read, prefixes)
            number += text.count(b"\n")
        if not data:
            # The last line, when no newline ends it.
            source.give_back(rest)
            yield from read(read_lines(source, number))
            return


def _read_block(text: bytes, before: int, kind: str, read: ReadLines, prefixes: tuple[bytes, ...]) -> Iterator[Item]:
    data = padded(text)
    ends = np.flatnonzero(data[: len(text)] == _NEWLINE)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    firsts, plain = _after_prefixes(data, starts, ends, prefixes)
    plain &= _plain_hosts(data, len(text), firsts, ends)
    if _OWN in text:
        plain &= [_OWN not in text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    if plain.any():
        yield HostLines(kind, _kept(data, len(text), firsts[plain], ends[plain]), np.flatnonzero(plain) + before + 1)
    for row in np.flatnonzero(~plain).tolist():
        line = decode_line(text[starts[row] : ends[row]])
        fault = None
        if len(line) > MAX_LINE:
            line, fault = line[:80], f"the line is longer than {MAX_LINE:,} characters"
        elif "\0" in line:
            line, fault = line[:80], "the line holds NUL bytes"
        yield from read([Line(before + row + 1, line, fault)])


def _after_prefixes(data: Bytes, starts: Places, ends: Places, prefixes: tuple[bytes, ...]) -> tuple[Places, NDArray[np.bool_]]:
    """Return where the hosts begin, and which lines have one of the prefixes."""
    if not prefixes:
        return starts, np.ones(len(starts), bool)
    firsts = starts.copy()
    found = np.zeros(len(starts), bool)
    for prefix in prefixes:
        # Room enough behind the buffer's end for the longest prefix is not needed: such lines are too short.
        rows = np.flatnonzero(ends - starts > len(prefix))
        wanted = np.frombuffer(prefix, np.uint8)
        rows = rows[(data[starts[rows][:, None] + np.arange(len(prefix))] == wanted).all(axis=1)]
        found[rows] = True
        firsts[rows] = starts[rows] + len(prefix)
    return firsts, found


def _plain_hosts(data: Bytes, used: int, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Return which spans, each up to a newline, are plain hosts."""
    classes = _CLASSES[data[:used]]
    good = (ends - starts <= MAX_HOST) & (ends > starts)
    dots = np.flatnonzero(classes == 1)
    after = data[dots + 1]
    faults = [np.flatnonzero(classes == 3), dots[(after == _DOT) | (after == _NEWLINE) | (after == _HYPHEN)]]
    hyphens = np.flatnonzero(data[:used] == _HYPHEN)
    faults.append(hyphens[data[hyphens + 1] == _HYPHEN])  # "xn--": punycode is for the WHATWG parser to read
    for places in faults:
        rows = np.searchsorted(ends, places)
        # What stands in front of a host, in a prefix, has been looked at already.
        good[rows[places >= starts[rows]]] = False
    good &= (data[starts] != _DOT) & (data[starts] != _HYPHEN)
    count = np.searchsorted(dots, ends)
    padded_dots = np.append(dots, used)
    lasts = np.where(count > 0, padded_dots[np.maximum(count - 1, 0)], -1)
    good &= (lasts > starts) & (data[lasts + 1] >= ord("a"))
    firsts = padded_dots[np.minimum(np.searchsorted(dots, starts), len(dots))]
    suffixes, parents = _sieves()
    for sieve, begins in ((suffixes, starts), (parents, np.minimum(firsts + 1, ends))):
        keys = span_keys(data, begins, ends - begins)
        good &= ~sieve[(keys >> np.uint64(64 - _SIEVE_BITS)).astype(np.int64)]
    return good


def _kept(data: Bytes, used: int, starts: Places, ends: Places) -> bytes:
    """Return the spans with their newlines, one behind the other."""
    lengths = ends + 1 - starts
    if int(lengths.sum()) == used:
        return bytes(data[:used])
    edges = np.zeros(used + 1, np.int8)
    edges[starts] += 1
    edges[ends + 1] -= 1
    kept: Bytes = data[:used][np.cumsum(edges[:-1], dtype=np.int8).astype(bool)]
    return kept.tobytes()


@cache
def _sieves() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return tables of public suffixes and of parents of wildcard rules by the first bits of their keys.

    Whatever falls into one is looked at by itself: the few that fall in by chance lose nothing.
    """
    tables = []
    for names in (ICANN_SUFFIXES, WILDCARD_PARENTS):
        table = np.zeros(1 << _SIEVE_BITS, bool)
        table[[hash_bytes(name.encode()) >> (64 - _SIEVE_BITS) for name in names]] = True
        tables.append(table)
    return tables[0], tables[1]


def _classes() -> NDArray[np.uint8]:
    result = np.full(256, 3, np.uint8)
    result[list(b"abcdefghijklmnopqrstuvwxyz0123456789-")] = 0
    result[_DOT] = 1
    result[_NEWLINE] = 2
    return result


_CLASSES = _classes()
"""0: part of a label, 1: dot, 2: newline, 3: anything else."""
