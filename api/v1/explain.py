"""Why is this address allowed or blocked? The gateway's own decision, step by step."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from analyser.casework import accounts, unblock
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission
from api.times import moment
from rules.explain import explained, question
from rules.state import State

router = APIRouter(prefix="/api/v1")


@router.get("/explain")
def explain(
    console: Annotated[Console, Depends(console_of)],
    _: Annotated[Person, Depends(Needs(Permission.EXPLAIN))],
    url: Annotated[str, Query(min_length=1, max_length=4096)],
    user: Annotated[str | None, Query(max_length=200)] = None,
    group: Annotated[str | None, Query(max_length=50)] = None,
    address: Annotated[str, Query(max_length=45)] = "",
    at: Annotated[str | None, Query(max_length=40)] = None,
) -> dict[str, Any]:
    """Explain the decision that the gateway would make, with the grants in force; nobody's record is read."""
    return explanation(console, url, user=user, group=group, address=address, at=at)


def explanation(
    console: Console, url: str, *, user: str | None, group: str | None, address: str = "", at: str | None = None
) -> dict[str, Any]:
    """Explain a decision; raises RefusedError with a sentence for what can't be asked."""
    ruleset = console.ruleset()
    with console.casework.reading() as session:
        state = State.of((unblock.grant_value(row) for row in unblock.in_force(session)), accounts.proxy_accounts(session))
    if group is None and user is not None and user in state.accounts:
        group = state.accounts[user].group
    try:
        asked = question(url, ruleset, user=user, group=group, address=address, at=None if at is None else moment(at, "at"))
    except ValueError as error:
        raise RefusedError(422, str(error)) from error
    return explained(url, asked, ruleset, state)
