"""The page of unblock requests: ask, decide, see what is open, end it."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from analyser.casework import unblock
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.pages.acting import acted
from api.permissions import Permission, may
from api.render import page
from api.v1.bodies import DecisionBody, UnblockBody
from api.v1.unblock import approve_request, ask_for, end_grant, refuse_request, visible_requests

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]
Asker = Annotated[Person, Depends(Needs(Permission.ASK_UNBLOCK))]
Decider = Annotated[Person, Depends(Needs(Permission.DECIDE_UNBLOCKS))]

SCOPES = {"exact": "Only this page", "path": "This page and those below it", "host": "The whole site"}
KINDS = {"user": "Person", "group": "Group", "room": "Room", "address": "Device address"}
_EMPTY = {"url": "", "scope": "exact", "subject_kind": "group", "subject": "", "minutes": "60", "reason": ""}
_DONE = {
    "asked": "Your request is written down; somebody else will decide.",
    "approved": "Approved: the page is open.",
    "refused": "Closed: nothing was opened.",
    "ended": "Ended: the page is closed again.",
}


@router.get("/requests")
def requests(request: Request, console: Desk, person: Asker, done: str = "") -> Response:
    """Show what waits, what is open, and the form."""
    return _show(request, console, person, good=_DONE.get(done, ""))


@router.post("/requests")
def ask(
    request: Request, console: Desk, person: Asker, url: Annotated[str, Form()] = "", scope: Annotated[str, Form()] = "",
    subject_kind: Annotated[str, Form()] = "", subject: Annotated[str, Form()] = "", minutes: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Take a request."""
    form = {"url": url, "scope": scope, "subject_kind": subject_kind, "subject": subject, "minutes": minutes, "reason": reason}
    try:
        ask_for(console, person, UnblockBody.model_validate(form), "console")
    except ValidationError as error:
        wrong = sorted({str(part) for problem in error.errors() for part in problem["loc"]})
        return _show(request, console, person, form=form, status=422, sentence=f"Please look again at: {', '.join(wrong) or 'the form'}.")
    except RefusedError as error:
        return _show(request, console, person, form=form, status=error.status, sentence=error.sentence)
    return RedirectResponse("/requests?done=asked", 303)


@router.post("/requests/{request_id}/approve")
def approve(request: Request, console: Desk, person: Decider, request_id: int, note: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Approve a request."""
    work = partial(approve_request, console, person, request_id, DecisionBody(note=note))
    return acted(work, "/requests?done=approved", partial(_show, request, console, person))


@router.post("/requests/{request_id}/refuse")
def refuse(request: Request, console: Desk, person: Decider, request_id: int, note: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Refuse a request."""
    work = partial(refuse_request, console, person, request_id, note)
    return acted(work, "/requests?done=refused", partial(_show, request, console, person))


@router.post("/grants/{grant_id}/end")
def end(request: Request, console: Desk, person: Annotated[Person, Depends(Needs(Permission.END_GRANTS))], grant_id: str) -> Response:
    """End a grant."""
    work = partial(end_grant, console, person, grant_id)
    return acted(work, "/requests?done=ended", partial(_show, request, console, person))


def _show(
    request: Request, console: Console, person: Person, *, form: dict[str, str] | None = None, status: int = 200, sentence: str = "",
    good: str = "",
) -> Response:  # fmt: skip
    rows = visible_requests(console, person, None, 500, "the page of unblock requests")
    grants: list[Any] = []
    if may(person.role, Permission.READ_GRANTS):
        with console.casework.reading() as session:
            grants = [unblock.grant_view(row) for row in unblock.in_force(session)]
    return page(
        request, "requests.html", status=status, sentence=sentence, good=good, form=form or _EMPTY, grants=grants, scopes=SCOPES,
        kinds=KINDS,
        pending=[row for row in rows if row.status == "pending"], decided=[row for row in rows if row.status != "pending"][:20],
        groups=sorted(console.policy().groups), maximum=console.policy().limits.grant_minutes,
    )  # fmt: skip
