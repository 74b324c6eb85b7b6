"""Whoever looks at what names a person is written down: who, at what, and why."""

from typing import Annotated, Any

from fastapi import Header, Query

from analyser.casework import audit
from api.console import Console
from api.identity import Person

Reason = Annotated[str | None, Query(max_length=300)]
ReasonHeader = Annotated[str | None, Header(alias="X-Reason", max_length=300)]


def why(person: Person, *reasons: str | None) -> str:
    """Return the reason that was given for a look at somebody's record, or say that none was."""
    given = next((reason.strip() for reason in reasons if reason and reason.strip()), None)
    return given or f"no reason given by {person.actor}"


def note_look(console: Console, person: Person, action: str, thing: str, detail: dict[str, Any], *reasons: str | None) -> None:
    """Write down a look at a list that names people, before it is shown.

    The same person looking at the same list for the same reason again within a minute is one look: an open page that
    keeps itself fresh would otherwise bury the record under itself.
    """
    reason = why(person, *reasons)
    if console.looks.wait_for("\0".join((person.actor, action, thing, reason, *map(str, detail.values())))) > 0:
        return
    with console.casework.session() as session:
        audit.append(session, person.actor, action, thing, detail | {"reason": reason})
