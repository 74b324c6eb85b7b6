"""Alerts in the casework database: drafts join what is open, people acknowledge and record an outcome."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.columns import keys_of
from analyser.casework.models import Alert, AlertEvent, Outcome
from analyser.casework.people import Actor
from analyser.detect.draft import AlertDraft
from analyser.schema import FOLD_SECONDS
from analyser.store import iso
from rules.event import Event

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
SHOWN_EVENTS: Final = 200
"""References kept for one alert; beyond it only the count grows."""
NOTE_CHARACTERS: Final = 5000


class AlertError(ValueError):
    """What was asked of an alert can't be done; the message is one sentence for a person."""

    def __init__(self, sentence: str, *, code: str = "invalid") -> None:
        super().__init__(sentence)
        self.code = code
        """`invalid`, `not-found` or `closed`."""


def apply(session: Session, draft: AlertDraft, *, now: float | None = None) -> Alert:
    """Join the draft to the alert that is open for the same thing, or make a new one.

    A rise in level opens an acknowledged alert again. Repeated blocks in a theme for which a grave match of the same
    subject is open join that one, so that one story is one alert. A closed alert is never touched.
    """
    at = moment(now)
    alert = _open_alert(session, draft)
    if alert is None:
        alert = Alert(
            kind=draft.kind, status="open", level=draft.level, theme=draft.theme, subject=draft.subject,
            subject_key=_subject_key(session, draft), subject_kind=draft.subject_kind, group=draft.group, why=draft.why,
            first_event=min((e.time for e in draft.events), default=draft.time), last_event=draft.time, event_count=0, created=at,
            changed=at, revision=next_revision(session),
        )  # fmt: skip
        session.add(alert)
        session.flush()
    else:
        if draft.level > alert.level and alert.status == "acknowledged":
            alert.status = "open"
            audit.append(session, "gateway", "alert.reopen", f"alert:{alert.id}", {"from": alert.level, "to": draft.level}, now=now)
        if draft.level >= alert.level:
            alert.why = draft.why
        alert.level = max(alert.level, draft.level)
        alert.first_event = min([alert.first_event, *(e.time for e in draft.events)])
        alert.last_event = max(alert.last_event, draft.time)
        alert.changed, alert.revision = at, next_revision(session)
    _attach(session, alert, draft.events)
    if not draft.events:
        alert.event_count += 1
    session.flush()
    return alert


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
    session: Session, actor: Actor, alert_id: int, *, triage: str, actions: Sequence[str], note: str = "", now: float | None = None
) -> Alert:
    """Close an alert with what was found and done; a closed one takes a further outcome as a correction."""
    alert = _found(session, alert_id)
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
    if alert.status != "closed":
        alert.status, alert.closed_at = "closed", at
    alert.changed, alert.revision = at, next_revision(session)
    audit.append(session, actor.written, "alert.outcome", f"alert:{alert.id}", {"triage": triage, "actions": chosen}, now=now)
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


def _open_alert(session: Session, draft: AlertDraft) -> Alert | None:
    kinds = ("repeated-blocks", "grave-match") if draft.kind == "repeated-blocks" else (draft.kind,)
    query = select(Alert).where(
        Alert.kind.in_(kinds), Alert.theme == draft.theme, Alert.subject_key == _subject_key(session, draft),
        Alert.status.in_(("open", "acknowledged")),
    )  # fmt: skip
    found = list(session.scalars(query.order_by(Alert.id.desc())))
    return min(found, key=lambda alert: alert.kind != draft.kind, default=None)


def _subject_key(session: Session, draft: AlertDraft) -> bytes:
    return keys_of(session).digest(f"{draft.subject_kind}:{draft.subject}")


def _attach(session: Session, alert: Alert, events: Sequence[Event]) -> None:
    """Add references to events; a search and the autocomplete calls before it are one reference and count once."""
    if not events:
        return
    known = set(session.scalars(select(AlertEvent.event_id).where(AlertEvent.alert_id == alert.id)))
    kept = len(known)
    newest = select(AlertEvent).where(AlertEvent.alert_id == alert.id).order_by(AlertEvent.time.desc(), AlertEvent.id.desc()).limit(1)
    last = session.scalar(newest)
    for event in events:
        if event.id in known:
            continue
        known.add(event.id)
        summary = msgspec.json.encode(_summary(event)).decode()
        if last is not None and _same_search(msgspec.json.decode(last.summary), last.time, event):
            last.event_id, last.time, last.summary = event.id, event.time, summary
            session.flush()
            continue
        alert.event_count += 1
        if kept < SHOWN_EVENTS:
            last = AlertEvent(alert_id=alert.id, event_id=event.id, time=event.time, summary=summary)
            session.add(last)
            kept += 1


def _same_search(last: dict[str, Any], last_time: float, event: Event) -> bool:
    if not (last.get("search_partial") and event.search and last.get("domain") == event.registrable_domain):
        return False
    term, before = event.search.strip().lower(), str(last["search"]).strip().lower()
    related = term.startswith(before) or before.startswith(term)
    return related and 0 <= event.time - last_time <= FOLD_SECONDS and event.level >= int(last["level"])


def _summary(event: Event) -> dict[str, Any]:
    return {
        "user": event.user, "client_address": event.client_address, "device": event.device, "room": event.room, "group": event.group,
        "identity_source": event.identity_source, "host": event.host, "domain": event.registrable_domain, "path": event.path,
        "search": event.search, "search_partial": event.search_partial, "page": event.page, "action": event.action, "reason": event.reason,
        "category": event.category, "level": event.level, "list": event.list, "rule": event.rule, "matches": list(event.matches),
        "excerpt": event.excerpt, "url_digest": event.url_digest, "fault": event.fault, "worker": event.worker,
    }  # fmt: skip


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
