"""Sign in, sign out, and set a password with a one-time link."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from analyser.casework import accounts, signins
from api import passwords
from api.console import Console, console_of
from api.errors import RefusedError
from api.hosts import Door
from api.identity import person_of
from api.permissions import Permission, Role, may
from api.render import page

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]
_HOMES = (
    (Permission.READ_ALERTS, "/alerts"),
    (Permission.ASK_UNBLOCK, "/requests"),
    (Permission.READ_NUMBERS, "/numbers"),
)


@router.get("/")
def home(request: Request) -> Response:
    """Lead everybody to the page that they need most."""
    if request.state.door is Door.OWN_HOST:
        return RedirectResponse("/help", 303)
    person = person_of(request)
    return RedirectResponse("/sign-in" if person is None else home_of(person.role), 303)


@router.get("/sign-in")
def sign_in(request: Request, next: str = "/", done: str = "") -> Response:  # noqa: A002  (the query's name)
    """Show the sign-in form."""
    good = {"password": "Your password is set. Sign in with it.", "out": "You are signed out."}.get(done, "")
    return page(request, "sign_in.html", next=local_path(next), name="", sentence="", good=good)


@router.post("/sign-in")
def check_sign_in(
    request: Request, console: Desk, name: Annotated[str, Form(max_length=100)], password: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form(max_length=500)] = "/",  # noqa: A002
) -> Response:  # fmt: skip
    """Sign a browser in."""
    address = request.client.host if request.client else ""
    wait = console.sign_in_limit.wait_for(address)
    if wait > 0:
        raise RefusedError(429, f"Too many attempts from this computer; wait {int(wait) + 1} seconds.", {"Retry-After": str(int(wait) + 1)})
    answer = accounts.sign_in(console.casework, name, password)
    account = answer.account
    if account is None or account.role is None:
        sentence = answer.sentence or "This account is for the gateway only; it has no role at the console."
        status = 401 if answer.locked_until is None else 429
        return page(request, "sign_in.html", status=status, next=local_path(next), name=name, sentence=sentence, good="")
    with console.casework.session() as session:
        old = request.cookies.get(console.settings.cookie_name)
        if old:
            signins.end_session(session, old)
        secret = signins.open_session(session, account)
    target = local_path(next)
    response = RedirectResponse(home_of(Role(account.role)) if target == "/" else target, 303)
    response.set_cookie(console.settings.cookie_name, secret, path="/", secure=console.settings.https, httponly=True, samesite="lax")
    return response


@router.post("/sign-out")
def sign_out(request: Request, console: Desk) -> Response:
    """Sign this browser out."""
    cookie = request.cookies.get(console.settings.cookie_name)
    if cookie:
        with console.casework.session() as session:
            signins.end_session(session, cookie)
    response = RedirectResponse("/sign-in?done=out", 303)
    response.delete_cookie(console.settings.cookie_name, path="/", secure=console.settings.https, httponly=True, samesite="lax")
    return response


@router.get("/set-password/{secret}")
def password_form(request: Request, console: Desk, secret: str) -> Response:
    """Show the form behind a one-time link."""
    return page(request, "set_password.html", name=_owner(console, secret), sentence="")


@router.post("/set-password/{secret}")
def set_password(
    request: Request,
    console: Desk,
    secret: str,
    password: Annotated[str, Form(max_length=1000)],
    again: Annotated[str, Form(max_length=1000)],
) -> Response:
    """Set the password that the link's owner chose."""
    name = _owner(console, secret)
    sentence = "The two passwords are not the same." if password != again else passwords.fault_of(password, name)
    if sentence is None:
        prepared = accounts.hashed(password)
        try:
            with console.casework.session() as session:
                signins.use_link(session, secret, password, prepared=prepared)
        except accounts.AccountError as error:
            sentence = str(error)
    if sentence is not None:
        return page(request, "set_password.html", status=422, name=name, sentence=sentence)
    console.publish()
    return RedirectResponse("/sign-in?done=password", 303)


def home_of(role: Role) -> str:
    """Return the page that a role needs most."""
    return next(path for permission, path in _HOMES if may(role, permission))


def local_path(path: str) -> str:
    """Return the path if it stays on this console, otherwise the start page."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if local else "/"


def _owner(console: Console, secret: str) -> str:
    with console.casework.reading() as session:
        account = signins.link_account(session, secret)
        if account is None:
            raise RefusedError(410, "This link has been used or is too old; ask an administrator for a new one.")
        return account.name
