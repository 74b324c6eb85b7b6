"""Alerts in the casework database, as people meet them: listed, read, acknowledged, closed with an outcome."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.models import Alert, Outcome
from analyser.casework.people import Actor
from analyser.store import iso

TRIAGE: Final = ("true_positive", "false_positive", "unclear")
ACTIONS: Final = (
    # About a pupil (requirement SEED-07 of the standards).
    "class_teacher", "head_of_department", "headteacher", "police_social_work", "la_technical", "inform_parents",
    "remove_network_access", "warning", "further_sanction",
    # About a member of staff (SEED-08).
    "line_manager", "la_mat_hr", "police", "technical_support", "suspension", "disciplinary",
    # About neither: nothing to do, or the gateway itself was put right.
    "no_action", "gateway_fixed",
)  # fmt: skip
STATUSES: Final = ("open", "acknowledged", "closed")
NOTE_CHARACTERS: Final = 5000


class AlertError(ValueError):
    """What was asked of an alert can't be done; the message is one sentence for a person."""

    def __init__(self, sentence: str, *, code: str = "invalid") -> None:
        super().__init__(sentence)
        self.code = code
        """`invalid`, `not-found` or `closed`."""


def acknowledge(session: Session, actor: Actor, alert_id: int, *, now: float | None = None) -> Alert:
    """Write down that somebody looks after the alert; doing it again changes nothing."""
    alert = _found(session, alert_id)
    if alert.status == "closed":
        raise AlertError("This alert is closed already.", code="closed")
    if alert.status == "open":
        alert.status, alert.acknowledged_by, alert.acknowledged_at = "acknowledged", actor.written, moment(now)
        alert.changed, alert.revision = moment(now), next_revision(session)
        audit.append(session, actor.written, "alert.acknowledge", f"alert:{alert.id}", {"level": alert.level}, now=now)
        session.flush()
    return alert


def record_outcome(
    session: Session, actor: Actor, alert_id: int, *, triage: str, actions: Sequence[str], note: str = "", correction: bool = False,
    now: float | None = None,
) -> Alert:  # fmt: skip
    """Close an alert with what was found and done; a closed one takes a further outcome only as a `correction`."""
    alert = _found(session, alert_id)
    if alert.status == "closed" and not correction:
        raise AlertError("This alert is closed already; look at what was recorded, and add to it as a correction.", code="closed")
    if triage not in TRIAGE:
        raise AlertError(f"An outcome says triage: one of {', '.join(TRIAGE)}.")
    chosen = list(dict.fromkeys(actions))
    unknown = [action for action in chosen if action not in ACTIONS]
    if not chosen or unknown:
        wrong = f" ({', '.join(unknown)!r} is none)" if unknown else ""
        raise AlertError(f"An outcome names at least one action{wrong}: {', '.join(ACTIONS)}.")
    if "no_action" in chosen and len(chosen) > 1:
        raise AlertError("“no_action” can't stand beside another action.")
    if len(note) > NOTE_CHARACTERS:
        raise AlertError(f"A note has at most {NOTE_CHARACTERS} characters.")
    at = moment(now)
    session.add(
        Outcome(
            alert_id=alert.id,
            triage=triage,
            actions=msgspec.json.encode(chosen).decode(),
            note=note.strip(),
            recorded_by=actor.written,
            recorded=at,
        )
    )
    if alert.acknowledged_at is None:
        alert.acknowledged_by, alert.acknowledged_at = actor.written, at
    closed = alert.status == "closed"
    if not closed:
        alert.status, alert.closed_at = "closed", at
    alert.changed, alert.revision = at, next_revision(session)
    audit.append(
        session, actor.written, "alert.outcome", f"alert:{alert.id}", {"triage": triage, "actions": chosen, "correction": closed}, now=now
    )
    session.flush()
    session.expire(alert, ["outcomes"])
    return alert


def find(
    session: Session, *, status: str | None = None, level_min: int | None = None, after_revision: int | None = None, limit: int = 200
) -> list[Alert]:
    """Return alerts, the gravest and newest first; with `after_revision`, those changed since, in order of change."""
    if status is not None and status not in STATUSES:
        raise AlertError(f"There is no status {status!r}; choose one of {', '.join(STATUSES)}.")
    query = select(Alert).limit(limit)
    if status is not None:
        query = query.where(Alert.status == status)
    if level_min is not None:
        query = query.where(Alert.level >= level_min)
    if after_revision is not None:
        query = query.where(Alert.revision > after_revision).order_by(Alert.revision)
    else:
        query = query.order_by(Alert.level.desc(), Alert.last_event.desc(), Alert.id.desc())
    return list(session.scalars(query))


def get(session: Session, alert_id: int) -> Alert:
    """Return an alert with its events and outcomes; raises AlertError with code `not-found`."""
    query = select(Alert).where(Alert.id == alert_id).options(selectinload(Alert.events), selectinload(Alert.outcomes))
    alert = session.scalar(query)
    if alert is None:
        raise AlertError(f"There is no alert {alert_id}.", code="not-found")
    return alert


def view(alert: Alert) -> dict[str, Any]:
    """Return the alert as lists, the API and the event stream show it; times are ISO 8601."""
    return {
        "id": alert.id, "kind": alert.kind, "status": alert.status, "level": alert.level, "theme": alert.theme, "subject": alert.subject,
        "subject_kind": alert.subject_kind, "group": alert.group, "why": alert.why, "event_count": alert.event_count,
        "first_event": iso(alert.first_event), "last_event": iso(alert.last_event), "created": iso(alert.created),
        "changed": iso(alert.changed), "revision": alert.revision, "acknowledged_by": alert.acknowledged_by,
        "acknowledged_at": _iso(alert.acknowledged_at), "closed_at": _iso(alert.closed_at),
    }  # fmt: skip


def full_view(alert: Alert) -> dict[str, Any]:
    """Return the alert with the events behind it and its outcomes; from `get`."""
    events = [{"id": e.event_id, "time": iso(e.time)} | msgspec.json.decode(e.summary) for e in alert.events]
    outcomes = [
        {
            "triage": o.triage, "actions": msgspec.json.decode(o.actions), "note": o.note, "recorded_by": o.recorded_by,
            "recorded": iso(o.recorded),
        }
        for o in alert.outcomes
    ]  # fmt: skip
    return view(alert) | {"events": events, "outcomes": outcomes}


def latest_revision(session: Session) -> int:
    """Return the number of the newest change of any alert."""
    return session.scalar(select(func.coalesce(func.max(Alert.revision), 0))) or 0


def next_revision(session: Session) -> int:
    """Return the next change's number; the session's write lock makes it unique."""
    session.flush()
    return latest_revision(session) + 1


def _found(session: Session, alert_id: int) -> Alert:
    alert = session.get(Alert, alert_id, with_for_update=True)
    if alert is None:
        raise AlertError(f"There is no alert {alert_id}.", code="not-found")
    return alert


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
