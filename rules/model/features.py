"""Features of a text: hashes of its letter and word n-grams, worked out for all places at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rules.model.classes import CLASS_HASHES, CLASS_OF

type Hashes = NDArray[np.uint64]
type Buckets = NDArray[np.int64]

BITS = 18
"""Letter n-grams have 2^18 buckets and word n-grams 2^18 further ones; features that share a bucket share its weight."""
LETTER_BUCKETS = 1 << BITS
BUCKETS = 2 * LETTER_BUCKETS
LETTERS = (3, 4, 5)
"""Lengths of letter n-grams, spaces between words included."""
_MOST = 2_048
"""Characters of a reading that are hashed."""

_BASE = 0x9E3779B97F4A7C15
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_FOLD = np.uint64(32)
_SHIFT = np.uint64(64 - BITS)


def _powers(base: int, count: int) -> Hashes:
    found, value = [], 1
    for _ in range(count):
        found.append(value)
        value = value * base % 2**64
    return np.array(found, dtype=np.uint64)


# A prefix sum of code * base^place gives the hash of any stretch as a difference, moved back to place 0 by the inverse of base^start.
_POWERS = _powers(_BASE, _MOST + 1)
_BACK = _powers(pow(_BASE, -1, 2**64), _MOST + 1)
_SALT = {name: np.uint64(value) for name, value in zip(
    ("word", "pair", "triple", "class pair", "class triple", "gap 1", "gap 2", "theme pair", "theme triple", *LETTERS),
    _powers(0xA24BAED4963EE407, 20)[1:], strict=False,
)}  # fmt: skip
_ONE, _TWO, _THREE = (np.uint64(value) for value in (0x8CB92BA72F3D8DD7, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


def buckets(plain: str) -> tuple[Buckets, int]:
    """Return the distinct buckets of a reading's features in rising order, and how many of them are of letters; those come first."""
    hashes = _hashes(plain)
    letters = [one for kind, one in hashes if kind in LETTERS]
    found = _bucket(np.concatenate([one for _, one in hashes])) if hashes else _NONE
    found[sum(map(len, letters)) :] += LETTER_BUCKETS
    found.sort()
    new = np.ones(len(found), dtype=np.bool_)
    np.not_equal(found[1:], found[:-1], out=new[1:])
    found = found[new]
    return found, int(found.searchsorted(LETTER_BUCKETS))


_NONE: Buckets = np.zeros(0, dtype=np.int64)


def _bucket(hashes: Hashes) -> Buckets:
    mixed = (hashes ^ (hashes >> _FOLD)) * _SPREAD
    return ((mixed ^ (mixed >> _FOLD)) * _THREE >> _SHIFT).astype(np.int64)


def _hashes(plain: str) -> list[tuple[Any, Hashes]]:
    """Return each kind of feature, letters first, with the hash at each of its places."""
    plain = plain[:_MOST]
    codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(codes * _POWERS[: len(codes)], out=sums[1:])
    found: list[tuple[Any, Hashes]] = [
        (size, (sums[size:] - sums[:-size]) * _BACK[: len(codes) - size + 1] + _SALT[size]) for size in LETTERS if len(codes) >= size
    ]
    spaces = np.flatnonzero(codes == 32)
    if len(spaces) < 2:
        return found
    starts, ends = spaces[:-1] + 1, spaces[1:]
    word = (sums[ends] - sums[starts]) * _BACK[starts]
    found.append(("word", word + _SALT["word"]))
    found += _in_rows(word, "pair", "triple")
    classes = np.array([CLASS_HASHES.get(one, 0) for one in plain.split(" ")[1 : len(word) + 1]], dtype=np.uint64)
    if classes.any():
        mixed: Hashes = np.where(classes != 0, classes, word).astype(np.uint64)
        found += _in_rows(mixed, "class pair", "class triple")
        found.append(("gap 1", mixed[:-2] * _ONE + mixed[2:] * _TWO + _SALT["gap 1"]))
        found.append(("gap 2", mixed[:-3] * _ONE + mixed[3:] * _TWO + _SALT["gap 2"]))
        themes = classes[classes != 0]
        found += _in_rows(themes, "theme pair", "theme triple")
    return found


def _in_rows(words: Hashes, pair: str, triple: str) -> list[tuple[Any, Hashes]]:
    """Return the hashes of each two and each three neighbours."""
    first = words[:-1] * _ONE + words[1:] * _TWO
    return [(pair, first + _SALT[pair]), (triple, first[:-1] + words[2:] * _THREE + _SALT[triple])]


def named(plain: str, wanted: Any) -> dict[int, str]:
    """Return, for each wanted bucket, the stretch of the reading that fell into it: its first, words before letters.

    A word of a class stands as `⟨class⟩` where the class and not the word itself is the feature.
    """
    plain = plain[:_MOST]
    words = plain.split(" ")[1:-1]
    classed = [f"⟨{CLASS_OF[word]}⟩" if word in CLASS_OF else word for word in words]
    themes = [word for word in classed if word[0] == "⟨"]
    rows = {
        "word": (words, (0,)), "pair": (words, (0, 1)), "triple": (words, (0, 1, 2)), "class pair": (classed, (0, 1)),
        "class triple": (classed, (0, 1, 2)), "gap 1": (classed, (0, 2)), "gap 2": (classed, (0, 3)),
        "theme pair": (themes, (0, 1)), "theme triple": (themes, (0, 1, 2)),
    }  # fmt: skip
    found: dict[int, str] = {}
    for kind, hashes in reversed(_hashes(plain)):
        for place, bucket in enumerate((_bucket(hashes) + (0 if kind in LETTERS else LETTER_BUCKETS)).tolist()):
            if bucket in wanted:
                if kind in LETTERS:
                    found.setdefault(bucket, f"…{plain[place : place + kind]}…")
                else:
                    row, steps = rows[kind]
                    joint = " … " if kind.startswith(("gap", "theme")) else " "
                    found[bucket] = joint.join(row[place + step] for step in steps)
    return found
