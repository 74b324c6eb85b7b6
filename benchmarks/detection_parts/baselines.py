"""Word lists that others use, scored as their documentation says; each returns whether a text would be found."""

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import daachorse

type System = Callable[[str], bool]

E2_LIMIT = 50
"""e2guardian's strictest documented `naughtynesslimit`: young children."""
_PHRASE = re.compile(r"<([^<>]+)>")


def ldnoobw(phrases: Path) -> tuple[System, System]:
    """Return the English list of LDNOOBW as whole words, and as parts of words."""
    words = sorted({line.strip().lower() for line in _members(phrases / "ldnoobw.tar.gz")["en"].splitlines() if line.strip()})
    whole = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)")
    part = re.compile("|".join(map(re.escape, words)))
    return (lambda text: whole.search(text.lower()) is not None), (lambda text: part.search(text.lower()) is not None)


class E2guardian:
    """e2guardian's English phrase lists by its weighted rule.

    Each phrase that stands in the text adds its weight once (`weightedphrasemode = 2`); of a combination `<a>,<b>` all
    parts have to be there; good phrases have negative weights; a text is blocked when the sum is greater than the limit,
    or when a banned phrase stands in it. Spaces in a phrase are part of it; marks and line ends count as spaces.
    """

    def __init__(self, phrases: Path, limit: int = E2_LIMIT) -> None:
        self._limit = limit
        self._rules: list[tuple[frozenset[str], int | None]] = []
        for name, text in _members(phrases / "e2guardian-lists.tar.gz").items():
            if name.startswith("phraselists/ukenglish/") and name.rpartition("/")[2] in ("weighted", "banned", "weighted_news"):
                self._rules += filter(None, map(self._rule, text.splitlines()))
        self._parts = sorted({part for parts, _ in self._rules for part in parts})
        self._automaton = daachorse.CharwiseDoubleArrayAhoCorasick(self._parts)
        self._by_part: dict[str, list[int]] = {}
        for number, (parts, _) in enumerate(self._rules):
            for part in parts:
                self._by_part.setdefault(part, []).append(number)

    def __call__(self, text: str) -> bool:
        """Return whether the text would be blocked."""
        plain = f" {' '.join(re.sub(r'[^\w/.:@-]+|[.:](?=\s|$)', ' ', text.lower()).split())} "
        there = {self._parts[number] for _, _, number in self._automaton.find_overlapping(plain)}
        total = 0
        for number in {number for part in there for number in self._by_part[part]}:
            parts, weight = self._rules[number]
            if parts <= there:
                if weight is None:
                    return True
                total += weight
        return total > self._limit

    @staticmethod
    def _rule(line: str) -> tuple[frozenset[str], int | None] | None:
        line = line.strip()
        if not line.startswith("<"):
            return None
        parts = [part.lower() for part in _PHRASE.findall(line.partition("#")[0])]
        weight: int | None = None
        if len(parts) > 1 and re.fullmatch(r"-?\d+", parts[-1]):
            weight = int(parts.pop())
        parts = [part for part in parts if part.strip()]
        return (frozenset(parts), weight) if parts else None


def _members(path: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as text:
                    found[member.name.removeprefix("./")] = text.read()
    return found
