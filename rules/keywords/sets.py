"""Phrases as their authors wrote them: one entry per phrase, with weight, level, contexts and exclusions."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from rules.keywords.patterns import PatternError, check
from rules.problems import PolicyError, Problem
from rules.reading import Reader
from rules.schema import KEYWORD_FILE

STARTER_FOLDER = Path(__file__).parent
_OVERRIDES = ("weight", "level", "contexts", "kind", "language", "loose", "lowers", "stops", "note")
"""Keys of a phrase that stand in the place of its set's."""


class Phrase(msgspec.Struct, frozen=True, omit_defaults=True):
    """One phrase."""

    text: str
    weight: int
    level: int
    contexts: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """It counts only with one of these near it."""
    unless: tuple[str, ...] = ()
    """It does not count with one of these near it."""
    kind: str = ""
    """What it is within its category, for example `far-right`."""
    language: str = "en"
    loose: bool = False
    """Also looked for in disguised spellings (`rules.disguises`)."""
    lowers: int = 0
    """Above 0 it weighs nothing: found beside others of its category it lowers their level by so much, never level 5."""
    stops: bool = True
    """False for what somebody should hear of and nobody is stopped for typing: despair, worry, disclosure."""
    note: str = ""


class KeywordSet(msgspec.Struct, frozen=True):
    """Phrases of one category."""

    category: str
    phrases: tuple[Phrase, ...]
    source: str = ""
    """Where the set stands: file and line, for explanations."""


def read_sets(reader: Reader, tables: list[dict[str, Any]]) -> Iterator[KeywordSet]:
    """Turn checked `[[keyword_sets]]` tables into sets."""
    for index, table in enumerate(tables):
        of_set = {key: table[key] for key in _OVERRIDES}
        needs, unless = tuple(table["with"]), tuple(table["unless"])
        phrases = [_phrase(text, of_set, needs, unless) for text in table["words"]]
        for entry in table["phrases"]:
            own = {key: entry[key] if entry[key] is not None else of_set[key] for key in _OVERRIDES}
            phrases.append(_phrase(entry["text"], own, (*needs, *entry["with"]), (*unless, *entry["unless"])))
        line = reader.lines.line_of(("keyword_sets", index))
        yield KeywordSet(table["category"], tuple(phrases), f"{reader.file}:{line}")


def _phrase(text: str, values: dict[str, Any], needs: tuple[str, ...], unless: tuple[str, ...]) -> Phrase:
    return Phrase(text, needs=needs, unless=unless, **{**values, "contexts": tuple(values["contexts"])})


def check_phrases(reader: Reader, tables: list[dict[str, Any]]) -> None:
    """Note phrases that can't be looked for: nothing would be left of them, or they unfold into too many."""
    for index, table in enumerate(tables):
        path = ("keyword_sets", index)
        texts = [((*path, key, number), text) for key in ("words", "with", "unless") for number, text in enumerate(table[key])]
        for number, entry in enumerate(table["phrases"]):
            inner = (*path, "phrases", number)
            texts += [(inner, entry["text"]), *((inner, text) for key in ("with", "unless") for text in entry[key])]
        for place, text in texts:
            if (fault := phrase_fault(text)) is not None:
                reader.fault(place, fault)


def phrase_fault(text: str) -> str | None:
    """Return one sentence on why the phrase can't be looked for, or None when it can."""
    try:
        check(text)
    except PatternError as error:
        return str(error)
    return None


def load_keyword_file(path: Path) -> tuple[KeywordSet, ...]:
    """Read one file of keyword sets; raises `PolicyError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError([Problem(str(path), 0, f"The keyword file can't be read: {error.strerror or error}.")]) from None
    except ValueError:
        raise PolicyError([Problem(str(path), 0, "The keyword file is not UTF-8 text.")]) from None
    return parse_keyword_file(text, str(path))


def parse_keyword_file(text: str, file: str) -> tuple[KeywordSet, ...]:
    """Check the text of a keyword file; raises `PolicyError`."""
    reader = Reader(text, file)
    values = reader.section(KEYWORD_FILE, reader.data, ())
    reader.finish()
    check_phrases(reader, values["keyword_sets"])
    reader.finish()
    return tuple(read_sets(reader, values["keyword_sets"]))


def frozen_sets(data: bytes) -> tuple[KeywordSet, ...]:
    """Read keyword sets as a ruleset folder keeps them, JSON; raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(data, type=tuple[KeywordSet, ...])


@lru_cache(maxsize=1)
def starter_sets() -> tuple[KeywordSet, ...]:
    """Return the sets that come with Schoolgate."""
    return tuple(one for path in sorted(STARTER_FOLDER.glob("*.toml")) for one in load_keyword_file(path))
