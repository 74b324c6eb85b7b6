"""The gateway's own public pages: help, certificate, PAC file, and the forms of block pages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from analyser.casework import unblock
from api.console import Console, console_of
from api.errors import RefusedError
from api.render import page
from api.subject import ForwardedSubject, subject_of
from api.v1.unblock import refusing
from rules import tokens
from rules.decision import Action

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]


@router.get("/help")
def help_page(request: Request, console: Desk) -> Response:
    """Say what this gateway is and what to do when a page is blocked."""
    return page(request, "help.html", subject=subject_of(request), school=console.policy().school, settings=console.settings)


@router.get("/ca.crt")
def certificate(console: Desk) -> Response:
    """Give the certificate that the school's devices must trust, as PEM."""
    try:
        data = console.settings.ca_certificate.read_bytes()
    except OSError as error:
        raise RefusedError(503, "The gateway's certificate can't be read; tell the technician.") from error
    headers = {"Content-Disposition": 'attachment; filename="schoolgate-ca.crt"', "Cache-Control": "public, max-age=300"}
    return Response(data, media_type="application/x-x509-ca-cert", headers=headers)


@router.get("/proxy.pac")
def pac(request: Request, console: Desk) -> Response:
    """Give the proxy auto-configuration: everything through the gateway, without a way around it."""
    host = console.settings.proxy_host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  (a name for "any of ours", which a client can't connect to)
        through = subject_of(request)
        host = (through.gateway if through is not None else None) or request.url.hostname or "localhost"
    literal = f"[{host}]" if ":" in host else host
    # No DIRECT at the end: a gateway that is down must not open the web. Names without a dot and loopback never leave the site.
    text = (
        "function FindProxyForURL(url, host) {\n"
        '  if (host == "localhost" || shExpMatch(host, "127.*") || host == "::1") return "DIRECT";\n'
        f'  return "PROXY {literal}:{console.settings.proxy_port}";\n'
        "}\n"
    )
    return PlainTextResponse(text, media_type="application/x-ns-proxy-autoconfig", headers={"Cache-Control": "public, max-age=300"})


@router.get("/unblock")
def unblock_form(request: Request, url: str = "", ref: str = "", token: str = "") -> Response:
    """Show the form of a block page again, filled in."""
    return page(request, "public_unblock.html", subject=subject_of(request), url=url[:4096], ref=ref[:64], token=token[:512], sentence="")


@router.post("/unblock")
def ask(
    request: Request, console: Desk, url: Annotated[str, Form()], token: Annotated[str, Form()], ref: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "", minutes: Annotated[int, Form(ge=1, le=10_080)] = 60,
) -> Response:  # fmt: skip
    """Take the request of somebody who stands before a block page."""
    subject = _proven(request, console, url, token, Action.BLOCK)
    reason = reason.strip()
    if not reason:
        sentence = "Say in a few words what you need the page for."
        return page(request, "public_unblock.html", status=422, subject=subject, url=url, ref=ref[:64], token=token, sentence=sentence)
    _not_too_often(console, subject)
    with refusing_alike(console, subject, url), console.casework.session() as session:
        kind, name = ("user", subject.user) if subject.user else ("address", subject.address)
        unblock.ask(
            session, subject.actor, console.unblock_rules(), url=url, scope="exact", subject_kind=kind, subject=name,
            reason=reason[:500], minutes=min(minutes, console.policy().limits.grant_minutes), source="block-page",
        )  # fmt: skip
    return page(request, "public_done.html", title="Your request is on its way", url=url)


@router.post("/continue")
def go_on(request: Request, console: Desk, url: Annotated[str, Form()], token: Annotated[str, Form()]) -> Response:
    """Let somebody go on past a warning, for this site and for a while; a block stays a block."""
    subject = _proven(request, console, url, token, Action.WARN)
    _not_too_often(console, subject)
    with refusing_alike(console, subject, url), console.casework.session() as session:
        unblock.go_on(
            session, subject.actor, console.unblock_rules(), url=url, subject_kind="user" if subject.user else "address",
            subject=subject.user or subject.address, minutes=console.policy().limits.continue_minutes,
        )  # fmt: skip
    console.publish()
    # A page that goes on by itself, not a redirect: workers need a moment to hear of it, and a block page's
    # Content-Security-Policy may forbid a form to end up on another site.
    return page(request, "public_continue.html", headers={"Refresh": f"1;url={_header_safe(url)}"}, url=url)


@contextmanager
def refusing_alike(console: Console, subject: ForwardedSubject, url: str) -> Iterator[None]:
    """Give the same answer whatever the reason, so that nobody learns from this form what is on a sealed list."""
    try:
        with refusing(console, subject.actor, url):
            yield
    except RefusedError as error:
        raise RefusedError(422, "This page can't be opened on request; speak to a member of staff if you need it.") from error


def _proven(request: Request, console: Console, url: str, token: str, action: Action) -> ForwardedSubject:
    """Return the subject whom the gateway really stopped at this address."""
    subject = subject_of(request)
    if subject is None:
        raise RefusedError(403, "This form works only through the school's gateway; open the page that was blocked and use the form there.")
    claim = tokens.verify(console.settings.gateway_key, token, url, subject.name, time.time())
    if claim is None or claim.action is not action or not url.startswith(("http://", "https://")):
        raise RefusedError(403, "This form is too old or was not made for this page; open the page again and use the form shown there.")
    return subject


def _not_too_often(console: Console, subject: ForwardedSubject) -> None:
    wait = console.form_limit.wait_for(subject.name)
    if wait > 0:
        minutes = int(wait // 60) + 1
        sentence = f"You have asked several times; wait {minutes} minute{'s' if minutes > 1 else ''} before you ask again."
        raise RefusedError(429, sentence, {"Retry-After": str(int(wait) + 1)})


def _header_safe(url: str) -> str:
    """Return the URL with everything percent-encoded that could end or split a header."""
    return "".join(
        character if "!" <= character <= "~" else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
        for character in url
    )
