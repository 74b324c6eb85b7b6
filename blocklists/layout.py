"""The compiled list file: what stands where. `index` reads it, `compiler` writes it.

    fixed header   64 bytes, see `HEADER`
    meta           JSON: labels, combinations, lists with the SHA-256 of their sources, deepest path
    keys           `slots` x uint64, ascending, free slots hold `FREE`
    values         `slots` x uint32

An entry's home slot is its key scaled to the table's size; keys stand in order, as near behind their home as there is
room. So a look-up starts at the home and stops at the first key that is not smaller: about two steps at a load of 0.75,
for hits and misses alike, and 12 bytes / 0.75 = 16 bytes an entry. No text is kept: what matched is the text that was
looked up. benchmarks/lists.py compares the alternatives.

A value's lower 24 bits number a combination: the set of labels (list, category, kind) of this key; 0 is the empty set.
Its upper 8 bits are 0 for a host without path entries, otherwise 1 + the segments of its deepest path entry.
"""

import struct

import msgspec
from xxhash import xxh3_64_intdigest

MAGIC = b"SGLISTS\0"
VERSION = 1
HEADER = struct.Struct("<8sIIQQQ16sQ")
"""Magic, version, bytes of meta, home slots, slots, entries, XXH3-128 of keys and values, XXH3-64 of all before and the meta."""
ALIGN = 64
FREE = 0xFFFF_FFFF_FFFF_FFFF
COMBINATION_MASK = 0x00FF_FFFF
DEPTH_SHIFT = 24
MAX_DEPTH = 254
"""Most segments of a path entry: its depth plus one must fit a byte."""

hash_bytes = xxh3_64_intdigest
"""The key of an entry in ASCII."""


class Label(msgspec.Struct, frozen=True, array_like=True):
    """Which list says what about an entry."""

    list: str
    category: str
    kind: str
    """`host`, `domain`, `path`, `url`, `network` or `hash`."""


class Meta(msgspec.Struct, frozen=True):
    """The variable part of the header."""

    labels: tuple[Label, ...]
    combinations: tuple[tuple[int, ...], ...]
    """Label numbers of each combination; the first is empty."""
    sources: dict[str, str]
    """List name to the SHA-256 of what it was read from."""
    written: str
    """ISO 8601, UTC."""
    exceptions: tuple[tuple[str, str, str], ...] = ()
    """List, kind (`host`, `domain` or `network`) and text of what a list excepts from itself: never hashed, as allow lists."""
    prefixes: tuple[int, ...] = ()
    """Lengths of the networks' prefixes; those of IPv6 plus 100."""


def hash64(entry: str) -> int:
    """Return the key of a host ("a.example.org"), a path entry ("example.org/a/b", "example.org/") or an address ("example.org/a?b")."""
    return hash_bytes(entry.encode())


def body_offset(meta_bytes: int) -> int:
    """Return where the keys begin."""
    return (HEADER.size + meta_bytes + ALIGN - 1) // ALIGN * ALIGN
