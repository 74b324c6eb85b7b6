"""Turns templates into pages."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.hosts import Door
from api.labels import who
from api.permissions import ROLE_TITLES, Permission, may
from api.times import clock, iso

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

LEVELS = {1: "Information", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}


def page(request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any) -> HTMLResponse:
    """Answer with a page; templates see the signed-in person as `person` and their permissions as `may`."""
    person = getattr(request.state, "person", None)
    public = getattr(request.state, "door", None) is Door.OWN_HOST
    text = _environment().get_template(template).render(
        person=person,
        may=lambda permission: person is not None and may(person.role, Permission(permission)),
        path=request.url.path,
        status=status,
        public=public,
        clock=lambda at: clock(at, request.app.state.console.timezone()),
        **context,
    )  # fmt: skip
    return HTMLResponse(text, status, headers=dict(headers or {}))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["iso"] = iso
    environment.filters["ago"] = ago
    environment.filters["who"] = who
    environment.globals["levels"] = LEVELS
    environment.globals["role_titles"] = ROLE_TITLES
    environment.globals["static"] = static_address
    return environment


def ago(seconds: float, now: float | None = None) -> str:
    """Say how long ago a moment was, for example `5 minutes ago`."""
    passed = int((datetime.now(UTC).timestamp() if now is None else now) - seconds)
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if passed >= size:
            count = passed // size
            return f"{count} {word}{'s' if count != 1 else ''} ago"
    return "just now"


@cache
def static_address(name: str) -> str:
    """Return the address of a static file with a digest of its content, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
