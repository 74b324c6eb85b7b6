"""Detector: one subject is blocked again and again in one theme."""

from analyser.detect.draft import AlertDraft, ThemeOf, about, named, subject_of
from analyser.detect.window import Window
from rules.decision import Reason
from rules.event import Event

_COUNTED = frozenset({Reason.LIST, Reason.SCHOOL_DENY, Reason.TYPED_TEXT, Reason.PAGE_TEXT, Reason.HOST_WORDS})
SUSTAINED = 3
"""This many times the threshold makes it sustained, one level up."""


def repeated_blocks(event: Event, theme_of: ThemeOf, window: Window[tuple[str, str, str]], threshold: int) -> AlertDraft | None:
    """Draft an alert once `threshold` page-level blocks of one subject and theme lie within the window.

    Images, scripts and calls of a page don't count: one page with twenty blocked adverts is one page. The level is
    one above the gravest event's, two above when it is sustained, at least 2, and by repetition at most 4.
    """
    if event.action != "block" or not event.page or event.reason not in _COUNTED:
        return None
    theme = theme_of(event.category)
    kind, subject = subject_of(event)
    recent = window.add((kind, subject, theme), event)
    if len(recent) < threshold:
        return None
    gravest = max(e.level for e in recent)
    risen = gravest + 1 + (len(recent) >= SUSTAINED * threshold)
    level = max(2, gravest, min(risen, 4))
    hosts = list(dict.fromkeys(e.host for e in recent if e.host))
    shown = ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
    minutes = max(1, round((recent[-1].time - recent[0].time) / 60))
    pages = "pages that the school closed itself" if theme == "school" else f"pages about {about(theme)}"
    why = f"{named(event)} was blocked {len(recent)} times within {minutes} minute{'s' if minutes > 1 else ''} on {pages}"
    # The crossing brings everything seen so far; later blocks come one by one, and join.
    events = tuple(recent) if len(recent) == threshold else (event,)
    return AlertDraft("repeated-blocks", level, theme, subject, kind, event.group, f"{why}: {shown}.", recent[-1].time, events)
