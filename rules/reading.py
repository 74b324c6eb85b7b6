"""Check a TOML text against the schema: every fault with its line, nothing but `PolicyError` for bad input."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from rules.kinds import Kind
from rules.problems import PolicyError, Problem
from rules.schema import REQUIRED, Section
from rules.toml_lines import LineMap, Path

MAX_CHARACTERS = 8_000_000
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)")
_MAX_PROBLEMS = 100


class Reader:
    """One file being read: its line numbers and the problems found so far."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        if len(text) > MAX_CHARACTERS:
            raise PolicyError([Problem(file, 0, f"The file is longer than {MAX_CHARACTERS:,} characters.")])
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            found = _TOML_LINE.search(str(error))
            line = int(found[1]) if found else (text.count("\n") + 1 if "end of document" in str(error) else 0)
            reason = _TOML_LINE.sub("", str(error)).removesuffix("(at end of document)").strip()
            raise PolicyError([Problem(file, line, f"This is not valid TOML: {reason}.")]) from None
        self.lines = LineMap(text)

    def fault(self, path: Path, message: str) -> None:
        """Note a problem at the line of a key or list item."""
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(self.file, self.lines.line_of(path), message))

    def finish(self) -> None:
        """Raise `PolicyError` when anything was wrong."""
        if self.problems:
            raise PolicyError(sorted(self.problems, key=lambda problem: problem.line))

    def section(self, section: Section, table: object, path: Path) -> dict[str, Any]:
        """Return the values of one table, defaults filled in; inner tables under their own keys.

        A wrong value is noted and read as None, so that one pass finds every fault: call `finish` before use.
        """
        if not isinstance(table, dict):
            self.fault(path, f"{dotted(path)} has to be a table.")
            table = {}
        known = [setting.key for setting in section.settings] + [inner.key for inner in section.sections]
        for key in table:
            if key not in known:
                self.fault(
                    (*path, key), f'There is no key "{key}" in {_place(path)}.{did_you_mean(key, known)} The keys are: {", ".join(known)}.'
                )
        values: dict[str, Any] = {}
        for setting in section.settings:
            given = table.get(setting.key, setting.default)
            if given is REQUIRED:
                self.fault(path, f'The key "{setting.key}" is missing in {_place(path)}: {setting.doc}')
                given = None
            values[setting.key] = None if given is None else self._value(setting.kind, given, (*path, setting.key))
        for inner in section.sections:
            values[inner.key] = self._inner(inner, table.get(inner.key), (*path, inner.key))
        return values

    def _inner(self, section: Section, given: object, path: Path) -> Any:
        if section.shape == "table":
            return self.section(section, {} if given is None else given, path)
        if section.shape == "named":
            if given is not None and not isinstance(given, dict):
                self.fault(path, f"{dotted(path)} has to hold one table per name, for example [{dotted(path)}.name].")
                given = None
            return {name: self.section(section, table, (*path, name)) for name, table in (given or {}).items()}
        if given is not None and not isinstance(given, list):
            self.fault(path, f"{dotted(path)} has to be written with double brackets: [[{dotted(path)}]].")
            given = None
        return [self.section(section, table, (*path, index)) for index, table in enumerate(given or [])]

    def _value(self, kind: Kind, given: object, path: Path) -> Any:
        try:
            value = kind.read(given)
        except ValueError as error:
            self.fault(path, f"{dotted(path)}: {error}")
            return None
        if kind.item is None:
            return value
        if isinstance(value, dict):
            return {key: self._value(kind.item, item, (*path, key)) for key, item in value.items()}
        assert isinstance(value, list)
        return [self._value(kind.item, item, (*path, index)) for index, item in enumerate(value)]


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for a likely slip of the pen, or an empty text."""
    near = difflib.get_close_matches(key[:100], list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def dotted(path: Path) -> str:
    """Return a path as people write it: `groups.staff.timed[1].days`, counted from 1."""
    text = ""
    for key in path:
        text += f"[{key + 1}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _place(path: Path) -> str:
    return f"[{dotted(path)}]" if path else "the top of the file"
