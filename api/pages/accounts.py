"""The page of accounts: see them, add one, make a link for a forgotten password."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import Response

from analyser.casework import accounts
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission
from api.render import page
from api.v1.accounts import account_view, add_account, make_link
from api.v1.bodies import AccountBody

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]
Manager = Annotated[Person, Depends(Needs(Permission.MANAGE_ACCOUNTS))]


@router.get("/accounts")
def every(request: Request, console: Desk, _: Manager) -> Response:
    """Show the accounts."""
    return _show(request, console)


@router.post("/accounts")
def add(
    request: Request, console: Desk, person: Manager, name: Annotated[str, Form(min_length=1, max_length=100)],
    role: Annotated[str, Form(max_length=20)] = "", group: Annotated[str, Form(max_length=50)] = "",
) -> Response:  # fmt: skip
    """Add an account, and show its link once."""
    try:
        answer = add_account(console, person, AccountBody(name=name, role=role or None, group=group or None))
    except RefusedError as error:
        return _show(request, console, sentence=error.sentence, status=error.status)
    return _show(request, console, link=answer, status=201)


@router.post("/accounts/link")
def link(request: Request, console: Desk, person: Manager, name: Annotated[str, Form(max_length=100)]) -> Response:
    """Make a new link, and show it once."""
    return _show(request, console, link=make_link(console, person, name), status=201)


def _show(request: Request, console: Console, *, link: dict[str, Any] | None = None, sentence: str = "", status: int = 200) -> Response:
    with console.casework.reading() as session:
        views = [account_view(account) for account in accounts.every(session)]
    shown = {"name": link["name"], "address": str(request.base_url).rstrip("/") + link["link"]} if link else None
    groups = sorted(console.policy().groups)
    return page(request, "accounts.html", status=status, accounts=views, link=shown, sentence=sentence, groups=groups)
