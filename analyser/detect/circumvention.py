"""Detector: somebody tries to get around the filter; the attempts of one subject are one alert."""

from analyser.detect.draft import AlertDraft, ThemeOf, named, subject_of
from analyser.detect.window import Window
from rules.decision import Reason
from rules.event import Event

_REASONS = frozenset({Reason.HOST_MISMATCH, Reason.ADDRESS_LITERAL})
BYPASS_CATEGORY = "filter-bypass"
BYPASS_THEME = "bypass"
QUIET_ATTEMPTS = 3
"""Attempts by programs (calls, not pages) that are worth an alert; a page that a person opened is worth one at once."""
RISES = ((10, 4), (3, 3), (1, 2))
"""(attempts in the window, level), the gravest first."""


def circumvention(event: Event, theme_of: ThemeOf, window: Window[tuple[str, str]]) -> AlertDraft | None:
    """Draft an alert for attempts to use a proxy, VPN, foreign resolver, bare address or false host name."""
    if not (event.reason in _REASONS or (event.action in ("block", "warn") and _bypass(event, theme_of))):
        return None
    kind, subject = subject_of(event)
    recent = window.add((kind, subject), event)
    pages = sum(1 for e in recent if e.page)
    if pages == 0 and len(recent) < QUIET_ATTEMPTS:
        return None
    level = max(next(level for count, level in RISES if len(recent) >= count), min(event.level, 5))
    hosts = list(dict.fromkeys(e.host for e in recent if e.host))
    shown = f", last at {hosts[-1]}" if hosts else ""
    times = "once" if len(recent) == 1 else f"{len(recent)} times"
    why = f"{named(event)} tried {times} to get around the filter{shown}; it was blocked."
    first = len(recent) == 1 or (pages == 0 and len(recent) == QUIET_ATTEMPTS) or (event.page and pages == 1)
    return AlertDraft(
        "circumvention", level, BYPASS_THEME, subject, kind, event.group, why, recent[-1].time, tuple(recent) if first else (event,)
    )


def _bypass(event: Event, theme_of: ThemeOf) -> bool:
    return any(
        category == BYPASS_CATEGORY or theme_of(category) == BYPASS_THEME for category in (event.category, *event.categories) if category
    )
