"""Letters of other alphabets that look like Latin ones, as Unicode's table of confusables has them (UTS #39)."""

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("data") / "lookalikes.txt"
_WORD = re.compile(r"[^\W_]+")
_LATIN = re.compile("[a-zA-Z]")
_MIXED = re.compile(r"[a-zA-Z][^\W\x00-\x7f]|[^\W\x00-\x7f][a-zA-Z]")


@cache
def table() -> dict[int, str]:
    """Return code point -> lower-case Latin letter or digit, for letters outside ASCII.

    The file has a line per Latin letter: the letter, a space, and its look-alikes.
    """
    found: dict[int, str] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            latin, _, others = line.partition(" ")
            found |= {ord(char): latin for char in others}
    return found


@cache
def _any_of_them() -> frozenset[str]:
    return frozenset(map(chr, table()))


def as_latin(text: str) -> str:
    """Return the text with look-alikes as the Latin letters they pass for; each stays one character.

    A word of Latin and foreign letters is a disguise. A word of nothing but look-alikes is one where the rest of the
    text is Latin; in a Russian or Greek text it is an ordinary word and stays.
    """
    signs = set(text)
    if signs.isdisjoint(_any_of_them()):
        return text
    letters = table()
    foreign = any(_other_script(char) and ord(char) not in letters and char.isalpha() for char in signs)
    if foreign and _MIXED.search(text) is None:
        return text

    def plain(match: re.Match[str]) -> str:
        word = match[0]
        if word.isascii():
            return word
        if _LATIN.search(word) is None and (foreign or any(ord(char) not in letters for char in word)):
            return word
        return word.translate(letters)

    return _WORD.sub(plain, text)


def _other_script(char: str) -> bool:
    """True for letters from Greek upwards; accented Latin letters stand before, and in blocks of their own."""
    return "\u0370" <= char < "\u1d00" or "\u2c00" <= char < "\ua640" or "\uac00" <= char < "\ufb00"
