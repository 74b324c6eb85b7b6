"""The automaton behind the keyword sets: every pattern in one pass over the bytes of a text."""

from collections.abc import Mapping, Sequence
from typing import Self

import daachorse


class Automaton[T]:
    """Finds byte patterns, each with what belongs to it; immutable, may be asked from any thread.

    A double array (daachorse) holds the states of an Aho-Corasick automaton in 12 bytes each, so that ten thousand
    phrases stay in the processor's cache while pages pass; `benchmarks/matchers.py` has the figures of others.
    """

    __slots__ = ("_automaton", "values")

    def __init__(self, patterns: Mapping[bytes, T]) -> None:
        self.values: Sequence[T] = list(patterns.values())
        self._automaton = daachorse.DoubleArrayAhoCorasick(list(patterns)) if patterns else None

    @classmethod
    def thawed(cls, frozen: bytes, values: Sequence[T]) -> Self:
        """Take an automaton that `frozen` gave, of the same version of the library: its bytes are believed."""
        made = cls({})
        made.values = values
        made._automaton = daachorse.DoubleArrayAhoCorasick.deserialize(frozen) if frozen else None
        return made

    def frozen(self) -> bytes:
        """Return the automaton as bytes, without the values; empty for one without patterns."""
        return bytes(self._automaton.serialize()) if self._automaton is not None else b""

    def find(self, data: bytes) -> list[tuple[int, int, T]]:
        """Return start, end and value of every place of every pattern, overlapping ones too, in order of their ends."""
        if self._automaton is None:
            return []
        values = self.values
        return [(start, end, values[number]) for start, end, number in self._automaton.find_overlapping(data)]
