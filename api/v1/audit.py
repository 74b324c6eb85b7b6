"""The audit: read it, and check that nobody changed it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from analyser.casework import audit
from api.console import Console, console_of
from api.identity import Needs, Person
from api.looks import Reason, ReasonHeader, note_look
from api.permissions import Permission

router = APIRouter(prefix="/api/v1")

Reader = Annotated[Person, Depends(Needs(Permission.READ_AUDIT))]


@router.get("/audit")
def entries(
    console: Annotated[Console, Depends(console_of)],
    person: Reader,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    reason: Reason = None,
    x_reason: ReasonHeader = None,
) -> dict[str, Any]:
    """List audit entries after a number, oldest first; they name people, so this look is an entry, too."""
    note_look(console, person, "audit.read", "audit", {}, reason, x_reason)
    with console.casework.reading() as session:
        return {"entries": audit.entries(session, after=after, limit=limit)}


@router.get("/audit/verify")
def verify(console: Annotated[Console, Depends(console_of)], _: Reader) -> dict[str, Any]:
    """Check the whole chain."""
    result = console.casework.verify_audit()
    return {"ok": result.ok, "entries": result.entries, "sentence": result.sentence, "first_bad": result.first_bad}
