"""A first glance at a search: whether any of its words could make the model speak; most searches are told by that alone."""

from pathlib import Path
from typing import Self

import msgspec


class Glance(msgspec.Struct, frozen=True):
    """Weights of single words, fitted to where the model speaks; see `rules.model.glancing`."""

    start: float
    """What a text without any known word has; below 0."""
    words: dict[str, float]
    made: dict[str, object] = {}
    """How it was fitted, and what it keeps and passes; nothing that the reader uses."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that training wrote; raises `OSError` or `msgspec.MsgspecError`."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def may_matter(self, plain: str) -> bool:
        """Return whether the model should read a text, given as `rules.model.reading.reading` has it."""
        words = self.words
        return self.start + sum([words[word] for word in words.keys() & set(plain.split())]) > 0
