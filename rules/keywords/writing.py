"""A keyword file written by the program: phrases that share their settings in one set, one phrase a line."""

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from rules.keywords.exchange import Entry, RefusedRow
from rules.keywords.sets import KeywordSet, Phrase, parse_keyword_file
from rules.kinds import TEXT_CONTEXTS
from rules.problems import PolicyError, Problem

MARK: Final = "# Written by `schoolgate keywords import`"
"""Begin of a file that a later import may replace."""
_DEFAULTS: Final = Phrase("", 60, 3, TEXT_CONTEXTS)
_KEYS: Final = {"needs": "with"}
"""Keys of the file where they differ from the names of the values."""
_ROUNDS: Final = 100


class Written(NamedTuple):
    """The text of a keyword file, and what could not go into it."""

    text: str
    sets: tuple[KeywordSet, ...]
    refused: tuple[RefusedRow, ...]


def write_keyword_file(entries: Iterable[Entry], file: str, source: str) -> Written:
    """Return the text of a keyword file that the gateway reads, checked by its own reader; `source` is named at its head."""
    kept = list(entries)
    refused: list[RefusedRow] = []
    for _ in range(_ROUNDS):
        text, lines = _text(kept, source)
        try:
            return Written(text, parse_keyword_file(text, file), tuple(refused))
        except PolicyError as error:
            faults = {lines[one.line]: one.message for one in error.problems if one.line in lines}
            if not faults:
                raise
            refused += [RefusedRow(kept[index].line, kept[index].phrase.text[:80], message) for index, message in faults.items()]
            kept = [entry for index, entry in enumerate(kept) if index not in faults]
    raise PolicyError([Problem(file, 0, "Too many of the phrases can't be looked for; correct those that are named and try again.")])


def _text(entries: list[Entry], source: str) -> tuple[str, dict[int, int]]:
    """Return the file's text, and the entry of each line that holds one."""
    groups: dict[tuple[str, Phrase], list[int]] = {}
    for index, entry in enumerate(entries):
        groups.setdefault((entry.category, msgspec.structs.replace(entry.phrase, text="")), []).append(index)
    lines = [
        f"{MARK} from {' '.join(source.split())}.",
        "# The next import into this file replaces it; the one before is kept beside it.",
        "",
    ]
    owner: dict[int, int] = {}
    for (category, settings), members in groups.items():
        lines += ["[[keyword_sets]]", f"category = {quoted(category)}"]
        for name in settings.__struct_fields__:
            value = getattr(settings, name)
            if name != "text" and value != getattr(_DEFAULTS, name):
                lines.append(f"{_KEYS.get(name, name)} = {_value(value)}")
        lines.append("words = [")
        for index in members:
            lines.append(f"  {quoted(entries[index].phrase.text)},")
            owner[len(lines)] = index
        lines += ["]", ""]
    return "\n".join(lines), owner


def quoted(text: str) -> str:
    """Return a text as a basic string of TOML 1.0."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(quoted(one) for one in value)}]"
    return quoted(value) if isinstance(value, str) else str(value)
