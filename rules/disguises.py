"""The second reading of a text: disguised spellings undone, for the phrases that are marked for it.

Digits and signs for letters ("k1ll"), letters stretched out ("diiiie") and letters set apart ("k i l l"). Ordinary text
has such things too ("mp3", "A 55", "aaargh"), which is why only some phrases are looked for here, and all of them only
where most of the text is disguised.
"""

import itertools
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

from rules.normalise import positions, words

LONGEST = 4_000
"""Characters that are read a second time; pages beyond it are prose, not messages."""
_LEET = {
    "0": "o",
    "3": "e",
    "4": "a",
    "@": "a",
    "5": "s",
    "$": "s",
    "7": "t",
    "+": "t",
    "8": "b",
    "9": "g",
    "6": "g",
    "2": "z",
    "\u20ac": "e",
    "(": "c",
}
_EITHER = "1!|"
"""Signs that stand for i or for l."""
_AS_LETTERS = {one: str.maketrans({**_LEET, **dict.fromkeys(_EITHER, one)}) for one in "il"}
_SAID = {"2": ("to", "too"), "4": ("for",), "8": ("ate", "eight"), "6": ("b",)}
"""What a digit may stand for besides its letter, where that makes a word that phrases have: "h8" is "hate"."""
_MOST_DOUBTS = 4
"""Signs and runs of one word that are tried each way; in a word with more, all are read alike."""
_SIGNS = "".join(re.escape(sign) for sign in (*_LEET, *_EITHER))
_TOKEN = re.compile(rf"(?:[^\W_]|[{_SIGNS}])+")
_MIXED = re.compile(r"[a-zA-Z][!+(]*[0-9@$\u20ac|]|[0-9@$\u20ac|][a-zA-Z]|[a-zA-Z][!+(]+[a-zA-Z]")
"""Signs among letters; a mark at the end of a word is only a mark."""
_NUMBERS = re.compile(
    r"\b(?:[0-9]+(?:st|nd|rd|th|s|am|pm|mm|cm|m|km|mg|g|kg|ml|l|k|x|p|d|gb|mb|hz)|[a-z]{1,2}[0-9]{3,})\b|\((?:s|n|es)\)", re.IGNORECASE
)
"""Numbers with their endings, models and plurals, in which nobody hides a word: "23rd", "1500s", "f150", "sugar(s)"."""
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_RUN = 3
"""Letters in a row from which they are stretched."""
_APART = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,4}[^\W_](?![^\W_])){3,}")
_INSIDE = re.compile(rf"[a-zA-Z][{_SIGNS}]+[a-zA-Z]")
_CHANCE = 2
_ALONE = re.compile(r" [^ ] [^ ] [^ ] [^ ] ")
_SIGN = re.compile(r"[0-9@$\u20ac|!+(]")
_THREE = re.compile(r"([^ ])\1\1")
_BETWEEN = re.compile(r"[\W_]+")


class Reading(NamedTuple):
    """One way to read a disguised text."""

    text: str
    """Words, as `rules.normalise.words` gives them."""
    joined: bool
    """True when letters that stood apart were put together: spaces between words are lost."""
    mostly: bool
    """True when so much is disguised that it can't be chance: then it is read for every phrase."""
    plain: str
    edits: tuple[tuple[int, int, str], ...]
    """What was put in the place of which span of the original; `plain` is the result."""

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text for a span of `text`."""
        ((first, last),) = positions(self.plain, [(start, end)])
        return _back(self.edits, first, False), _back(self.edits, last, True)


class Signs(NamedTuple):
    """What in a text may be a disguise."""

    apart: bool
    """Letters stand alone one after the other."""
    mixed: bool
    """Signs stand among letters."""
    stretched: bool
    """A letter stands three times in a row."""


def signs_of(text: str, plain: str) -> Signs:
    """Look for disguises; `plain` is `words(text)`, in which most texts show at once that they have none."""
    if len(text) > LONGEST:
        return _NO_SIGNS
    # Keyword sets and model ask for the signs of one search in turn.
    return _signs_again(text, plain) if len(text) <= _SHORT else _signs(text, plain)


def _signs(text: str, plain: str) -> Signs:
    return Signs(
        _ALONE.search(plain) is not None,
        _SIGN.search(text) is not None and _MIXED.search(text) is not None and _MIXED.search(_NUMBERS.sub(" ", text)) is not None,
        _THREE.search(plain) is not None,
    )


_NO_SIGNS = Signs(False, False, False)
_SHORT = 256
"""Characters up to which the signs of the last few texts are kept."""
_signs_again = lru_cache(maxsize=8)(_signs)


def readings(text: str, plain: str, known: Collection[str] = ()) -> Iterator[Reading]:
    """Yield the readings of a text in which something is disguised; none for ordinary text, and at most five.

    `plain` is `words(text)`, `known` the words that phrases are made of, in small letters: a sign or a run of letters that
    may be read in several ways is read so that it makes one of them, word by word.
    """
    apart, mixed, stretched = signs_of(text, plain)
    if apart:
        runs = tuple((match.start(), match.end(), _put_together(match[0])) for match in _APART.finditer(text))
        if any(" " in letters for _, _, letters in runs):
            # Wider gaps among the letters stand between words: these can be read as they are.
            most = 2 * sum(end - start for start, end, _ in runs) > len(text)
            yield _reading(text, runs, joined=False, mostly=most)
        elif runs:
            alone = tuple((start, end, f" {letters} ") for start, end, letters in runs)
            yield _reading(text, tuple(_kept_only(text, alone)), joined=True, mostly=False)
    if not mixed and not stretched:
        return
    seen = set()
    mostly = mixed and _mostly_mixed(text)
    for one, length in _ways_to_read(text, mixed):
        edits = tuple(_plain_letters(text, one, length, mixed, known))
        if edits and edits not in seen:
            seen.add(edits)
            yield _reading(text, edits, joined=False, mostly=mostly)


def _ways_to_read(text: str, mixed: bool) -> Iterator[tuple[str, int]]:
    """Yield for what a sign of `_EITHER` stands, and how many letters of a run are kept: only ways that can differ."""
    ones = ("i", "l") if mixed and any(sign in text for sign in _EITHER) else ("i",)
    for one in ones:
        yield one, 1
        if _STRETCHED.search(text.translate(_AS_LETTERS[one]) if mixed else text) is not None:
            yield one, 2


def _mostly_mixed(text: str) -> bool:
    """True where signs stand between the letters of at least two words, and of every fourth word: nobody writes so by chance."""
    inside = len(_INSIDE.findall(text))
    return inside >= _CHANCE and 4 * inside >= len(text.split())


def undisguised(text: str) -> str:
    """Return the text as somebody would read it aloud: one best guess, for readers that look at all words."""
    apart, mixed, stretched = signs_of(text, words(text))
    best = text
    if apart:
        best = _applied(best, tuple((match.start(), match.end(), _put_together(match[0])) for match in _APART.finditer(best)))
    if mixed or stretched:
        best = _applied(best, tuple(_plain_letters(best, "i", 1, mixed)))
    return best


def _put_together(run: str) -> str:
    """Return letters that stand apart as words: what parts them least stands between letters, anything wider between words."""
    gaps = {_width(gap) for gap in _BETWEEN.findall(run)}
    least = min(gaps)
    return _BETWEEN.sub(lambda match: "" if _width(match[0]) == least else " ", run)


def _width(gap: str) -> int:
    """Return how far a gap sets letters apart: signs alone not at all, spaces by their number."""
    return sum(map(str.isspace, gap))


def _kept_only(text: str, runs: tuple[tuple[int, int, str], ...]) -> Iterator[tuple[int, int, str]]:
    at = 0
    for start, end, letters in runs:
        if start > at:
            yield at, start, " "
        yield start, end, letters
        at = end
    if at < len(text):
        yield at, len(text), " "


def _plain_letters(text: str, one: str, length: int, mixed: bool, known: Collection[str] = ()) -> Iterator[tuple[int, int, str]]:
    """Yield what to put in the place of signs and of stretched letters, which keep `length` of their letters."""
    for match in (_TOKEN if mixed else _WORD).finditer(text):
        token = match[0]
        if not mixed and _STRETCHED.search(token) is None:
            continue
        core = (token.lstrip("(+").rstrip("!+(") if mixed else token) or token
        before, after = token.split(core, 1)
        plain = _plain_word(core, one, length, mixed)
        if known and plain != core and plain.lower() not in known:
            plain = next((other for other in _other_words(core, mixed) if other in known), plain)
        plain = before + plain + after
        if plain != token:
            yield match.start(), match.end(), plain


def _plain_word(core: str, one: str, length: int, mixed: bool) -> str:
    plain = "".join(one if sign in _EITHER else _LEET.get(sign, sign) for sign in core) if mixed else core
    return _STRETCHED.sub(lambda run: run[1] * length, plain)


def _other_words(core: str, mixed: bool) -> Iterator[str]:
    """Yield a word in small letters with each of its signs and runs read in each way; nothing for a word of too many."""
    choices: list[tuple[str, ...]] = []
    doubts = at = 0
    small = core.lower()
    while at < len(small):
        sign = small[at]
        end = at + 1
        while end < len(small) and small[end] == sign:
            end += 1
        ways = _ways(sign, end - at, mixed)
        choices.append(ways)
        doubts += len(ways) > 1
        at = end
    if doubts <= _MOST_DOUBTS:
        for chosen in itertools.product(*choices):
            yield "".join(chosen)


def _ways(sign: str, count: int, mixed: bool) -> tuple[str, ...]:
    """Return what a sign or letter that stands so many times may be read as."""
    letters: tuple[str, ...] = (sign,)
    if mixed:
        letters = ("i", "l") if sign in _EITHER else (_LEET.get(sign, sign), *_SAID.get(sign, ()))
    if count < _RUN or not (sign.isalpha() or letters != (sign,)):
        return tuple(letter * count for letter in letters)
    return tuple(letter * length for letter in letters for length in (1, 2))


def _reading(text: str, edits: tuple[tuple[int, int, str], ...], *, joined: bool, mostly: bool) -> Reading:
    plain = _applied(text, edits)
    return Reading(words(plain), joined, mostly, plain, edits)


def _applied(text: str, edits: tuple[tuple[int, int, str], ...]) -> str:
    parts = []
    at = 0
    for start, end, new in edits:
        parts += [text[at:start], new]
        at = end
    parts.append(text[at:])
    return "".join(parts)


def _back(edits: tuple[tuple[int, int, str], ...], position: int, at_end: bool) -> int:
    """Return where a position of the edited text stood; inside an edit of another length, its start or end."""
    shift = 0
    for start, end, new in edits:
        new_start = start + shift
        new_end = new_start + len(new)
        if position < new_start or (position == new_start and not at_end):
            break
        if position < new_end or (position == new_end and at_end):
            if len(new) == end - start:
                return position - shift
            return end if at_end else start
        shift = new_end - end
    return position - shift
