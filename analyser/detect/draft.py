"""What detectors give: a draft of an alert, with the events behind it and one sentence why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rules.event import Event

type ThemeOf = Callable[[str], str]
"""Policy category → theme as the DSL sees it."""


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """An alert that should be, before it is joined with what is open."""

    kind: Literal["grave-match", "sealed-hit", "repeated-blocks", "circumvention", "gateway-fault"]
    level: int
    theme: str
    subject: str
    subject_kind: Literal["user", "address", "gateway"]
    group: str
    why: str
    """One sentence in plain English."""
    time: float
    """Seconds since the epoch: of the newest event."""
    events: tuple[Event, ...] = field(default=())

    @property
    def joins(self) -> tuple[str, str, str, str]:
        """Drafts with the same value are about the same thing."""
        return self.kind, self.theme, self.subject_kind, self.subject


def subject_of(event: Event) -> tuple[Literal["user", "address"], str]:
    """Return who an event is about: the user where one is known, otherwise the device's address."""
    return ("user", event.user) if event.user else ("address", event.client_address)


def named(event: Event) -> str:
    """Return the subject as a sentence begins with it."""
    kind, name = subject_of(event)
    who = name if kind == "user" else f"Somebody at {name}"
    place = ", ".join(part for part in (event.group, event.room) if part)
    return f"{who} ({place})" if place else who


def about(theme: str) -> str:
    """Return a theme as a sentence speaks of it."""
    return theme.replace("-", " ").replace("_", " ") or "other blocked pages"


def merged(drafts: list[AlertDraft]) -> list[AlertDraft]:
    """Make one draft of those that join each other: the gravest one's level and sentence, the events of all."""
    groups: dict[tuple[str, str, str, str], list[AlertDraft]] = {}
    for draft in drafts:
        groups.setdefault(draft.joins, []).append(draft)
    result = []
    for same in groups.values():
        lead = max(same, key=lambda draft: (draft.level, draft.time))
        events = {event.id: event for draft in same for event in draft.events}
        ordered = tuple(sorted(events.values(), key=lambda event: (event.time, event.id)))
        result.append(
            AlertDraft(
                lead.kind,
                lead.level,
                lead.theme,
                lead.subject,
                lead.subject_kind,
                lead.group,
                lead.why,
                max(draft.time for draft in same),
                ordered,
            )
        )
    return result
