"""Detector: the gateway itself is not well; each cause is one alert."""

from collections.abc import Sequence

from analyser.detect.draft import AlertDraft
from rules.decision import Reason
from rules.event import Event

CAUSES = {
    "worker": 3,
    "rules": 3,
    "sealed": 4,
    "spool": 3,
    "store": 4,
    "disk": 3,
    "fault": 3,
    "lists": 2,
}
"""Cause → level. `fault` is an error while a request was decided: the request was stopped."""


def condition(cause: str, why: str, at: float, *, level: int | None = None) -> AlertDraft:
    """Draft an alert for a condition that was found outside the events, for example a dead worker."""
    return AlertDraft("gateway-fault", level or CAUSES[cause], f"gateway-{cause}", "the gateway", "gateway", "", why, at)


def faults(events: Sequence[Event]) -> list[AlertDraft]:
    """Draft alerts for requests that the gateway stopped because something of its own failed."""
    failed = [event for event in events if event.fault or event.action == "error" or event.reason == Reason.FAULT]
    if not failed:
        return []
    by_cause: dict[str, list[Event]] = {}
    for event in failed:
        by_cause.setdefault(_cause(event), []).append(event)
    drafts = []
    for cause, same in by_cause.items():
        what = next((event.fault for event in same if event.fault), "an error of its own")
        workers = ", ".join(sorted({event.worker for event in same}))
        why = f"The gateway ({workers}) reported: {what[:200].rstrip('.')}."
        if any(event.action == "error" for event in same):
            why += " It stopped the requests concerned."
        level = CAUSES[cause]
        drafts.append(
            AlertDraft(
                "gateway-fault", level, f"gateway-{cause}", "the gateway", "gateway", "", why, max(e.time for e in same), tuple(same)
            )
        )
    return drafts


def _cause(event: Event) -> str:
    text = event.fault.lower()
    if "sealed" in text:
        return "sealed"
    if "ruleset" in text or "policy" in text:
        return "rules"
    if "spool" in text or "dropped" in text:
        return "spool"
    return "fault"
