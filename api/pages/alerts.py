"""The pages of the safeguarding lead: the alert list, and one alert with everything behind it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from pydantic import ValidationError
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from analyser import alerts
from analyser.casework.clock import moment
from analyser.casework.models import Alert
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.labels import DECISIONS, GATEWAY_ACTIONS, PUPIL_ACTIONS, SENTENCES, STATES, TRIAGES, themes
from api.looks import note_look
from api.permissions import Permission
from api.render import page
from api.v1.alerts import acknowledge_alert, read_alert, record_outcome
from api.v1.bodies import OutcomeBody
from rules.matched import quote_of_event

router = APIRouter(prefix="/alerts")

Desk = Annotated[Console, Depends(console_of)]
Reader = Annotated[Person, Depends(Needs(Permission.READ_ALERTS))]
Handler = Annotated[Person, Depends(Needs(Permission.HANDLE_ALERTS))]

_SHOWN = 200
_DONE = {"acknowledged": "You look after the alert now; it stands under Acknowledged.", "recorded": "The outcome is recorded."}


@router.get("")
def every(request: Request, console: Desk, person: Reader, status: str = "open", done: str = "") -> Response:
    """Show the alerts of one state, the gravest first."""
    return _list(request, console, person, status, good=_DONE.get(done, ""))


@router.get("/{alert_id}")
def one(request: Request, console: Desk, person: Reader, alert_id: int, done: str = "") -> Response:
    """Show one alert."""
    return _one(request, console, person, alert_id, good=_DONE.get(done, ""))


@router.post("/{alert_id}/acknowledge")
def acknowledge(
    request: Request, console: Desk, person: Handler, alert_id: int, back: Annotated[str, Form(max_length=10)] = ""
) -> Response:
    """Take an alert on."""
    try:
        acknowledge_alert(console, person, alert_id)
    except RefusedError as error:
        return _list(request, console, person, "open", sentence=error.sentence, code=error.status)
    where = "/alerts" if back == "list" else f"/alerts/{alert_id}"
    return RedirectResponse(f"{where}?done=acknowledged", 303)


@router.post("/{alert_id}/outcome")
def outcome(
    request: Request, console: Desk, person: Handler, alert_id: int, triage: Annotated[str, Form(max_length=20)] = "",
    actions: Annotated[list[str] | None, Form(max_length=20)] = None, note: Annotated[str, Form(max_length=5000)] = "",
    correction: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Record an outcome."""
    form: dict[str, Any] = {"triage": triage, "actions": actions or [], "note": note, "correction": correction}
    try:
        record_outcome(console, person, alert_id, OutcomeBody.model_validate(form))
    except ValidationError:
        sentence = "Say what it was, choose at least one thing that was done, and write a note."
        return _one(request, console, person, alert_id, form=form, sentence=sentence, code=422)
    except RefusedError as error:
        return _one(request, console, person, alert_id, form=form, sentence=error.sentence, code=error.status)
    return RedirectResponse(f"/alerts/{alert_id}?done=recorded", 303)


def _list(
    request: Request, console: Console, person: Person, status: str, *, sentence: str = "", good: str = "", code: int = 200
) -> Response:  # fmt: skip
    chosen = status if status in STATES else "open"
    note_look(console, person, "alerts.read", "alerts", {"status": chosen}, "the alert list of the console")
    with console.casework.reading() as session:
        found = alerts.find(session, status=None if chosen == "all" else chosen, limit=_SHOWN)
        counting = select(Alert.status, func.count()).group_by(Alert.status)
        counted = dict.fromkeys(STATES, 0) | {str(row[0]): int(row[1]) for row in session.execute(counting)}
        revision = alerts.latest_revision(session)
    counts = counted | {"all": sum(counted.values())}
    return page(
        request, "alerts.html", status=code, alerts=found, counts=counts, states=STATES, chosen=chosen, revision=revision, now=moment(),
        themes=themes(console.policy()), sentence=sentence, good=good,
    )  # fmt: skip


def _one(
    request: Request, console: Console, person: Person, alert_id: int, *, form: dict[str, Any] | None = None, sentence: str = "",
    good: str = "", code: int = 200,
) -> Response:  # fmt: skip
    view = read_alert(console, person, alert_id)
    ruleset = console.ruleset()
    events = [
        event | {"at": _seconds(event["time"]), "sentence": _sentence(event), "quote": quote_of_event(event, ruleset)}
        for event in reversed(view["events"])
    ]
    return page(
        request, "alert.html", status=code, alert=view | {"last_event": _seconds(view["last_event"])}, events=events[:_SHOWN],
        timeline=_timeline(view), themes=themes(console.policy()), actions=DECISIONS, triages=TRIAGES,
        outcome_actions=GATEWAY_ACTIONS if view["subject_kind"] == "gateway" else PUPIL_ACTIONS,
        form=form or {"triage": "", "actions": [], "note": ""}, sentence=sentence, good=good,
    )  # fmt: skip


def _timeline(view: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what happened to the alert, oldest first."""
    steps = [
        {"at": _seconds(view["first_event"]), "what": "First event", "more": ""},
        {"at": _seconds(view["created"]), "what": "Alert raised", "more": ""},
    ]
    if view["event_count"] > 1:
        steps.append({"at": _seconds(view["last_event"]), "what": "Latest event", "more": ""})
    if view["acknowledged_at"]:
        steps.append({"at": _seconds(view["acknowledged_at"]), "what": f"Acknowledged by {view['acknowledged_by']}", "more": ""})
    for entry in view["outcomes"]:
        done = ", ".join(PUPIL_ACTIONS.get(action, GATEWAY_ACTIONS.get(action, action.replace("_", " "))) for action in entry["actions"])
        what = f"{TRIAGES.get(entry['triage'], entry['triage'])}, recorded by {entry['recorded_by']}"
        steps.append({"at": _seconds(entry["recorded"]), "what": what, "more": f"{done}. {entry['note']}"})
    return sorted(steps, key=lambda step: step["at"])


def _sentence(event: dict[str, Any]) -> str:
    return event["fault"] or SENTENCES.get(event["reason"], "")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
