"""Which addresses belong to AI assistants: what people type there is a prompt (facts of the Matomo list, CC0)."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from blocklists.url import CanonicalUrl

STARTER_FILE = Path(__file__).with_name("data") / "ai_hosts.txt"
_PARAMS = frozenset({"q", "query", "prompt", "text", "message"})
"""Fields of an address in which assistants take a first prompt."""
_LONGEST_QUERY = 16_384


class Assistants:
    """Hosts of AI assistants; for any other host a look-up costs one cached call."""

    def __init__(self, entries: Iterable[str]) -> None:
        """`entries` are canonical hosts, or a host with a path that starts at its first "/"."""
        paths: dict[str, list[str]] = {}
        for entry in entries:
            host, slash, path = entry.partition("/")
            paths.setdefault(host, []).append(slash + path)
        self._paths = {host: tuple(found) for host, found in paths.items()}
        self._paths_of = lru_cache(maxsize=8_192)(self._find)

    @classmethod
    def load(cls, path: Path = STARTER_FILE) -> Self:
        """Read one entry a line, `#` for comments; raises `ValueError` with a sentence when the file can't be read."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The list of AI assistants {path} can't be read: {error}.") from None
        return cls(entry for line in lines if (entry := line.partition("#")[0].strip().lower()))

    def __len__(self) -> int:
        return len(self._paths)

    def covers(self, url: CanonicalUrl) -> bool:
        """Return whether the address belongs to an AI assistant: its host, or a parent of it, is listed, with its path if it has one."""
        paths = self._paths_of(url.host)
        if not paths:
            return False
        place = url.path.lower()
        return any(not path or place == path or place.startswith(path + "/") for path in paths)

    def prompt_of(self, url: CanonicalUrl) -> str | None:
        """Return the prompt that an assistant's address carries in its query, or None."""
        query = url.raw_query
        if not query or not self.covers(url):
            return None
        fields = parse_qsl(query[:_LONGEST_QUERY], max_num_fields=None, errors="replace")
        text = " ".join(value for name, value in fields[:200] if name.lower() in _PARAMS).strip()
        return text or None

    def _find(self, host: str) -> tuple[str, ...]:
        labels = host.split(".")
        found: list[str] = []
        for start in range(len(labels) - 1):
            found += self._paths.get(".".join(labels[start:]), ())
        return tuple(found)


ASSISTANTS = Assistants.load()
"""Where typed words are prompts."""
