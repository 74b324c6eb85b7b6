"""Temporary unblocks: ask, look, approve, refuse, end."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from analyser.casework import unblock
from analyser.casework.models import GrantRow, UnblockRequest
from analyser.casework.people import Actor
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.looks import Reason, ReasonHeader, note_look
from api.permissions import Permission, may
from api.times import iso
from api.v1.bodies import DecisionBody, RefusalBody, UnblockBody

router = APIRouter(prefix="/api/v1")

UNBLOCK_STATUS = {"invalid": 422, "too-long": 422, "not-found": 404, "decided": 409, "same-person": 403, "sealed": 403}

Desk = Annotated[Console, Depends(console_of)]
Asker = Annotated[Person, Depends(Needs(Permission.ASK_UNBLOCK))]
Decider = Annotated[Person, Depends(Needs(Permission.DECIDE_UNBLOCKS))]


@router.post("/unblock-requests", status_code=201)
def ask(console: Desk, person: Asker, body: UnblockBody) -> dict[str, Any]:
    """Ask for an address to be opened for one subject; somebody else decides."""
    return ask_for(console, person, body, "api")


@router.get("/unblock-requests")
def requests(
    console: Desk,
    person: Asker,
    status: Literal["pending", "approved", "refused"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    reason: Reason = None,
    x_reason: ReasonHeader = None,
) -> dict[str, Any]:
    """List requests, newest first; whoever may not see all of them sees their own."""
    return {"unblock_requests": [_request(row) for row in visible_requests(console, person, status, limit, reason, x_reason)]}


@router.get("/unblock-requests/{request_id}")
def one_request(console: Desk, person: Asker, request_id: int, reason: Reason = None, x_reason: ReasonHeader = None) -> dict[str, Any]:
    """Show one request."""
    if may(person.role, Permission.READ_UNBLOCKS):
        note_look(console, person, "unblocks.read", f"unblock-request:{request_id}", {}, reason, x_reason)
    with console.casework.reading() as session:
        row = session.get(UnblockRequest, request_id)
        if row is None or not (may(person.role, Permission.READ_UNBLOCKS) or _is_own(row, person)):
            raise RefusedError(404, "There is no such request.")
        return _request(row)


@router.post("/unblock-requests/{request_id}/approve")
def approve(console: Desk, person: Decider, request_id: int, body: DecisionBody | None = None) -> dict[str, Any]:
    """Open the address; never by the one who asked."""
    return approve_request(console, person, request_id, body or DecisionBody())


@router.post("/unblock-requests/{request_id}/refuse")
def refuse(console: Desk, person: Decider, request_id: int, body: RefusalBody | None = None) -> dict[str, Any]:
    """Close a request without opening anything."""
    return refuse_request(console, person, request_id, (body or RefusalBody()).note)


@router.get("/grants")
def grants(
    console: Desk, person: Annotated[Person, Depends(Needs(Permission.READ_GRANTS))], reason: Reason = None, x_reason: ReasonHeader = None
) -> dict[str, Any]:
    """List the grants in force, the one that ends first on top."""
    note_look(console, person, "grants.read", "grants", {}, reason, x_reason)
    with console.casework.reading() as session:
        return {"grants": [_grant(row) for row in unblock.in_force(session)]}


@router.delete("/grants/{grant_id}")
def end(console: Desk, person: Annotated[Person, Depends(Needs(Permission.END_GRANTS))], grant_id: str) -> dict[str, Any]:
    """End a grant before its time."""
    return end_grant(console, person, grant_id)


# --- the same for pages ---------------------------------------------------------------------------------------------


def ask_for(console: Console, person: Person, body: UnblockBody, source: str) -> dict[str, Any]:
    """Write a request down."""
    assert body.subject_kind is not None
    assert body.subject is not None
    assert not isinstance(body.until, str)
    with refusing(console, person.who, body.url), console.casework.session() as session:
        row = unblock.ask(
            session, person.who, console.unblock_rules(), url=body.url, scope=body.scope, subject_kind=body.subject_kind,
            subject=body.subject, reason=body.reason, minutes=body.minutes, until=body.until, source=source,
        )  # fmt: skip
        return _request(row)


def visible_requests(console: Console, person: Person, status: str | None, limit: int, *reasons: str | None) -> list[UnblockRequest]:
    """Return the requests that the person may see, newest first; a look at other people's is written down."""
    if may(person.role, Permission.READ_UNBLOCKS):
        note_look(console, person, "unblocks.read", "unblock-requests", {"status": status or "all"}, *reasons)
    with console.casework.reading() as session:
        if may(person.role, Permission.READ_UNBLOCKS):
            return unblock.requests(session, status=status, limit=limit)
        own = (row for row in unblock.requests(session, status=status, limit=10_000) if _is_own(row, person))
        return [row for row, _ in zip(own, range(limit), strict=False)]


def approve_request(console: Console, person: Person, request_id: int, body: DecisionBody) -> dict[str, Any]:
    """Approve, and tell the gateway at once."""
    with refusing(console, person.who, f"unblock-request:{request_id}"), console.casework.session() as session:
        grant = unblock.approve(session, person.who, console.unblock_rules(), request_id, minutes=body.minutes, note=body.note)
        row = session.get_one(UnblockRequest, request_id)
        answer = _request(row) | {"grant": _grant(grant)}
    console.publish()
    return answer


def refuse_request(console: Console, person: Person, request_id: int, note: str) -> dict[str, Any]:
    """Refuse a request."""
    with refusing(console, person.who), console.casework.session() as session:
        return _request(unblock.refuse(session, person.who, request_id, note=note))


def end_grant(console: Console, person: Person, grant_id: str) -> dict[str, Any]:
    """End a grant, and tell the gateway at once."""
    with refusing(console, person.who), console.casework.session() as session:
        answer = _grant(unblock.end_grant(session, person.who, grant_id))
    console.publish()
    return answer


class refusing:  # noqa: N801  (reads as a statement: `with refusing():`)
    """Turn the casework's sentence into an answer with the right status; somebody who asks for a sealed address is written down."""

    def __init__(self, console: Console, who: Actor, what: str = "") -> None:
        self._console = console
        self._who = who
        self._what = what

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, unblock.UnblockError):
            if error.code == "sealed":
                with self._console.casework.session() as session:
                    unblock.note_sealed(session, self._who, self._what)
            raise RefusedError(UNBLOCK_STATUS.get(error.code, 422), str(error)) from error


def _is_own(row: UnblockRequest, person: Person) -> bool:
    return row.requested_by == person.actor


def _request(row: UnblockRequest) -> dict[str, Any]:
    return _with_times(unblock.request_view(row), "requested", "decided", "until")


def _grant(row: GrantRow) -> dict[str, Any]:
    return _with_times(unblock.grant_view(row), "starts", "until", "ended")


def _with_times(view: dict[str, Any], *names: str) -> dict[str, Any]:
    """Write times as ISO 8601, as everywhere in the API."""
    return view | {name: iso(view[name]) for name in names if view[name] is not None}
