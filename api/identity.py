"""Who asks: a bearer token, the command line on this machine, or a signed-in browser; and what they may do."""

import hmac
import re
from typing import Literal

import msgspec
from starlette.requests import Request

from analyser.casework.people import Actor
from analyser.casework.signins import session_account, token_actor, token_for
from api.console import Console, console_of
from api.errors import RefusedError, SignInNeededError
from api.hosts import is_loopback
from api.permissions import Permission, Role, may

OPERATOR_FILE = "operator.token"
OPERATOR_NAME_HEADER = "X-Schoolgate-Operator"
_OPERATOR_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Person(msgspec.Struct, frozen=True):
    """Somebody who asks, and how we know."""

    who: Actor
    role: Role
    via: Literal["token", "operator", "session"]

    @property
    def actor(self) -> str:
        """The form of the audit: account name, `token:NAME` or `os:NAME`."""
        return self.who.written


class Needs:
    """Route dependency: gives the person who asks, if their role holds the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request) -> Person:
        """Return who asks; 401 when nobody is known, 403 when the role does not hold the permission."""
        person = person_of(request)
        if person is None:
            raise SignInNeededError
        if not may(person.role, self.permission):
            raise RefusedError(403, f"The role {person.role} may not do this ({self.permission}); ask somebody whose task it is.")
        return person


def person_of(request: Request) -> Person | None:
    """Return who asks, or None when the request carries nothing that says so; a wrong token is an error of its own."""
    if not hasattr(request.state, "person"):
        request.state.person = find_person(request)
    person = request.state.person
    assert person is None or isinstance(person, Person)
    return person


def find_person(request: Request, *, use: bool = True) -> Person | None:
    """Return who asks, looked up afresh; without `use` the look keeps no browser session alive."""
    console = console_of(request)
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise SignInNeededError("The Authorization header has to read “Bearer TOKEN”.")
        person = _by_secret(console, request, secret.strip())
        if person is None:
            # Only wrong ones are counted: a right one can't be locked out by somebody else at the same address.
            wait = console.token_limit.wait_for(request.client.host if request.client else "")
            if wait > 0:
                sentence = f"Too many wrong bearer tokens from this address; wait {int(wait) + 1} seconds."
                raise RefusedError(429, sentence, {"Retry-After": str(int(wait) + 1)})
            raise SignInNeededError("The bearer token is unknown or was revoked; make a new one with “schoolgate token create”.")
        return person
    cookie = request.cookies.get(console.settings.cookie_name)
    if not cookie:
        return None
    account = session_account(console.casework, cookie, use=use)
    if account is None or account.role is None:
        return None
    return Person(Actor("account", account.name), Role(account.role), "session")


def _by_secret(console: Console, request: Request, secret: str) -> Person | None:
    with console.casework.reading() as session:
        token = token_for(session, secret)
        if token is not None:
            return Person(token_actor(token), Role(token.role), "token")
    # Somebody who can read the state folder owns the installation; the token only saves them from stopping the console.
    if not is_loopback(request.client.host if request.client else None):
        return None
    try:
        operator = (console.settings.run_folder / OPERATOR_FILE).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not operator or not hmac.compare_digest(operator.encode(), secret.encode()):
        return None
    name = request.headers.get(OPERATOR_NAME_HEADER, "operator")
    return Person(Actor("os", name if _OPERATOR_NAME.fullmatch(name) else "operator"), Role.ADMINISTRATOR, "operator")
