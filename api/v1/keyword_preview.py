"""Phrases before they are in force: what last month's searches would have met. Numbers, no names."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends
from pydantic import Field

from analyser.casework import audit
from analyser.replay import replay, with_sets
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission, may
from api.v1.bodies import Body
from rules.keywords.sets import frozen_sets

router = APIRouter(prefix="/api/v1")


class KeywordPreviewBody(Body):
    """A file of the run folder with the sets to try, as the command line of this machine writes it."""

    file: str = Field(pattern=r"^keywords-[A-Za-z0-9_]{4,16}\.json$")
    terms: bool = False
    """True to be told what was searched for; that is a look at the record, and audited."""


@router.post("/keyword-preview")
def look(
    console: Annotated[Console, Depends(console_of)], person: Annotated[Person, Depends(Needs(Permission.PREVIEW_LISTS))],
    body: KeywordPreviewBody,
) -> dict[str, Any]:  # fmt: skip
    """Show what last month's searches would have met under other phrases; for the command line of this machine."""
    if person.via != "operator":
        raise RefusedError(403, "Only the command line of this machine may try phrases here; use `schoolgate keywords import --preview`.")
    if body.terms:
        if not may(person.role, Permission.READ_EVENTS):
            raise RefusedError(403, f"The role {person.role} may not see what was searched for; leave the terms out.")
        with console.casework.session() as session:
            detail = {"reason": "searches that other phrases would meet", "whom": "everybody"}
            audit.append(session, person.actor, "events.read", "events", detail)
    try:
        sets = frozen_sets((Path(console.settings.run_folder) / body.file).read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise RefusedError(422, "There is no such file of phrases in the run folder; run the command again.") from error
    present = console.ruleset()
    found: dict[str, Any] = msgspec.to_builtins(replay(console.analyser.store, present, with_sets(present, sets), terms=body.terms))
    return found
