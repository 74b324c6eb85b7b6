"""One plain form for phrases and texts, so that spelling tricks don't matter; linear in the length of the text."""

import html
import re
import unicodedata

_JOINERS = "'\u2019\u2018\u02bc`\u00b4"
"""Apostrophes vanish: "don't" and "dont" are one word."""
_ESCAPED_BYTES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_CODED = re.compile(f"{_ESCAPED_BYTES.pattern}|{_ENTITY.pattern}")


_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class _Fold(dict[int, str]):
    """Table for `str.translate`: what each character becomes, worked out when first met.

    Compatibility decomposition (NFKD) takes full-width, ligature and styled letters apart; accents, zero-width and
    other unseen characters vanish; case folds; whatever is no letter or digit becomes a space.
    """

    def __missing__(self, code: int) -> str:
        plain = _folded(chr(code))
        if len(self) < 20_000:
            self[code] = plain
        return plain


def _folded(char: str) -> str:
    kept = []
    for part in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()):
        kind = unicodedata.category(part)
        if part in _JOINERS or kind in ("Cf", "Cs", "Cn") or (kind == "Mn" and unicodedata.combining(part) and part < "\u0370"):
            continue
        kept.append(part if kind[0] in "LNM" else " ")
    return "".join(kept)


_FOLD = _Fold()
_ASCII = {code: _folded(chr(code)) or None for code in range(128)}
_FOLD.update({code: plain or "" for code, plain in _ASCII.items()})


def fold(text: str) -> str:
    """Return the text folded character by character, spaces as they fall; `positions` tells where each came from."""
    if not text.isascii():
        # Mostly a few dashes, quotes and accents: folding those alone leaves the rest to the quick table.
        text = _NOT_ASCII.sub(_fold_run, text)
        if not text.isascii():
            return text.translate(_FOLD)
    return text.translate(_ASCII)


def _fold_run(match: re.Match[str]) -> str:
    return match[0].translate(_FOLD)


def words(text: str) -> str:
    """Return the folded text as words with one space between, before and after: ` like this `.

    Percent and HTML escapes inside the text are undone once, as a search box or an address may carry them.
    """
    if ("%" in text or "&" in text) and _CODED.search(text) is not None:
        text = _CODED.sub(_decoded, text)
    return f" {' '.join(fold(text).split())} "


def positions(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Map spans of `words(text)` back to spans of the text as given; both are character positions, ends exclusive.

    Costs one walk over the text, so it is asked only when something was found.
    """
    origin = _origins(text)
    mapped = []
    for start, end in spans:
        inside = origin[start:end]
        mapped.append((inside[0][0], inside[-1][1]) if inside else (0, 0))
    return mapped


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
    for match in _CODED.finditer(text) if ("%" in text or "&" in text) else ():
        pieces += [(_FOLD[ord(char)], at + index, at + index + 1) for index, char in enumerate(text[at : match.start()])]
        pieces += [(_FOLD[ord(char)], match.start(), match.end()) for char in _decoded(match)]
        at = match.end()
    pieces += [(_FOLD[ord(char)], at + index, at + index + 1) for index, char in enumerate(text[at:])]
    return pieces


def _decoded(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == "&":
        return html.unescape(found)
    data = bytes.fromhex(found.replace("%", ""))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
