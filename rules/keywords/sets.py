"""Phrases as their authors wrote them: one entry per phrase, with weight, level, contexts and exclusions."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from rules.problems import PolicyError, Problem
from rules.reading import Reader
from rules.schema import KEYWORD_FILE

STARTER_FOLDER = Path(__file__).parent


class Phrase(msgspec.Struct, frozen=True):
    """One phrase."""

    text: str
    weight: int
    level: int
    contexts: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """It counts only with one of these near it."""
    unless: tuple[str, ...] = ()
    """It does not count with one of these near it."""


class KeywordSet(msgspec.Struct, frozen=True):
    """Phrases of one category."""

    category: str
    phrases: tuple[Phrase, ...]
    source: str = ""
    """Where the set stands: file and line, for explanations."""


def read_sets(reader: Reader, tables: list[dict[str, Any]]) -> Iterator[KeywordSet]:
    """Turn checked `[[keyword_sets]]` tables into sets."""
    for index, table in enumerate(tables):
        contexts, needs, unless = tuple(table["contexts"]), tuple(table["with"]), tuple(table["unless"])
        phrases = [Phrase(text, table["weight"], table["level"], contexts, needs, unless) for text in table["words"]]
        phrases += [
            Phrase(
                entry["text"],
                entry["weight"] if entry["weight"] is not None else table["weight"],
                entry["level"] if entry["level"] is not None else table["level"],
                tuple(entry["contexts"]) if entry["contexts"] is not None else contexts,
                (*needs, *entry["with"]),
                (*unless, *entry["unless"]),
            )
            for entry in table["phrases"]
        ]
        line = reader.lines.line_of(("keyword_sets", index))
        yield KeywordSet(table["category"], tuple(phrases), f"{reader.file}:{line}")


def check_phrases(reader: Reader, tables: list[dict[str, Any]]) -> None:
    """Note phrases in which nothing would be left to look for."""
    for index, table in enumerate(tables):
        path = ("keyword_sets", index)
        for number, text in enumerate(table["words"]):
            if not is_phrase(text):
                reader.fault((*path, "words", number), f'"{text}" has too few letters or digits to look for.')
        for number, entry in enumerate(table["phrases"]):
            if not is_phrase(entry["text"]):
                reader.fault((*path, "phrases", number), f'"{entry["text"]}" has too few letters or digits to look for.')


def is_phrase(text: str) -> bool:
    """True for a text with at least two letters or digits (one is enough outside ASCII) and at most 200 characters."""
    letters = [char for char in text if char.isalnum()]
    return len(text) <= 200 and (len(letters) >= 2 or any(not char.isascii() for char in letters))


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
