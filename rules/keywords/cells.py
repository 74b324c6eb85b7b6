"""Cells of a table of phrases: what each may say in the words of several products, and how ours are written."""

import re
from collections.abc import Iterable
from typing import Final

from rules.kinds import CONTEXTS, TEXT_CONTEXTS

ALONE: Final = 60
"""Weight of a phrase that speaks alone: what a search, a form field and a prompt have to reach."""
TOGETHER: Final = 30
"""Weight of one that counts only beside others of its category."""
DEFAULT_LEVEL: Final = 3
_CONTEXT_WORDS: Final = {"search": "search", "form": "typed", "prompt": "ai", "page": "page", "host": "host"}
_CONTEXTS: Final[dict[str, tuple[str, ...]]] = {
    "search": ("search",), "searches": ("search",), "typed": ("form",), "form": ("form",), "typing": ("form",), "chat": ("form",),
    "ai": ("prompt",), "prompt": ("prompt",), "page": ("page",), "pages": ("page",), "webpage": ("page",), "content": ("page",),
    "websitecontent": ("page",),
    "caption": ("page",), "title": ("page",), "host": ("host",), "url": ("host",), "websiteurl": ("host",), "website": ("host", "page"),
    # What is typed, wherever: Senso's KEYWORD.
    "keyword": ("search", "form", "prompt"), "keywords": ("search", "form", "prompt"),
    "all": TEXT_CONTEXTS, "any": TEXT_CONTEXTS, "everywhere": TEXT_CONTEXTS, "": TEXT_CONTEXTS,
}  # fmt: skip
_UNSEEN: Final = frozenset({"application", "app", "process", "window", "clipboard", "filename"})
_LOUD: Final = frozenset({"alert", "block", "capture", "report", "flag", "notify", "email", "warn", "stop", "deny", "lower", "screenshot"})
_QUIET: Final = frozenset({"log", "record", "monitor", "audit"})
_NOTHING: Final = frozenset({"ignore", "allow", "none", "off", "no", "disabled", "exclude", "whitelist"})
_LEVELS: Final = {
    "info": 1, "information": 1, "informational": 1, "verylow": 1, "low": 2, "minor": 2, "medium": 3, "moderate": 3, "normal": 3,
    "high": 4, "urgent": 4, "major": 4, "critical": 5, "severe": 5, "emergency": 5, "veryhigh": 5,
}  # fmt: skip
_WHOLE: Final = frozenset({"", "whole", "wholeword", "word", "words", "exact", "exactly", "phrase", "equals", "wholephrase", "alone"})
_STARTS: Final = frozenset({"starts", "start", "startswith", "begins", "beginswith", "prefix"})
_ENDS: Final = frozenset({"ends", "end", "endswith", "suffix"})
_PARTS: Final = frozenset({"contains", "contain", "partial", "part", "anywhere", "substring", "inside"})
_BESIDE: Final = frozenset({"sametype", "anytype", "together", "withothers"})
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class CellError(ValueError):
    """A cell can't be understood; the text is one sentence."""


def folded(text: str) -> str:
    """Return a name without case, punctuation and doubled spaces, so that `Self_Harm` and `self-harm` are one."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def plain(cell: str) -> str:
    """Return the text of a cell on one line, a spreadsheet's guard taken off; raises `CellError` for what is no text."""
    text = " ".join((cell[1:] if _GUARDED.match(cell) else cell).split())
    if _CONTROL.search(text) or "\N{REPLACEMENT CHARACTER}" in text:
        raise CellError("The line holds a character that can't be read; save the file as “CSV UTF-8” and look at this line.")
    return text


def guarded(text: str) -> str:
    """Return a text on one line that no spreadsheet takes for a formula: one that would be begins with an apostrophe."""
    text = " ".join(_CONTROL.sub(" ", text).split())
    return f"'{text}" if _FORMULA.match(text) else text


def several(cell: str) -> tuple[str, ...]:
    """Return the words of a `with` or `unless` cell, parted by semicolons."""
    return tuple(text for part in plain(cell).split(";") if (text := part.strip()))


def joined(words: Iterable[str]) -> str:
    """Return words as one cell; a semicolon inside one counts for a space, as it does wherever phrases are looked for."""
    return guarded("; ".join(text for word in words if (text := " ".join(word.replace(";", " ").split()))))


def contexts_of(cell: str) -> tuple[str, ...]:
    """Return where the phrase counts; empty means wherever text is read."""
    whole = _letters(cell)
    parts = [whole] if whole in _CONTEXTS or whole in _UNSEEN else [_letters(part) for part in re.split(r"[\s,;+/|&]+", cell)]
    found: set[str] = set()
    for part in parts:
        if part in _CONTEXTS:
            found.update(_CONTEXTS[part])
        elif part not in _UNSEEN:
            raise CellError(f'context: "{_shown(cell)}" says no place; write some of search, typed, page, ai, host, or leave it empty.')
    if not found:
        raise CellError(f'context: "{_shown(cell)}" is something on the device, which a gateway does not see; leave the phrase out.')
    return tuple(context for context in CONTEXTS if context in found)


def context_words(contexts: Iterable[str]) -> str:
    """Return contexts in the words of the command line."""
    chosen = set(contexts)
    return " ".join(word for context, word in _CONTEXT_WORDS.items() if context in chosen)


def level_of(cell: str, action: str) -> int:
    """Return the level; where none is given, what is to be done gives one: 3 for what a person should hear of, 2 for a record."""
    said = _letters(action)
    if said in _NOTHING:
        raise CellError(f'action: "{_shown(action)}" would make the phrase do nothing; leave the line out, or except words by `unless`.')
    if said and said not in _LOUD and said not in _QUIET:
        raise CellError(f'action: "{_shown(action)}" is none; write alert, block or log, or leave it to the policy of each group.')
    text = cell.strip()
    if not text:
        return 2 if said in _QUIET else DEFAULT_LEVEL
    if number := re.fullmatch(r"([1-5])(?:\.0+)?(?:\s*[-–:(].*)?", text):
        return int(number[1])
    if _letters(text) not in _LEVELS:
        raise CellError(f'level: "{_shown(cell)}" is none; write 1 (information) to 5 (critical), or low, medium, high, critical.')
    return _LEVELS[_letters(text)]


def action_of(level: int, lowers: int) -> str:
    """Return the word for what a phrase does."""
    return "lower" if lowers else "alert" if level >= DEFAULT_LEVEL else "log"


def lowering(lowers: int | None, action: str) -> int:
    """Return by how many levels a phrase lowers; a line that says `lower` and no number means one."""
    return lowers if lowers is not None else 1 if _letters(action) == "lower" else 0


def with_match(text: str, match: str) -> tuple[str, bool]:
    """Return the phrase with `*` where the match leaves an end open, and whether it speaks alone."""
    said = _letters(match)
    if said in _BESIDE:
        return text, False
    if said in _WHOLE:
        return text, True
    core = text.strip("* ")
    if said in _STARTS:
        return f"{core}*", True
    if said in _ENDS:
        return f"*{core}", True
    if said in _PARTS:
        return f"*{core}*", True
    raise CellError(f'match: "{_shown(match)}" is none; write whole, starts, ends or contains.')


def split_match(text: str) -> tuple[str, str]:
    """Return a phrase without the `*` at its ends, and the match that says the same."""
    text = " ".join(_CONTROL.sub(" ", text).split())
    core = text.strip("* ")
    opening, closing = text.startswith("*"), text.endswith("*")
    return core, "contains" if opening and closing else "ends" if opening else "starts" if closing else "whole"


def number(cell: str, low: int, high: int, column: str) -> int | None:
    """Return a whole number, None for an empty cell."""
    text = cell.strip()
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,9})(?:\.0+)?", text, re.ASCII)
    if found is None or not low <= int(found[1]) <= high:
        raise CellError(f'{column}: "{_shown(cell)}" is no whole number from {low} to {high:,}.')
    return int(found[1])


def flag(cell: str, column: str) -> bool:
    """Return yes or no; empty is no."""
    said = _letters(cell)
    if said in ("yes", "y", "true", "1", "x"):
        return True
    if said in ("", "no", "n", "false", "0"):
        return False
    raise CellError(f'{column}: "{_shown(cell)}" is neither yes nor no.')


def language_of(cell: str) -> str:
    """Return the language, English when none is given."""
    text = cell.strip()
    if text and _LANGUAGE.fullmatch(text) is None:
        raise CellError(f'language: "{_shown(cell)}" is none; write its short name, for example en, cy or pl.')
    return text or "en"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _shown(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 40 else short[:37] + "..."
