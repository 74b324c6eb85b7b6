"""Days and times of the school week, in the school's own time zone."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_SPAN = re.compile(r"([a-z]{3})(?:\s*-\s*([a-z]{3}))?")
_TIME_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_MIDNIGHT = 24 * 60


class LocalTime(NamedTuple):
    """A moment in the school's week."""

    weekday: int
    """0 for Monday."""
    minute: int
    """Minutes since local midnight."""


class Schedule(msgspec.Struct, frozen=True):
    """Days of the week and spans of the day; a span that ends before it starts runs past midnight."""

    days: frozenset[int] = frozenset(range(7))
    spans: tuple[tuple[int, int], ...] = ((0, _MIDNIGHT),)

    def holds_at(self, now: LocalTime) -> bool:
        """True inside one of the spans: from its first minute until just before its last."""
        for start, end in self.spans:
            if start <= end:
                if now.weekday in self.days and start <= now.minute < end:
                    return True
            # The night belongs to the day on which it began.
            elif (now.minute >= start and now.weekday in self.days) or (now.minute < end and (now.weekday - 1) % 7 in self.days):
                return True
        return False


def read_days(text: str) -> frozenset[int]:
    """Read `mon`, `mon-fri` or `sat-mon`; raises `ValueError` with a sentence."""
    match = _DAY_SPAN.fullmatch(text.strip().lower())
    first, last = (match[1], match[2] or match[1]) if match else ("", "")
    if first not in DAYS or last not in DAYS:
        raise ValueError(f'"{text}" is not a day or a span of days; write for example "mon" or "mon-fri".')
    start, end = DAYS.index(first), DAYS.index(last)
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))


def read_times(text: str) -> tuple[int, int]:
    """Read `12:15-13:00` as minutes since midnight; raises `ValueError` with a sentence."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is not None:
        start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if start < _MIDNIGHT and end <= _MIDNIGHT and int(match[2]) < 60 and int(match[4]) < 60 and start != end:
            return start, end
    raise ValueError(f'"{text}" is not a span of time; write for example "12:15-13:00".')


def local_time(at: float, zone: ZoneInfo) -> LocalTime:
    """Return the school's weekday and minute for seconds since the epoch."""
    return _local_minute(int(at // 60), zone)


@lru_cache(maxsize=64)
def _local_minute(minute: int, zone: ZoneInfo) -> LocalTime:
    moment = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
    return LocalTime(moment.weekday(), moment.hour * 60 + moment.minute)
