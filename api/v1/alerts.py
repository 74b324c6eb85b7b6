"""Alerts: list them, read one, take it on, record what was done."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from analyser import alerts
from analyser.casework import audit
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.looks import Reason, ReasonHeader, note_look, why
from api.permissions import Permission
from api.v1.bodies import OutcomeBody
from rules.matched import of_event

router = APIRouter(prefix="/api/v1/alerts")

Desk = Annotated[Console, Depends(console_of)]
Reader = Annotated[Person, Depends(Needs(Permission.READ_ALERTS))]
Handler = Annotated[Person, Depends(Needs(Permission.HANDLE_ALERTS))]


@router.get("")
def every(
    console: Desk,
    person: Reader,
    status: Literal["open", "acknowledged", "closed"] | None = None,
    level: Annotated[int | None, Query(ge=1, le=5)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    reason: Reason = None,
    x_reason: ReasonHeader = None,
) -> dict[str, Any]:
    """List alerts, the gravest and newest first; `level` is the lowest one wanted."""
    note_look(console, person, "alerts.read", "alerts", {"status": status or "all"}, reason, x_reason)
    with console.casework.reading() as session:
        found = alerts.find(session, status=status, level_min=level, limit=limit)
        return {"alerts": [alerts.view(alert) for alert in found], "revision": alerts.latest_revision(session)}


@router.get("/{alert_id}")
def one(console: Desk, person: Reader, alert_id: int, reason: Reason = None, x_reason: ReasonHeader = None) -> dict[str, Any]:
    """Show one alert with the events behind it and its outcomes; the look is audited."""
    return read_alert(console, person, alert_id, reason, x_reason)


@router.post("/{alert_id}/acknowledge")
def acknowledge(console: Desk, person: Handler, alert_id: int) -> dict[str, Any]:
    """Say that somebody looks after it."""
    return acknowledge_alert(console, person, alert_id)


@router.post("/{alert_id}/outcome")
def outcome(console: Desk, person: Handler, alert_id: int, body: OutcomeBody) -> dict[str, Any]:
    """Close an alert with what was found and done."""
    return record_outcome(console, person, alert_id, body)


# --- the same for pages ---------------------------------------------------------------------------------------------


def read_alert(console: Console, person: Person, alert_id: int, *reasons: str | None) -> dict[str, Any]:
    """Return one alert in full, and write down who looked at whom."""
    with refusing(), console.casework.session() as session:
        alert = alerts.get(session, alert_id)
        given = next((reason for reason in reasons if reason and reason.strip()), f"alert {alert_id}")
        detail = {"whom": alert.subject, "level": alert.level, "reason": why(person, given)}
        audit.append(session, person.actor, "alert.read", f"alert:{alert_id}", detail)
        view = alerts.full_view(alert)
    ruleset = console.ruleset()
    return view | {"events": [event | {"matched": of_event(event, ruleset)} for event in view["events"]]}


def acknowledge_alert(console: Console, person: Person, alert_id: int) -> dict[str, Any]:
    """Acknowledge."""
    with refusing(), console.casework.session() as session:
        return alerts.view(alerts.acknowledge(session, person.who, alert_id))


def record_outcome(console: Console, person: Person, alert_id: int, body: OutcomeBody) -> dict[str, Any]:
    """Record an outcome."""
    with refusing(), console.casework.session() as session:
        alerts.record_outcome(
            session, person.who, alert_id, triage=body.triage, actions=body.actions, note=body.note, correction=body.correction
        )
        return alerts.full_view(alerts.get(session, alert_id))


class refusing:  # noqa: N801  (reads as a statement: `with refusing():`)
    """Turn the casework's sentence into an answer with the right status."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, alerts.AlertError):
            status = {"not-found": 404, "closed": 409}.get(error.code, 422)
            raise RefusedError(status, str(error)) from error
