"""Accounts: add, change, and make the one-time link with which somebody sets a password."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from analyser.casework import accounts, signins
from analyser.casework.models import Account
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission
from api.v1.bodies import AccountBody, AccountChangeBody

router = APIRouter(prefix="/api/v1")

Desk = Annotated[Console, Depends(console_of)]
Manager = Annotated[Person, Depends(Needs(Permission.MANAGE_ACCOUNTS))]


@router.get("/accounts")
def every(console: Desk, _: Manager) -> dict[str, Any]:
    """List the accounts by name."""
    with console.casework.reading() as session:
        return {"accounts": [account_view(account) for account in accounts.every(session)]}


@router.post("/accounts", status_code=201)
def add(console: Desk, person: Manager, body: AccountBody) -> dict[str, Any]:
    """Add an account; the answer holds the path of its one-time link, shown this once."""
    return add_account(console, person, body)


@router.patch("/accounts/{name}")
def change(console: Desk, person: Manager, name: str, body: AccountChangeBody) -> dict[str, Any]:
    """Change role, group or state; the account's open sessions end."""
    if body.disabled is None and not body.model_fields_set:
        raise RefusedError(422, "Say what to change: role, group or disabled.")
    try:
        with console.casework.session() as session:
            account = accounts.find(session, name)
            if account is None:
                raise RefusedError(404, f"There is no account named {name}.")
            if account.name == person.who.name and person.via == "session":
                raise RefusedError(409, "Nobody changes their own role; ask another administrator.")
            accounts.change(
                session, person.who, account,
                role=body.role if "role" in body.model_fields_set else account.role,
                group=body.group if "group" in body.model_fields_set else account.group,
                disabled=account.disabled if body.disabled is None else body.disabled,
            )  # fmt: skip
            answer = account_view(account)
    except accounts.AccountError as error:
        raise RefusedError(422, str(error)) from error
    console.publish()
    return answer


@router.post("/accounts/{name}/link", status_code=201)
def link(console: Desk, person: Manager, name: str) -> dict[str, Any]:
    """Make a new one-time link, for somebody who forgot their password; older links die."""
    return make_link(console, person, name)


# --- the same for pages ---------------------------------------------------------------------------------------------


def add_account(console: Console, person: Person, body: AccountBody) -> dict[str, Any]:
    """Add an account and its first link."""
    try:
        with console.casework.session() as session:
            account = accounts.add(session, person.who, body.name, role=body.role or None, group=body.group or None)
            secret = signins.make_link(session, person.who, account)
            return account_view(account) | {"link": link_path(secret)}
    except accounts.AccountError as error:
        raise RefusedError(422, str(error)) from error


def make_link(console: Console, person: Person, name: str) -> dict[str, Any]:
    """Make a link for an account that exists."""
    with console.casework.session() as session:
        account = accounts.find(session, name)
        if account is None:
            raise RefusedError(404, f"There is no account named {name}.")
        return account_view(account) | {"link": link_path(signins.make_link(session, person.who, account))}


def link_path(secret: str) -> str:
    """Return the console's path under which a one-time link works."""
    return f"/set-password/{secret}"


def account_view(account: Account) -> dict[str, Any]:
    """Return an account as the API shows it: never its hash."""
    return {
        "name": account.name, "role": account.role, "group": account.group, "disabled": account.disabled,
        "has_password": account.password_hash is not None, "locked_until": account.locked_until, "created": account.created,
    }  # fmt: skip
