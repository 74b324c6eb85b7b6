"""Expressions of squidGuard and e2guardian lists: patterns over "host/path?query", found in linear time by RE2.

Not loaded unless somebody asks: published expressions block on bare substrings such as "hot" or "teen". RE2 never
backtracks, so that no pattern and no address can hold a request up (github.com/google/re2, "WhyRE2").
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import re2

from blocklists.errors import IndexDamagedError, ListError
from blocklists.url import CanonicalUrl

LONGEST = 4_000
"""Characters of one expression."""
MOST = 1_000
"""Expressions of all lists together: each one more costs time on every request."""
MOST_CHARACTERS = 200_000
_MEMORY = 64 << 20
_PROBES = ("example.org/", "www.museum.example/opening/hours?day=2", "192.0.2.7/", "q-z.test/x_y.html")
_REMEMBERED = 4_096
_FORM = 1


class Expression(NamedTuple):
    """One pattern of one list, in one category."""

    list: str
    category: str
    pattern: str


class _Kept(msgspec.Struct, frozen=True):
    form: int
    expressions: tuple[tuple[str, str, str], ...]


class ExpressionError(ValueError):
    """The pattern can't be used; the message is the reason."""


class ExpressionIndex:
    """All expressions as one automaton; safe from several threads."""

    def __init__(self, expressions: Iterable[Expression] = ()) -> None:
        kept = tuple(expressions)
        patterns = tuple(dict.fromkeys(one.pattern for one in kept))
        if len(patterns) > MOST or sum(map(len, patterns)) > MOST_CHARACTERS:
            raise ListError(
                f"The lists hold {len(patterns):,} expressions of {sum(map(len, patterns)):,} characters; the gateway takes {MOST:,} of "
                f"{MOST_CHARACTERS:,}: load a list without --expressions."
            )
        self.expressions = kept
        self._by_pattern: dict[int, list[Expression]] = defaultdict(list)
        numbers = {pattern: number for number, pattern in enumerate(patterns)}
        for one in kept:
            self._by_pattern[numbers[one.pattern]].append(one)
        self._everything = len(patterns)
        self._find = lru_cache(_REMEMBERED)(self._search)
        if not patterns:
            return
        try:
            self._set = re2.Set.SearchSet(_options())
            for pattern in patterns:
                self._set.Add(pattern)
            # Matches always: an answer without it means that RE2 ran out of memory, which it does not say otherwise.
            self._set.Add("")
            self._set.Compile()
        except re2.error as error:
            raise ListError(f"The lists' expressions can't be put together ({_why(error)}); load a list without --expressions.") from error

    @property
    def count(self) -> int:
        """Number of expressions."""
        return len(self.expressions)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the compiled expressions; raises `IndexDamagedError` for a file that `write_expressions` did not write."""
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError) as error:
            raise IndexDamagedError(f"{path} can't be read ({error}); compile the lists again.") from error
        if kept.form != _FORM:
            raise IndexDamagedError(f"{path} has form {kept.form}; this version reads form {_FORM}: compile the lists again.")
        try:
            return cls(Expression(*one) for one in kept.expressions)
        except ListError as error:
            raise IndexDamagedError(str(error)) from error

    @classmethod
    def empty(cls) -> Self:
        """Return an index without expressions."""
        return cls()

    def find(self, url: CanonicalUrl) -> tuple[Expression, ...]:
        """Return the expressions that match the URL's "host/path?query". Raises `MemoryError` when they can't be asked."""
        return self._find(url.host + url.path_and_query) if self.expressions else ()

    def find_text(self, text: str) -> tuple[Expression, ...]:
        """Return the expressions that match a canonical "host/path?query"."""
        return self._find(text) if self.expressions else ()

    def _search(self, text: str) -> tuple[Expression, ...]:
        found = self._set.Match(text)
        if self._everything not in found:
            raise MemoryError("The lists' expressions need more memory than they may have; load a list without --expressions.")
        return tuple(one for number in sorted(found) if number != self._everything for one in self._by_pattern[number])


def checked_expression(text: str) -> str:
    """Return an expression as it is kept: printable ASCII without blanks; raises `ExpressionError` for one that can't be used."""
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST:,} characters")
    if not text.isascii() or not text.isprintable():
        raise ExpressionError("an expression is of printable ASCII characters: addresses are compared as they are sent, percent-encoded")
    pattern = text.replace(" ", r"\x20")
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        raise ExpressionError(f"RE2 can't read this expression ({_why(error)})") from None
    if all(compiled.search(probe) is not None for probe in _PROBES):
        raise ExpressionError("the expression would match everything")
    return pattern


def write_expressions(path: Path, expressions: Iterable[Expression]) -> None:
    """Write the file that `ExpressionIndex.open` reads, tried once; the caller renames it into place. Raises `ListError`."""
    kept = tuple(dict.fromkeys(expressions))
    ExpressionIndex(kept)
    path.write_bytes(msgspec.json.encode(_Kept(_FORM, tuple(tuple(one) for one in kept))))  # type: ignore[misc]


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False  # squidGuard compiles with REG_ICASE
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    return options


def _why(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason))[:200]
