"""One plain form for phrases and texts, so that spelling tricks don't matter; linear in the length of the text."""

import html
import re
import unicodedata
from functools import lru_cache

import numpy as np

from rules.lookalikes import as_latin

_JOINERS = "'\u2019\u2018\u02bc`\u00b4"
"""Apostrophes vanish: "don't" and "dont" are one word."""
_ESCAPED_BYTES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_JSON_ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_CODED = re.compile(f"{_ESCAPED_BYTES.pattern}|{_ENTITY.pattern}|{_JSON_ESCAPE.pattern}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_SHORT = 256
"""Characters up to which the words of the last few texts are kept."""
_LONG = 2_000
"""Characters from which joining word by word is slower than another pass."""
_STRETCH = 2_000
"""Characters that are walked over at a time to say where a phrase stands."""
_SPACE = 0x20
_PICTURES = 0x2600
"""Code point from which symbols are pictures that mean something: emoji."""
_SQUARED_LETTERS = ((0x1F150, 26), (0x1F170, 26), (0x1F1E6, 26))
"""Circled, squared and regional letters that Unicode doesn't decompose."""


class _Fold(dict[int, str]):
    """Table for `str.translate`: what each character becomes, worked out when first met.

    Compatibility decomposition (NFKD) takes full-width, ligature and styled letters apart; accents, zero-width and
    other unseen characters vanish; case folds; an emoji stands as a word of its own; whatever else is no letter or
    digit becomes a space.
    """

    def __missing__(self, code: int) -> str:
        plain = _folded(chr(code))
        if len(self) < 20_000:
            self[code] = plain
        return plain


def _folded(char: str) -> str:
    code = ord(char)
    for first, count in _SQUARED_LETTERS:
        if first <= code < first + count:
            return chr(ord("a") + code - first)
    if code >= _PICTURES and unicodedata.category(char) == "So":
        return f" {char} "
    kept = []
    for part in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()):
        kind = unicodedata.category(part)
        if part in _JOINERS or kind in ("Cf", "Cs", "Cn") or _is_accent(part, kind):
            continue
        kept.append(part if kind[0] in "LNM" else " ")
    return "".join(kept)


def _is_accent(part: str, kind: str) -> bool:
    """True for marks on letters, variation selectors and skin tones: nothing that makes another word."""
    if kind == "Mn":
        return (unicodedata.combining(part) != 0 and part < "\u0370") or "\ufe00" <= part <= "\ufe0f"
    return "\U0001f3fb" <= part <= "\U0001f3ff" or part == "\u20e3"


_FOLD = _Fold()
_ASCII = {code: _folded(chr(code)) or None for code in range(128)}
_FOLD.update({code: plain or "" for code, plain in _ASCII.items()})


def fold(text: str) -> str:
    """Return the text folded character by character, spaces as they fall; `positions` tells where each came from."""
    if not text.isascii():
        # Mostly a few dashes, quotes and accents: folding those alone leaves the rest to the quick table.
        text = _NOT_ASCII.sub(_fold_run, text)
        if not text.isascii():
            return as_latin(text.translate(_FOLD))
    return text.translate(_ASCII)


def _fold_run(match: re.Match[str]) -> str:
    return match[0].translate(_FOLD)


def words(text: str) -> str:
    """Return the folded text as words with one space between, before and after: ` like this `.

    Percent, HTML and JSON escapes inside the text are undone once, as a search box or an address may carry them.
    """
    # Keyword sets, disguises and model ask for the words of one search in turn.
    return _words_again(text) if len(text) <= _SHORT else _words(text)


def _words(text: str) -> str:
    if ("%" in text or "&" in text or "\\" in text) and _CODED.search(text) is not None:
        text = _CODED.sub(_decoded, text)
    plain = fold(text)
    return _joined(plain) if len(plain) > _LONG else f" {' '.join(plain.split())} "


_words_again = lru_cache(maxsize=8)(_words)


def own_script(text: str) -> str:
    """Return the words of a phrase like `words`, its letters never taken for Latin ones."""
    return f" {' '.join(text.translate(_FOLD).split())} "


def _joined(plain: str) -> str:
    """Leave one space of each run. The same as splitting and joining, at a fourth of its time on a page."""
    codes = np.frombuffer(f" {plain} ".encode(), np.uint8)
    space = codes == _SPACE
    kept = codes[1:][~(space[1:] & space[:-1])].tobytes().decode()
    return f" {kept or ' '}"


def positions(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Map spans of `words(text)` back to spans of the text as given; both are character positions, ends exclusive.

    Walks over the stretches of the text in which spans begin and end, so it is asked only when something was found.
    """
    wanted = {position for start, end in spans if start < end for position in (start, end - 1)}
    origin: dict[int, tuple[int, int]] = {}
    # Where a stretch begins, in the text and in its words; no escape reaches over a space.
    at, so_far = 0, 0
    while at < len(text) and len(origin) < len(wanted):
        cut = text.find(" ", at + _STRETCH)
        stretch = text[at : cut if cut >= 0 else len(text)]
        size = len(words(stretch).strip(" "))
        # Words of the stretch, with the space before and the one after.
        inside = [position for position in wanted if so_far <= position <= so_far + size + 1 and position not in origin] if size else ()
        if inside:
            origins = _origins(stretch)
            origin |= {
                position: (at + first, at + last)
                for position in inside
                for first, last in [origins[min(position - so_far, len(origins) - 1)]]
            }
        so_far += size + 1 if size else 0
        at += len(stretch)
    last = (len(text), len(text))
    return [(origin.get(start, last)[0], origin.get(end - 1, last)[1]) if start < end else (0, 0) for start, end in spans]


def _origins(text: str) -> list[tuple[int, int]]:
    """Return, for each character of `words(text)`, the span of the text that it stands for."""
    origins = [(0, 0)]
    at_space = True
    for piece, start, end in _pieces(text):
        for char in piece:
            if char.isspace():
                if not at_space:
                    origins.append((start, end))
                at_space = True
            else:
                origins.append((start, end))
                at_space = False
    if not at_space:
        origins.append((len(text), len(text)))
    return origins


def _pieces(text: str) -> list[tuple[str, int, int]]:
    """Return folded pieces with the span of the text that each came from."""
    pieces: list[tuple[str, int, int]] = []
    at = 0
    for match in _CODED.finditer(text):
        pieces += [(_FOLD[ord(char)], at + index, at + index + 1) for index, char in enumerate(text[at : match.start()])]
        pieces += [(_FOLD[ord(char)], match.start(), match.end()) for char in _decoded(match)]
        at = match.end()
    pieces += [(_FOLD[ord(char)], at + index, at + index + 1) for index, char in enumerate(text[at:])]
    return pieces


def _decoded(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == "&":
        return html.unescape(found)
    if found[0] == "\\":
        units = b"".join(bytes.fromhex(unit) for unit in found.split("\\u")[1:])
        return units.decode("utf-16-be", "replace")
    data = bytes.fromhex(found.replace("%", ""))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
