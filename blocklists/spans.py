"""Keys of many texts at once: XXH3-64 over spans of one buffer, in numpy.

Compiling five million entries and replaying ten million requests ask for as many keys. One call of `hash_bytes` costs
0.1 µs and a Python object; here a key costs a few nanoseconds. The results are those of `layout.hash_bytes`.
Source: the XXH3 specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), inputs of up to 128 bytes.
"""

import numpy as np
from numpy.typing import NDArray

from blocklists.layout import hash_bytes

type Bytes = NDArray[np.uint8]
type Keys = NDArray[np.uint64]
type Places = NDArray[np.int64]

LONGEST = 128
"""Longer texts are hashed one by one."""
_BLOCK = 1 << 13
_PAD = 16
_NEWLINE, _DOT, _ZERO = b"\n.0"
_U = np.uint64
_LOW = _U(0xFFFF_FFFF)
_PRIME_1, _PRIME_2, _PRIME_3 = _U(0x9E3779B185EBCA87), _U(0xC2B2AE3D27D4EB4F), _U(0x165667B19E3779F9)
_CLASS = np.searchsorted(np.array([1, 4, 9, 17, 33, 65, 97, LONGEST + 1]), np.arange(LONGEST + 2), "right").astype(np.int8)
"""The classes of XXH3 by length; each is one pass over the rows that belong to it."""
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea"
)


def padded(data: bytes | bytearray | memoryview) -> Bytes:
    """Return a buffer for `span_keys`: the bytes and room behind them, so that reads of eight bytes stay inside."""
    result = np.empty(len(data) + _PAD, np.uint8)
    result[: len(data)] = np.frombuffer(data, np.uint8)
    result[len(data) :] = 0
    return result


def span_keys(buffer: Bytes, starts: Places, lengths: Places) -> Keys:
    """Return the key of each span of a buffer that `padded` made; spans may overlap. An empty span has the key of b""."""
    result = np.empty(len(starts), np.uint64)
    words = np.ndarray((len(buffer) - 7,), "<u8", buffer.data, strides=(1,))
    halves = np.ndarray((len(buffer) - 3,), "<u4", buffer.data, strides=(1,))
    for begin in range(0, len(starts), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        result[part] = _block(buffer, words, halves, starts[part], lengths[part])
    return result


def line_keys(data: bytes) -> Keys:
    """Return the key of each line of a text; every line ends with a newline."""
    buffer = padded(data)
    ends = np.flatnonzero(buffer[: len(data)] == _NEWLINE)
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
    return span_keys(buffer, starts, ends - starts)


def host_keys(data: bytes) -> tuple[Keys, Keys]:
    """Return the key of each host, a line each that ends with a newline, and the distinct keys of their parents.

    Parents go down to two labels: those of "a.b.example.org" are "b.example.org" and "example.org". Addresses have none.
    """
    buffer = padded(data)
    used = buffer[: len(data)]
    edges = np.flatnonzero((used == _NEWLINE) | (used == _DOT))
    dotted = used[edges] == _DOT
    last = np.flatnonzero(~dotted)
    ends = edges[last]
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
    # A parent begins behind each dot that another one follows before the line ends.
    inner = np.flatnonzero(dotted[:-1] & dotted[1:])
    rows = np.searchsorted(last, inner)
    begins, stops, labels = edges[inner] + 1, ends[rows], edges[last[rows] - 1] + 1
    named = ~_numeric(buffer, labels, stops)
    begins, stops = begins[named], stops[named]
    return span_keys(buffer, starts, ends - starts), distinct(span_keys(buffer, begins, stops - begins))


def distinct(keys: Keys) -> Keys:
    """Return the keys in order, each once: ten times as fast as numpy's own, which hashes."""
    ordered = np.sort(keys)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def _numeric(buffer: Bytes, labels: Places, stops: Places) -> NDArray[np.bool_]:
    """Say which last labels, from `labels` to `stops`, are numbers of one to three digits, as only those of an IPv4 address are."""
    result = (buffer[stops - 1] - _ZERO < 10) & (stops - labels <= 3)
    for back in (2, 3):
        result &= (stops - back < labels) | (buffer[np.maximum(stops - back, 0)] - _ZERO < 10)
    return result


def _block(buffer: Bytes, words: Keys, halves: NDArray[np.uint32], starts: Places, lengths: Places) -> Keys:
    result = np.empty(len(starts), np.uint64)
    classes = _CLASS[np.minimum(lengths, LONGEST + 1)]
    for number in np.flatnonzero(np.bincount(classes, minlength=9)):
        rows = np.flatnonzero(classes == number)
        first, size = starts[rows], lengths[rows]
        if number == 1:
            keys = _up_to_3(buffer, first, size)
        elif number == 2:
            keys = _up_to_8(halves, first, size)
        elif number == 3:
            keys = _up_to_16(words, first, size)
        elif 4 <= number <= 7:
            keys = _up_to_128(words, first, size, int(number) - 3)
        else:
            data = buffer.data
            spans = zip(first.tolist(), size.tolist(), strict=True)
            keys = np.fromiter((hash_bytes(data[start : start + length]) for start, length in spans), np.uint64, len(rows))
        result[rows] = keys
    return result


def _up_to_3(buffer: Bytes, first: Places, size: Places) -> Keys:
    one, two, three = (buffer[first + at].astype(np.uint64) for at in (0, size >> 1, size - 1))
    keys = (one << _U(16)) | (two << _U(24)) | three | (size.astype(np.uint64) << _U(8))
    keys ^= _secret(0, 4) ^ _secret(4, 4)
    keys ^= keys >> _U(33)
    keys *= _PRIME_2
    keys ^= keys >> _U(29)
    keys *= _PRIME_3
    keys ^= keys >> _U(32)
    return keys


def _up_to_8(halves: NDArray[np.uint32], first: Places, size: Places) -> Keys:
    keys: Keys = halves[first + size - 4] + (halves[first].astype(np.uint64) << _U(32))
    keys ^= _secret(8) ^ _secret(16)
    keys ^= _rotated(keys, 49) ^ _rotated(keys, 24)
    keys *= _U(0x9FB21C651E98DF25)
    keys ^= (keys >> _U(35)) + size.astype(np.uint64)
    keys *= _U(0x9FB21C651E98DF25)
    keys ^= keys >> _U(28)
    return keys


def _up_to_16(words: Keys, first: Places, size: Places) -> Keys:
    low = words[first] ^ (_secret(24) ^ _secret(32))
    high = words[first + size - 8] ^ (_secret(40) ^ _secret(48))
    keys: Keys = size.astype(np.uint64) + low.byteswap() + high + _folded(low, high)
    return _avalanche(keys)


def _up_to_128(words: Keys, first: Places, size: Places, pairs: int) -> Keys:
    keys: Keys = size.astype(np.uint64) * _PRIME_1
    last = first + size
    for pair in range(pairs):
        keys += _mixed(words, first + 16 * pair, 32 * pair)
        keys += _mixed(words, last - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(keys)


def _mixed(words: Keys, at: Places, secret: int) -> Keys:
    return _folded(words[at] ^ _secret(secret), words[at + 8] ^ _secret(secret + 8))


def _folded(a: Keys, b: Keys) -> Keys:
    """Return both halves of the 128-bit product, exclusive-ored."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _U(32), b & _LOW, b >> _U(32)
    cross = a_low * b_high
    middle = ((a_low * b_low) >> _U(32)) + (cross & _LOW) + a_high * b_low
    result: Keys = (a * b) ^ (a_high * b_high + (cross >> _U(32)) + (middle >> _U(32)))
    return result


def _avalanche(keys: Keys) -> Keys:
    keys ^= keys >> _U(37)
    keys *= _U(0x165667919E3779F9)
    keys ^= keys >> _U(32)
    return keys


def _rotated(keys: Keys, bits: int) -> Keys:
    return (keys << _U(bits)) | (keys >> _U(64 - bits))


def _secret(at: int, size: int = 8) -> np.uint64:
    return _U(int.from_bytes(_SECRET[at : at + size], "little"))
