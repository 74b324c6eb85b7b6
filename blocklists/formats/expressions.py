"""Expressions, one a line: squidGuard's `expressions` and e2guardian's `bannedregexpurllist`. Never recognised, always asked for."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Entry, Item, Refused, Skipped
from blocklists.expressions import ExpressionError, checked_expression
from blocklists.formats.interface import Format, Options, lines_of
from blocklists.reading import Line


def read_expressions(lines: Iterable[Line]) -> Iterator[Item]:
    """Read patterns over "host/path?query", letter case aside; those that RE2 can't do are refused with their line."""
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif not text or text.startswith("#"):
            continue
        elif '"->"' in text or text.startswith(".Include<"):
            yield Skipped(line.number, text, "lines that rewrite addresses or read other files are not for a list that blocks")
        else:
            try:
                yield Entry(line.number, "expression", checked_expression(text))
            except ExpressionError as error:
                yield Refused(line.number, text, str(error))


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_expressions(lines_of(path))


EXPRESSIONS = Format("expressions", "patterns over whole addresses, as squidGuard's and e2guardian's", _read, text_only=False)
