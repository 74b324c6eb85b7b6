"""The automaton behind the keyword sets: every pattern in one pass over the bytes of a text."""

from collections.abc import Mapping, Sequence

import daachorse


class Automaton[T]:
    """Finds byte patterns, each with what belongs to it; immutable, may be asked from any thread.

    A double array (daachorse) holds the states of an Aho-Corasick automaton in 12 bytes each, so that ten thousand
    phrases stay in the processor's cache while pages pass; `benchmarks/matchers.py` has the figures of others.
    """

    __slots__ = ("_automaton", "_values")

    def __init__(self, patterns: Mapping[bytes, Sequence[T]]) -> None:
        self._values = list(patterns.values())
        self._automaton = daachorse.DoubleArrayAhoCorasick(list(patterns)) if patterns else None

    def find(self, data: bytes) -> list[tuple[int, int, Sequence[T]]]:
        """Return start, end and values of every place of every pattern, overlapping ones too, in order of their ends."""
        if self._automaton is None:
            return []
        values = self._values
        return [(start, end, values[number]) for start, end, number in self._automaton.find_overlapping(data)]
