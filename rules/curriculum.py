"""Help sites and works that schools teach from: on their pages a match weighs fewer levels than elsewhere."""

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

from blocklists.url import CanonicalUrl, UrlError, canonical_host

STARTER_FILE = Path(__file__).with_name("data") / "curriculum_hosts.txt"
MOST = 3
"""Levels that one entry may take away."""
GRAVEST = 5
LEAST_OF_GRAVEST = 4
"""A level 5 falls no lower: it stays something that a person hears of at once."""


class CurriculumHosts:
    """Hosts, or hosts with a path, and by how many levels they lower a match; for any other host one cached call."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        """`entries` are a canonical host, with a path from its first "/" where it has one, and the levels."""
        places: dict[str, list[tuple[str, int]]] = {}
        for entry, levels in entries:
            host, slash, path = entry.partition("/")
            places.setdefault(host, []).append((slash + path, levels))
        self._places = {host: tuple(found) for host, found in places.items()}
        self._places_of = lru_cache(maxsize=8_192)(self._find)

    @classmethod
    def load(cls, path: Path = STARTER_FILE) -> Self:
        """Read `LEVELS HOST[/PATH]` a line, `#` for comments; raises `ValueError` with file and line when that can't be done."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The list of help and curriculum hosts {path} can't be read: {error}.") from None
        return cls(entry for number, line in enumerate(lines, 1) if (entry := _entry(line, f"{path}:{number}")) is not None)

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def lowers_at(self, url: CanonicalUrl) -> int:
        """Return by how many levels a match on the address is lowered: 0 for most addresses, else 1 to 3."""
        places = self._places_of(url.host)
        if not places:
            return 0
        at = url.path.lower()
        return max((levels for path, levels in places if not path or at == path or at.startswith(path + "/")), default=0)

    def _find(self, host: str) -> tuple[tuple[str, int], ...]:
        labels = host.removesuffix(".").split(".")
        found: list[tuple[str, int]] = []
        for start in range(len(labels) - 1):
            found += self._places.get(".".join(labels[start:]), ())
        return tuple(found)


def lowers_at(url: CanonicalUrl) -> int:
    """Return by how many levels a match on the address is lowered, by the list that comes with Schoolgate."""
    return starter_hosts().lowers_at(url)


def lowered(level: int, levels: int) -> int:
    """Return a level that is lowered by so many: never below 1, and a level 5 never below 4."""
    if levels <= 0:
        return level
    return max(level - levels, LEAST_OF_GRAVEST if level >= GRAVEST else min(level, 1))


@cache
def starter_hosts() -> CurriculumHosts:
    """Return the hosts that come with Schoolgate."""
    return CurriculumHosts.load()


def _entry(line: str, place: str) -> tuple[str, int] | None:
    text = line.partition("#")[0].strip()
    if not text:
        return None
    levels, _, address = text.partition(" ")
    host, slash, path = address.strip().lower().partition("/")
    try:
        if not levels.isascii() or not levels.isdigit() or not 1 <= int(levels) <= MOST or canonical_host(host) != host or "." not in host:
            raise ValueError
    except (UrlError, ValueError):
        raise ValueError(f"{place}: write a number from 1 to {MOST}, a space, and a host or host/path in lower case.") from None
    return host + (slash + path.rstrip("/") if path.strip("/") else ""), int(levels)
