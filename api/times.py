"""Reads the times that people and programs write in a query, and shows times to people."""

import re
import time
from datetime import UTC, datetime, tzinfo

_AGO = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str, name: str, now: float | None = None) -> float:
    """Read `2026-11-22T09:00:00Z`, `1763802000` or `30m` (ago) as seconds since the epoch, UTC.

    Raises ValueError with a sentence that names the field. A time without a zone is UTC.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return (time.time() if now is None else now) - int(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if 0 <= seconds < 1e11:
            return seconds
        raise ValueError(f"“{name}” is out of range: give seconds since 1970, UTC.")
    try:
        # A "+" that was not percent-encoded arrives as a space.
        read = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text))
    except ValueError:
        raise ValueError(f"“{name}” is not a time: write 2026-11-22T09:00:00Z, seconds since 1970, or 30m for half an hour ago.") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def clock(at: float | str, zone: tzinfo = UTC) -> str:
    """Show a moment (seconds since the epoch, or ISO 8601 with a zone) to a person, for example `22 Nov 2026, 09:05:30`."""
    return _local(at, zone).strftime("%-d %b %Y, %H:%M:%S")


def day(at: float | str, zone: tzinfo = UTC) -> str:
    """Show the day of a moment to a person, for example `22 Nov 2026`."""
    return _local(at, zone).strftime("%-d %b %Y")


def _local(at: float | str, zone: tzinfo) -> datetime:
    return datetime.fromisoformat(at).astimezone(zone) if isinstance(at, str) else datetime.fromtimestamp(at, zone)


def iso(seconds: float) -> str:
    """Show a moment to a program, for example `2026-11-22T09:05:30.250Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
