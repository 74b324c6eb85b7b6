"""The moment at which something happens: now, unless a test or a replay says otherwise."""

import time


def moment(now: float | None = None) -> float:
    """Return `now`, or the time of the clock, in seconds since the epoch (UTC)."""
    return time.time() if now is None else now
