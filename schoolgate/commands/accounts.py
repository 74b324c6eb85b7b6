"""`account` and `token`: who may sign in, and which programs may ask."""
# ruff: noqa: PLC0415 - the database libraries are loaded by the commands that need them

import sys
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from schoolgate import firstrun, terminal, wiring
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Json, State, config_of, operator, paths_of

account_app = typer.Typer(help="People: who signs in to the console, to the gateway, or to both.", no_args_is_help=True)
token_app = typer.Typer(help="Programs: bearer tokens for the API.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name that the person signs in with.")]
TokenName = Annotated[str, typer.Option("--name", metavar="NAME", help="What the token is for; the audit shows it.")]
ROLES = "administrator, technician, dsl, teacher, headteacher or governor"


@account_app.command("add")
def add(
    name: Name,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE", help=f"For the console: {ROLES}.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="For the gateway: the policy group of the person.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,
    state: State = DEFAULT,
) -> None:
    """Add an account: with --role for the console, with --group for the gateway, with both for both.

    For the console it prints a link, once, with which the person sets a password within three days. For the gateway alone
    it asks for the password.
    """
    from analyser.casework import accounts, signins

    paths = firstrun.existing(paths_of(state))
    if role is None and group is None:
        raise Problem("An account needs --role for the console, --group for the gateway, or both.")
    if group is not None and group not in (known := wiring.groups(config_of(paths, None))):
        raise Problem(f"The policy has no group {group!r}; it has {', '.join(known)}.")
    password = _password(ask=role is None, stdin=password_stdin)
    actor = wiring.os_actor(operator())
    with wiring.casework_open(paths) as database, database.session() as session:
        account = accounts.add(session, actor, name, role=role, group=group)
        secret = None
        if password is not None:
            accounts.set_password(session, actor, account, password)
        else:
            secret = signins.make_link(session, actor, account)
    _say_link(secret, wiring.console_address(paths), name)


@account_app.command("link")
def link(name: Name, state: State = DEFAULT) -> None:
    """Print a new link with which the person sets a password; earlier links and a forgotten password are replaced."""
    from analyser.casework import accounts, signins

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        account = accounts.find(session, name)
        if account is None:
            raise Problem(f"There is no account named {name}; `schoolgate account list` shows them.")
        secret = signins.make_link(session, wiring.os_actor(operator()), account)
    _say_link(secret, wiring.console_address(paths), name)


@account_app.command("list")
def every(state: State = DEFAULT, json: Json = False) -> None:
    """Show every account."""
    from analyser.casework import accounts

    paths = firstrun.existing(paths_of(state))
    now = time.time()
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = [
            {
                "name": account.name, "role": account.role, "group": account.group, "disabled": account.disabled,
                "password": account.password_hash is not None, "locked": (account.locked_until or 0) > now,
            }
            for account in accounts.every(session)
        ]  # fmt: skip
    if json:
        terminal.json({"accounts": rows})
        return
    terminal.table(
        ("name", "role", "group", "state"),
        [(str(row["name"]), str(row["role"] or ""), str(row["group"] or ""), _state(row)) for row in rows],
    )


@account_app.command("disable")
def disable(name: Name, state: State = DEFAULT) -> None:
    """Shut an account out, at the console and at the gateway, at once; nothing it did is deleted."""
    _set_disabled(state, name, disabled=True)
    terminal.say(f"{name} can no longer sign in.")


@account_app.command("enable")
def enable(name: Name, state: State = DEFAULT) -> None:
    """Let a disabled account sign in again."""
    _set_disabled(state, name, disabled=False)
    terminal.say(f"{name} can sign in again.")


@token_app.command("create")
def create(
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help=f"What the program may do: {ROLES}.")],
    name: TokenName,
    state: State = DEFAULT,
) -> None:
    """Print a new bearer token, this once, and nothing else."""
    from analyser.casework import signins

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        secret = signins.create_token(session, wiring.os_actor(operator()), name, role)
    terminal.out(secret)


@token_app.command("revoke")
def revoke(name: TokenName, state: State = DEFAULT) -> None:
    """End a token at once."""
    from analyser.casework import signins

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        signins.revoke_token(session, wiring.os_actor(operator()), name)
    terminal.say(f"The token {name} no longer opens anything.")


@token_app.command("list")
def tokens(state: State = DEFAULT, json: Json = False) -> None:
    """Show the names and roles of all tokens; the tokens themselves are not kept."""
    from sqlalchemy import select

    from analyser.casework.models import Token

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = [(token.name, token.role, token.revoked is not None) for token in session.scalars(select(Token).order_by(Token.name))]
    if json:
        terminal.json({"tokens": [{"name": n, "role": r, "revoked": revoked} for n, r, revoked in rows]})
        return
    terminal.table(("name", "role", "state"), [(n, r, "revoked" if revoked else "in force") for n, r, revoked in rows])


def _password(*, ask: bool, stdin: bool) -> str | None:
    if stdin:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise Problem("Standard input holds no password; write it there on one line.")
        return text
    if not ask:
        return None
    if not sys.stdin.isatty():
        raise Problem("There is no terminal to ask for the password; give it with --password-stdin.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _say_link(secret: str | None, console: str, name: str) -> None:
    if secret is None:
        terminal.say(f"Added {name}.")
        return
    terminal.say(f"Give this link to {name}: it sets a password, once, within three days.")
    terminal.out(wiring.password_link(console, secret))


def _set_disabled(state: State, name: str, *, disabled: bool) -> None:
    from analyser.casework import accounts

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        account = accounts.find(session, name)
        if account is None:
            raise Problem(f"There is no account named {name}; `schoolgate account list` shows them.")
        accounts.change(session, wiring.os_actor(operator()), account, role=account.role, group=account.group, disabled=disabled)


def _state(row: Mapping[str, object]) -> str:
    if row["disabled"]:
        return "disabled"
    if row["locked"]:
        return "locked after wrong passwords"
    return "" if row["password"] else "no password yet"
