"""Ways in which people disguise words, applied to whole texts."""

from collections.abc import Callable

_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_ALIKE = str.maketrans("aeocpxyisjAEOCPXTHMKB", "аеосрхуіѕјАЕОСРХТНМКВ")  # Cyrillic letters that look like Latin ones
_UNSEEN = "\u200b"


def leetspeak(text: str) -> str:
    """Digits for six letters."""
    return text.translate(_LEET)


def spaces(text: str) -> str:
    """A space between all letters; words stay apart by three."""
    return " ".join(text)


def zero_width(text: str) -> str:
    """A zero-width space between all letters."""
    return _UNSEEN.join(text)


def look_alike(text: str) -> str:
    """Cyrillic letters that look the same."""
    return text.translate(_ALIKE)


def entities(text: str) -> str:
    """HTML character references for all letters."""
    return "".join(f"&#{ord(char)};" if char.isalpha() else char for char in text)


def percent(text: str) -> str:
    """Percent escapes for all bytes but spaces."""
    return "".join(char if char == " " else "".join(f"%{byte:02X}" for byte in char.encode()) for char in text)


MUTATIONS: dict[str, Callable[[str], str]] = {
    "leetspeak": leetspeak,
    "spaces": spaces,
    "zero-width": zero_width,
    "look-alike letters": look_alike,
    "entities": entities,
    "percent": percent,
}
"""Each by its name in the table."""
