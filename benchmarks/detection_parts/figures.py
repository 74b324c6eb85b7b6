"""Counts and shares with their 95 % intervals."""

import math
from dataclasses import dataclass
from typing import NamedTuple

_Z = 1.959963984540054


class Share(NamedTuple):
    """A share of a number of texts, with the limits of its 95 % interval (Wilson's score interval)."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing."""
        return self.hits / self.of if self.of else 0.0


def wilson(hits: int, of: int) -> Share:
    """Return a share with Wilson's interval, which holds also for few hits and for none."""
    if not of:
        return Share(0, 0, 0.0, 1.0)
    share, square = hits / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    # The ends stand on the share itself for none and for all, which rounding misses by a hair.
    return Share(hits, of, middle - half if hits else 0.0, middle + half if hits < of else 1.0)


@dataclass(slots=True)
class Counts:
    """What one system made of one set in one context."""

    harmful: int = 0
    found: int = 0
    """Harmful texts of which a person would hear."""
    harmless: int = 0
    alarms: int = 0
    """Harmless texts of which a person would hear."""
    blocked_harmless: int = 0
    blocked_harmful: int = 0

    def add(self, *, harmful: bool, heard: bool, blocked: bool) -> None:
        """Count one text."""
        if harmful:
            self.harmful += 1
            self.found += heard
            self.blocked_harmful += blocked
        else:
            self.harmless += 1
            self.alarms += heard
            self.blocked_harmless += blocked

    @property
    def recall(self) -> Share:
        """Share of the harmful texts of which a person would hear."""
        return wilson(self.found, self.harmful)

    @property
    def precision(self) -> Share:
        """Share of what a person would hear of that is harmful."""
        return wilson(self.found, self.found + self.alarms)

    @property
    def false_alarms(self) -> Share:
        """Share of the harmless texts of which a person would hear."""
        return wilson(self.alarms, self.harmless)

    @property
    def blocks(self) -> Share:
        """Share of the harmless texts that would be stopped."""
        return wilson(self.blocked_harmless, self.harmless)

    def as_json(self) -> dict[str, object]:
        """Return the figures as plain values; alarms and blocks are per 1,000 harmless texts."""

        def thousand(share: Share) -> list[float]:
            return [round(1000 * one, 3) for one in (share.value, share.low, share.high)]

        return {
            "harmful": self.harmful, "harmless": self.harmless,
            "recall": [round(one, 4) for one in (self.recall.value, self.recall.low, self.recall.high)],
            "precision": [round(one, 4) for one in (self.precision.value, self.precision.low, self.precision.high)],
            "false alerts per 1000": thousand(self.false_alarms), "blocks per 1000": thousand(self.blocks),
            "harmful blocked": self.blocked_harmful,
        }  # fmt: skip
