"""The compiled list file: what stands where. `index` reads it, `compiler` writes it.

    fixed header   64 bytes, see `HEADER`
    meta           JSON: labels, combinations, lists with the SHA-256 of their sources, deepest path
    keys           `slots` x uint64, ascending, free slots hold `FREE`
    values         `slots` x uint32

An entry's home slot is its key scaled to the table's size; keys stand in order, as near behind their home as there is
room. So a look-up starts at the home and stops at the first key that is not smaller: about two steps at a load of 0.75,
for hits and misses alike, and 12 bytes / 0.75 = 16 bytes an entry. No text is kept: what matched is the text that was
looked up. benchmarks/lists.py compares the alternatives.

A value's lower 23 bits number a combination: the set of labels (list, category, kind) of this key; 0 is the empty set.
Bit 23, `BELOW`, says that entries end in "." and this host. Its upper 8 bits are 0 for a host without path entries,
otherwise 1 + the segments of its deepest path entry.

In a file whose meta says `marked`, every parent of a listed host stands in the table too, down to two labels, with bit 23
set. So a look-up begins at the shortest parent and ends where nothing is listed any deeper: for most hosts after one
key instead of four. The marks live in slots that are free anyway; where there is not room for all, there are none.
"""

import struct

import msgspec
from xxhash import xxh3_64_intdigest, xxh3_128_digest

MAGIC = b"SGLISTS\0"
VERSION = 2
READABLE = (1, 2)
"""Files of version 1 hold no marks; otherwise they are the same."""
HEADER = struct.Struct("<8sIIQQQ16sQ")
"""Magic, version, bytes of meta, home slots, slots, entries, XXH3-128 of keys and values, XXH3-64 of all before and the meta."""
ALIGN = 64
FREE = 0xFFFF_FFFF_FFFF_FFFF
COMBINATION_MASK = 0x007F_FFFF
BELOW = 0x0080_0000
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
    marked: bool = False
    """True when every parent of every listed host is in the table."""


def hash64(entry: str) -> int:
    """Return the key of a host ("a.example.org"), a path entry ("example.org/a/b", "example.org/") or an address ("example.org/a?b")."""
    return hash_bytes(entry.encode())


def body_offset(meta_bytes: int) -> int:
    """Return where the keys begin."""
    return (HEADER.size + meta_bytes + ALIGN - 1) // ALIGN * ALIGN


def front(meta: Meta, homes: int, slots: int, count: int, digest: bytes) -> bytes:
    """Return all that stands before the keys; `digest` is the XXH3-128 of keys and values."""
    text = msgspec.json.encode(meta)
    fixed = HEADER.pack(MAGIC, VERSION, len(text), homes, slots, count, digest, 0)[:-8]
    return (fixed + hash_bytes(fixed + text).to_bytes(8, "little") + text).ljust(body_offset(len(text)), b"\0")


def empty_file() -> bytes:
    """Return a compiled file without entries."""
    slots = 2
    body = FREE.to_bytes(8, "little") * slots + bytes(4 * slots)
    return front(Meta((), ((),), {}, "", marked=True), 1, slots, 0, xxh3_128_digest(body)) + body
