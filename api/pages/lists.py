"""The page of lists: what waits for a second person, what is loaded, where it comes from and what the last runs did."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from analyser.lists import changes
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.permissions import Permission
from api.render import page
from api.times import clock
from api.v1.bodies import RefusalBody
from api.v1.health import lists_view
from api.v1.list_preview import ActBody, propose
from api.v1.list_preview import approve as approve_change
from api.v1.list_preview import refuse as refuse_change
from api.v1.list_sources import runs_view, sources_view
from blocklists.errors import ListError
from blocklists.library import Library

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]
Decider = Annotated[Person, Depends(Needs(Permission.DECIDE_LISTS))]

ACTS = {
    "load": "Load a new version", "rollback": "Put an earlier version back", "pause": "Pause", "resume": "Ask again", "remove": "Remove",
    "seal": "Load a new version of a sealed list",
}  # fmt: skip
_DONE = {
    "approved": "Approved: it is in force within seconds.", "refused": "Refused: what was in force stays.",
    "done": "Done: it is in force within seconds.", "held": "It waits for somebody else, who has to approve it; what is in force stays.",
}  # fmt: skip


@router.get("/lists")
def lists(request: Request, console: Desk, person: Decider, done: str = "") -> Response:
    """Show what waits, the lists, their sources and the last runs."""
    return _show(request, console, person, good=_DONE.get(done, ""))


@router.post("/lists/changes/{number}/approve")
def approve(request: Request, console: Desk, person: Decider, number: int, note: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Approve a change that waits."""
    try:
        approve_change(console, person, number, RefusalBody(note=note))
    except RefusedError as error:
        return _show(request, console, person, status=error.status, sentence=error.sentence)
    return RedirectResponse("/lists?done=approved", 303)


@router.post("/lists/changes/{number}/refuse")
def refuse(request: Request, console: Desk, person: Decider, number: int, note: Annotated[str, Form(max_length=500)] = "") -> Response:
    """Refuse a change that waits."""
    try:
        refuse_change(console, person, number, RefusalBody(note=note))
    except RefusedError as error:
        return _show(request, console, person, status=error.status, sentence=error.sentence)
    return RedirectResponse("/lists?done=refused", 303)


@router.post("/lists/{name}/act")
def act(
    request: Request,
    console: Desk,
    person: Decider,
    name: str,
    what: Annotated[Literal["rollback", "pause", "resume", "remove"], Form()],
) -> Response:
    """Put the version before back, pause, ask again or remove a list, or have it wait for a second person."""
    try:
        done = propose(console, person, ActBody(name=name[:64], act=what))
    except RefusedError as error:
        return _show(request, console, person, status=error.status, sentence=error.sentence)
    return RedirectResponse(f"/lists?done={'done' if done['id'] is None else 'held'}", 303)


def _show(request: Request, console: Console, person: Person, *, status: int = 200, sentence: str = "", good: str = "") -> Response:
    with console.casework.reading() as session:
        rows = changes.changes(session, limit=200)
        views = [changes.view(row) | {"own": changes.proposed_by_same(session, row, person.who)} for row in rows]
        sources, runs = sources_view(session), runs_view(session, None, 20)
    return page(
        request, "lists.html", status=status, sentence=sentence, good=good, acts=ACTS, sources=sources, runs=runs,
        pending=[_readable(view) for view in views if view["status"] == "pending"],
        decided=[view for view in views if view["status"] != "pending"][:20],
        lists=[one | {"before": _before(console, one)} for one in lists_view(console)], sealed=console.ruleset().sealed.entries,
        day=lambda text: clock(datetime.fromisoformat(text).timestamp(), console.timezone()) if text else "",
    )  # fmt: skip


def _before(console: Console, shown: dict[str, Any]) -> int | None:
    """Return the version that `rollback` would put back, None where none is kept."""
    try:
        kept = Library(console.analyser.settings.lists).history.versions(shown["name"])
    except ListError:
        return None
    return next((stored.version for stored in kept if stored.version < shown["version"]), None)


def _readable(view: dict[str, Any]) -> dict[str, Any]:
    """Add the sentences that stand for a change's preview: what comes and goes, and what last week's pages would have met."""
    preview = view["preview"]
    change, traffic = preview["change"], preview["traffic"]
    lines = [f"{change['added']:,} entries come, {change['removed']:,} go, {sum(change['moved'].values()):,} change their category."]
    if traffic is None:
        lines.append("There is no record of last week's pages to compare with.")
    else:
        for title, met in (("blocked", traffic["blocked"]), ("warned of", traffic["warned"]), ("opened", traffic["opened"])):
            if met["requests"]:
                hosts = ", ".join(host["host"] for host in met["top"][:3])
                lines.append(f"Newly {title} last week: {met['requests']:,} pages of {met['users']:,} users, most of all {hosts}.")
        if len(lines) == 1:
            lines.append(f"None of last week's {traffic['pages']:,} pages would have met another decision.")
    return view | {"lines": lines, "why": [one["message"] for one in view["objections"] if one["blocks"]]}
