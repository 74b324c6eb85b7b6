"""Features of a text: hashes of its letter and word n-grams, worked out for all places at once."""

from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.classes import CLASS_HASHES, CLASS_OF

type Hashes = NDArray[np.uint64]
type Buckets = NDArray[np.int64]
type Places = NDArray[np.int64]
type _Kinds = tuple[tuple[str, int], ...]
"""Kinds of features of words, and how many there are of each, in their order."""

BITS = 18
"""Letter n-grams have 2^18 buckets and word n-grams 2^18 further ones; features that share a bucket share its weight."""
LETTER_BUCKETS = 1 << BITS
BUCKETS = 2 * LETTER_BUCKETS
NAME_BUCKETS = 1 << 15
"""Buckets of words where only names of themes are told apart."""
LETTERS = (3, 4, 5)
"""Lengths of letter n-grams, spaces between words included."""
_MOST = 2_048
"""Characters of a reading that are hashed."""
_SHORT = 256
"""Characters up to which the plan of a text is kept for the next one of its size: searches and messages. For longer ones plans would
take much room and seldom fit again; they are worked out length by length."""
_SPACE = 32
_TWO_SPACES = 2

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
    letters, words, _ = _hashes(plain)
    found = _bucket(np.concatenate((letters, words)))
    found[len(letters) :] += LETTER_BUCKETS
    found.sort()
    new = np.empty(len(found), dtype=np.bool_)
    new[:1] = True
    np.not_equal(found[1:], found[:-1], out=new[1:])
    found = found.compress(new)
    return found, int(found.searchsorted(LETTER_BUCKETS))


def _bucket(hashes: Hashes) -> Buckets:
    mixed = hashes >> _FOLD
    mixed ^= hashes
    mixed *= _SPREAD
    mixed ^= mixed >> _FOLD
    mixed *= _THREE
    mixed >>= _SHIFT
    return mixed.view(np.int64)


class _Letters(NamedTuple):
    """Where the letter n-grams of a text of one length begin and end, and what brings each to its hash."""

    starts: Places
    ends: Places
    back: Hashes
    salts: Hashes


class _Words(NamedTuple):
    """Which words (and classes of words) each feature is made of, up to three, what each counts, and the feature's salt."""

    parts: Places
    factors: Hashes
    salts: Hashes
    names: _Kinds


def _hashes(plain: str) -> tuple[Hashes, Hashes, _Kinds]:
    """Return the hashes of the letter n-grams and those of the word features, each in the order of its plan."""
    plain = plain[:_MOST]
    codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    size = len(codes)
    sums = np.zeros(size + 1, dtype=np.uint64)
    np.cumsum(codes * _POWERS[:size], out=sums[1:])
    if size <= _SHORT:
        plan = _letters(size)
        letters = sums.take(plan.ends)
        letters -= sums.take(plan.starts)
        letters *= plan.back
        letters += plan.salts
    else:
        letters = np.concatenate([(sums[length:] - sums[:-length]) * _BACK[: size - length + 1] + _SALT[length] for length in LETTERS])
    spaces = (codes == _SPACE).nonzero()[0]
    if len(spaces) < _TWO_SPACES:
        return letters, _NO_HASHES, ()
    starts = spaces[:-1] + 1
    word = sums.take(spaces[1:])
    word -= sums.take(starts)
    word *= _BACK.take(starts)
    count = len(word)
    known = [CLASS_HASHES.get(one, 0) for one in plain.split(" ")[1 : count + 1]]
    themes = [one for one in known if one]
    if size > _SHORT:
        return letters, *_long(word, np.array(known, dtype=np.uint64))
    if themes:
        classes = np.array(known, dtype=np.uint64)
        word = np.concatenate((word, np.where(classes, classes, word), np.array(themes, dtype=np.uint64)))
    rows = _words(count, len(themes))
    parts = word.take(rows.parts)
    parts *= rows.factors
    return letters, np.add.reduce(parts, axis=0) + rows.salts, rows.names


def _long(word: Hashes, classes: Hashes) -> tuple[Hashes, _Kinds]:
    """Return the word features of a text for which no plan is kept; `classes` has the hash of each word's class, or 0."""
    found = [("word", word + _SALT["word"]), *_joined(word, "pair", "triple")]
    if classes.any():
        found += _joined(np.where(classes, classes, word), "class pair", "class triple", ("gap 1", "gap 2"))
        found += _joined(classes[classes != 0], "theme pair", "theme triple")
    return np.concatenate([hashes for _, hashes in found]), tuple([(kind, len(hashes)) for kind, hashes in found])


def _joined(row: Hashes, pair: str, triple: str, gaps: tuple[str, ...] = ()) -> list[tuple[str, Hashes]]:
    """Return the hashes of what stands side by side in a row: pairs, triples, and pairs with one or two (`gaps`) left out between."""
    first, second = row * _ONE, row * _TWO
    pairs = first[:-1] + second[1:]
    found = [(pair, pairs + _SALT[pair]), (triple, pairs[:-1] + (row * _THREE)[2:] + _SALT[triple])]
    return found + [(kind, first[: -2 - left] + second[2 + left :] + _SALT[kind]) for left, kind in enumerate(gaps)]


@lru_cache(maxsize=_SHORT)
def _letters(size: int) -> _Letters:
    """Return the plan for a text of `size` characters."""
    counts = [max(size - length + 1, 0) for length in LETTERS]
    starts = np.concatenate([np.arange(count) for count in counts])
    ends = starts + np.repeat(LETTERS, counts)
    return _Letters(starts, ends, _BACK[starts], np.repeat(np.array([_SALT[length] for length in LETTERS]), counts))


@lru_cache(maxsize=1_024)
def _words(count: int, themes: int) -> _Words:
    """Return the plan for `count` words, `themes` of which have a class.

    Its places count through the words, then, where there are themes, through the words with classes in their place and
    through the classes alone.
    """
    features: list[tuple[str, int, int, tuple[int, ...], tuple[Any, ...]]] = [
        ("word", 0, count, (0,), (1,)), ("pair", 0, count, (0, 1), (_ONE, _TWO)), ("triple", 0, count, (0, 1, 2), (_ONE, _TWO, _THREE)),
    ]  # fmt: skip
    if themes:
        features += [
            ("class pair", count, count, (0, 1), (_ONE, _TWO)), ("class triple", count, count, (0, 1, 2), (_ONE, _TWO, _THREE)),
            ("gap 1", count, count, (0, 2), (_ONE, _TWO)), ("gap 2", count, count, (0, 3), (_ONE, _TWO)),
            ("theme pair", 2 * count, themes, (0, 1), (_ONE, _TWO)), ("theme triple", 2 * count, themes, (0, 1, 2), (_ONE, _TWO, _THREE)),
        ]  # fmt: skip
    parts, factors, salts, names = [], [], [], []
    for name, first, size, steps, factor in features:
        places = first + np.arange(max(size - steps[-1], 0))
        none = [0] * (3 - len(steps))
        parts.append(np.array([places + step for step in steps] + [places * 0 for _ in none]))
        factors.append(np.repeat(np.array([*factor, *none], dtype=np.uint64)[:, None], len(places), axis=1))
        salts.append(np.full(len(places), _SALT[name], dtype=np.uint64))
        names.append((name, len(places)))
    return _Words(np.concatenate(parts, axis=1), np.concatenate(factors, axis=1), np.concatenate(salts), tuple(names))


_NO_HASHES: Hashes = np.zeros(0, dtype=np.uint64)


def named(plain: str, wanted: Any) -> dict[int, str]:
    """Return, for each wanted bucket, the stretch of the reading that fell into it: its first, words before letters.

    A word of a class stands as `⟨class⟩` where the class and not the word itself is the feature.
    """
    plain = plain[:_MOST]
    words = plain.split(" ")[1:-1]
    classed = [f"⟨{CLASS_OF[word]}⟩" if word in CLASS_OF else word for word in words]
    themes = [word for word in classed if word.startswith("⟨")]
    rows = {
        "word": (words, (0,)), "pair": (words, (0, 1)), "triple": (words, (0, 1, 2)), "class pair": (classed, (0, 1)),
        "class triple": (classed, (0, 1, 2)), "gap 1": (classed, (0, 2)), "gap 2": (classed, (0, 3)),
        "theme pair": (themes, (0, 1)), "theme triple": (themes, (0, 1, 2)),
    }  # fmt: skip
    letters, hashes, kinds = _hashes(plain)
    found: dict[int, str] = {}
    word_buckets = iter((_bucket(hashes) + LETTER_BUCKETS).tolist())
    for kind, count in kinds:
        row, steps = rows[kind]
        joint = " … " if kind.startswith(("gap", "theme")) else " "
        for place, bucket in enumerate(islice(word_buckets, count)):
            if bucket in wanted:
                found.setdefault(bucket, joint.join(row[place + step] for step in steps))
    spans = [(start, start + length) for length in LETTERS for start in range(len(plain) - length + 1)]
    for bucket, (start, end) in zip(_bucket(letters).tolist(), spans, strict=True):
        if bucket in wanted:
            found.setdefault(bucket, f"…{plain[start:end]}…")
    return found
