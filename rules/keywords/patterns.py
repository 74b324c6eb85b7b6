"""From a phrase as its author wrote it to what is looked for in the normalised text."""

import itertools
import re

from rules.normalise import own_script, words

MOST_VARIANTS = 2_000
MOST_GAPS = 2
LONGEST = 500
"""Characters of a phrase as written."""
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_GAP = re.compile(r"\s+(?:\.\.\.|\u2026)\s+")
_LATIN = re.compile("[a-zA-Z]")
# Scripts that write no spaces between words: Thai to Khmer, kana, Han, and Hangul with its endings.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")


class PatternError(ValueError):
    """The phrase can't be looked for; the text is one sentence."""


def expand(text: str) -> list[tuple[str, ...]]:
    """Return every way to write a phrase, each as its parts between ` ... ` gaps; raises `PatternError`.

    `{a|b}` stands for one of several texts, of which one may be empty: `{a |}b` is "a b" or "b".
    """
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
    variants = dict.fromkeys(" ".join("".join(chosen).split()) for chosen in itertools.product(*choices))
    return [_parts(variant, text) for variant in variants]


def _parts(variant: str, text: str) -> tuple[str, ...]:
    parts = tuple(_GAP.split(variant))
    if len(parts) > MOST_GAPS + 1:
        raise PatternError(f'"{text}" has more than {MOST_GAPS} gaps " ... ".')
    if not all(map(_is_enough, parts)):
        raise PatternError(f'"{text}" has too few letters or digits to look for.')
    return parts


def _is_enough(part: str) -> bool:
    """True for at least two letters or digits; one sign is enough outside ASCII."""
    letters = [char for char in part if char.isalnum()]
    return len(letters) >= 2 or (not part.isascii() and bool(pattern(part).strip()))


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


def squeezed(parts: tuple[str, ...]) -> str | None:
    """Return the phrase without its spaces, for letters that stand apart one by one, or None when it is too short for that."""
    core = "".join(_plain(part.strip().strip("*")) for part in parts).replace(" ", "")
    return core if len(parts) == 1 and len(core) >= 4 else None
