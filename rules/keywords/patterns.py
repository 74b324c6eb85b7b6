"""From a phrase as its author wrote it to what is looked for in the normalised text."""

import itertools
import re
from collections.abc import Iterator

from rules.normalise import fold, own_script, words

MOST_VARIANTS = 2_000
MOST_GAPS = 2
_ENOUGH = 2
"""Letters or digits that a phrase has at least."""
LONGEST = 500
"""Characters of a phrase as written."""
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_GAP = re.compile(r"\s+(?:\.\.\.|\u2026)\s+")
_DOTS = ("...", "\u2026")
_SHORTEST_RUN = 4
_LONGEST_RUN = 18
"""Letters up to which a phrase is looked for in a run of letters: whoever sets letters apart writes a few words."""
_CLEAR_RUN = 8
"""Letters from which a phrase stands out of a run of letters."""
_CODED_SIGNS = frozenset("%&\\")
_FOLD_MARKED = {code: chr(code) if chr(code) in ".*" else fold(chr(code)) for code in range(128)}
"""Folding of ASCII that leaves the marks of gaps and open ends."""
_LATIN = re.compile("[a-zA-Z]")
# Scripts that write no spaces between words: Thai to Khmer, kana, Han, and Hangul with its endings.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")


class PatternError(ValueError):
    """The phrase can't be looked for; the text is one sentence."""


def expand(text: str) -> list[tuple[str, ...]]:
    """Return every way to write a phrase, each as its parts between ` ... ` gaps; raises `PatternError`.

    `{a|b}` stands for one of several texts, of which one may be empty: `{a |}b` is "a b" or "b".
    """
    variants = dict.fromkeys(" ".join("".join(chosen).split()) for chosen in itertools.product(*_choices(text)))
    return [_parts(variant, text) for variant in variants]


def patterns_of(text: str) -> Iterator[tuple[str, ...]]:
    """Yield what to look for, for each way to write a phrase: `pattern` of each part. The same as `expand` and `pattern`.

    Folds each alternative once instead of each way to write it: a file of phrases stands for a hundred thousand.
    """
    if not text.isascii() or not _CODED_SIGNS.isdisjoint(text):
        yield from (tuple(map(pattern, parts)) for parts in expand(text))
        return
    choices = [[one.translate(_FOLD_MARKED) for one in choice] for choice in _choices(text)]
    gaps, marked = "." in text, "*" in text
    for variant in dict.fromkeys(map("".join, itertools.product(*choices))):
        plain = " ".join(variant.split())
        if gaps and "." in plain:
            yield tuple(_marked_pattern(part.replace(".", " "), text) for part in _GAP.split(plain))
        elif marked or not plain:
            yield (_marked_pattern(plain, text),)
        else:
            yield (f" {plain} ",)


def check(text: str) -> None:
    """Raise `PatternError` for a phrase that `expand` refuses; most phrases are told without writing out each way to write them."""
    fewest = _GAP.split("".join(min(choice, key=_letters) for choice in _choices(text)))
    gaps = sum(map(text.count, _DOTS))
    # Where the way with the fewest letters has every gap that there may be, no other way has shorter parts.
    if len(fewest) != gaps + 1 or gaps > MOST_GAPS or min(map(_letters, fewest)) < _ENOUGH:
        expand(text)


def readable(text: str) -> str:
    """Return one way in which a phrase may be written, without signs for alternatives and gaps; what is no phrase as it is."""
    try:
        plain = " ".join("".join(choice[0] for choice in _choices(text)).split())
    except PatternError:  # what the second reader made, or a phrase of an older version
        return text
    return " … ".join(part.strip().strip("*") for part in _GAP.split(plain))


def _marked_pattern(part: str, text: str) -> str:
    part = part.strip()
    core = " ".join(part.replace("*", " ").split()) if "*" in part or "  " in part else part
    if not core:
        raise PatternError(f'"{text}" has too few letters or digits to look for.')
    return f"{'' if part.startswith('*') else ' '}{core}{'' if part.endswith('*') else ' '}"


def _choices(text: str) -> list[list[str]]:
    if len(text) > LONGEST:
        raise PatternError(f"A phrase has at most {LONGEST} characters, and this one has {len(text):,}.")
    pieces = _ALTERNATIVES.split(text)
    if any("{" in piece or "}" in piece for piece in pieces):
        raise PatternError(f'"{text}" has a curly bracket without its other half, or one inside another.')
    choices = [piece.split("|") if number % 2 else [piece] for number, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_VARIANTS:
        raise PatternError(f'"{text}" stands for {count:,} phrases; write it as several with at most {MOST_VARIANTS:,} each.')
    return choices


def _parts(variant: str, text: str) -> tuple[str, ...]:
    parts = tuple(_GAP.split(variant))
    if len(parts) > MOST_GAPS + 1:
        raise PatternError(f'"{text}" has more than {MOST_GAPS} gaps " ... ".')
    if not all(map(_is_enough, parts)):
        raise PatternError(f'"{text}" has too few letters or digits to look for.')
    return parts


def _is_enough(part: str) -> bool:
    """True for at least two letters or digits; one sign is enough outside ASCII."""
    return _letters(part) >= _ENOUGH or (not part.isascii() and bool(pattern(part).strip()))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def pattern(part: str) -> str:
    """Return what to look for in `rules.normalise.words`: spaces at the ends mean whole words, `*` leaves an end open."""
    part = part.strip()
    core = _plain(part.strip("*"))
    if not core:
        return ""
    opening = "" if part.startswith("*") or _UNSPACED.match(core[0]) else " "
    closing = "" if part.endswith("*") or _UNSPACED.match(core[-1]) else " "
    return f"{opening}{core}{closing}"


def _plain(text: str) -> str:
    """Return the words of a phrase; one without a Latin letter is in another script, not in disguise."""
    return (words(text) if text.isascii() or _LATIN.search(text) else own_script(text)).strip()


def squeezed(patterns: tuple[str, ...]) -> str | None:
    """Return a phrase's pattern without spaces, for letters that stand apart one by one, or None when it is too short or long for that.

    Where words run into one another, a short one may be made of the ends of others: it has to be all that stands apart.
    """
    core = patterns[0].replace(" ", "")
    if len(patterns) > 1 or not _SHORTEST_RUN <= len(core) <= _LONGEST_RUN:
        return None
    return core if len(core) >= _CLEAR_RUN else f" {core} "
