"""Detector: a match of level 4 or more, or a hit in a sealed list, is an alert at once."""

from analyser.detect.draft import AlertDraft, ThemeOf, about, named, subject_of
from analyser.detect.window import Window
from rules.decision import Reason
from rules.event import Event
from rules.keywords.patterns import readable
from rules.policy_value import HELP_SEEKING

GRAVE_LEVEL = 4
DELIBERATE_HITS = 3
"""Hits of sealed lists within the window that make level 4 (may be an accident) a level 5 (a pattern)."""
DELIBERATE_SECONDS = 24 * 3600.0


def grave_match(event: Event, theme_of: ThemeOf, alert_level: int = GRAVE_LEVEL) -> AlertDraft | None:
    """Draft an alert for one event whose match is grave by itself, or with which a child asks for help."""
    asks = event.category == HELP_SEEKING and event.reason == Reason.TYPED_TEXT
    if (event.level < alert_level and not asks) or event.reason in (Reason.SEALED_LIST, Reason.FAULT) or event.action == "error":
        return None
    theme = theme_of(event.category)
    kind, subject = subject_of(event)
    outcome = {"block": "it was blocked", "warn": "a warning was shown"}.get(event.action, "it was not blocked")
    return AlertDraft(
        "grave-match",
        min(event.level, 5),
        theme,
        subject,
        kind,
        event.group,
        f"{named(event)} {_what(event, theme)}; {outcome}.",
        event.time,
        (event,),
    )


def sealed_hit(event: Event, window: Window[tuple[str, str]]) -> AlertDraft | None:
    """Draft an alert for a hit in a list of unlawful content; neither the sentence nor the event holds the address."""
    if event.reason != Reason.SEALED_LIST:
        return None
    kind, subject = subject_of(event)
    recent = window.add((kind, subject), event)
    pages = sum(1 for hit in recent if hit.page)
    level = 5 if pages >= DELIBERATE_HITS else 4
    times = f", {pages} times within a day" if pages > 1 else ""
    why = f"{named(event)} asked for an address on the list of unlawful content “{event.list}”{times}; it was blocked."
    return AlertDraft("sealed-hit", level, "illegal", subject, kind, event.group, why, event.time, (event,))


def _what(event: Event, theme: str) -> str:
    words = readable(event.matches[0]) if event.matches else ""
    if event.category == HELP_SEEKING and event.reason == Reason.TYPED_TEXT:
        return f"searched for “{_short(event.search)}”, and may be asking for help" if event.search else f"asked for help on {event.host}"
    if event.reason == Reason.TYPED_TEXT:
        if event.search:
            return f"searched for “{_short(event.search)}”, which speaks of {about(theme)}"
        return f"typed words about {about(theme)} on {event.host}" + (f" (“{_short(words)}”)" if words else "")
    if event.reason == Reason.PAGE_TEXT:
        read = "was sent an answer or a message on" if _streams(event) else "opened a page on"
        text = "that speaks" if _streams(event) else "whose text speaks"
        return f"{read} {event.host} {text} of {about(theme)}" + (f" (“{_short(words)}”)" if words else "")
    part = "asked for" if event.page else "asked for a part of a page from"
    why = f"whose name speaks of {about(theme)}" if event.reason == Reason.HOST_WORDS else f"which is listed under {about(theme)}"
    return f"{part} {event.host}, {why}"


def _streams(event: Event) -> bool:
    return event.method == "MESSAGE" or "event-stream" in event.media_type or "ndjson" in event.media_type


def _short(text: str, most: int = 120) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
