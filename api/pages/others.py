"""The smaller pages: health, numbers, and why a page is open or blocked."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from analyser.casework.clock import moment
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.labels import COUNTED, DECISIONS, SENTENCES, STATES, TRIAGES, themes
from api.permissions import Permission
from api.render import LEVELS, page
from api.times import clock, day
from api.v1.explain import explanation
from api.v1.health import lists_view
from api.v1.numbers import PERIODS, Period, counts

router = APIRouter()

Desk = Annotated[Console, Depends(console_of)]


@router.get("/health")
def health(request: Request, console: Desk, _: Annotated[Person, Depends(Needs(Permission.READ_HEALTH))]) -> Response:
    """Show whether everything works."""
    view = console.analyser.health_view() | {"lists": lists_view(console)}
    store, ingest = view["store"], view["ingest"]
    waiting, oldest = ingest["waiting_segments"], ingest["oldest_waiting_seconds"]
    facts = [
        ("Events kept", f"{store['events']:,}"),
        ("Newest event", clock(store["newest"], console.timezone()) if store["newest"] else "none yet"),
        ("Size of the store", f"{(store['file_bytes'] + store['log_bytes']) / 1048576:,.1f} MB"),
        ("Waiting to be taken in", f"{waiting} files, the oldest {oldest:.1f} s old" if waiting else "nothing"),
        ("Torn lines kept aside", f"{store['torn_lines']:,}"),
        ("Free on the disk", f"{view['disk_free_bytes'] / 1e9:,.1f} GB"),
    ]
    return page(request, "health.html", health=view, facts=facts, now=moment())


@router.get("/numbers")
def numbers(
    request: Request, console: Desk, _: Annotated[Person, Depends(Needs(Permission.READ_NUMBERS))], period: Period = "month"
) -> Response:
    """Show counts without names."""
    counted, zone = counts(console, period), console.timezone()
    names = {"theme": themes(console.policy()), "level": {str(level): f"{level} {name}" for level, name in LEVELS.items()},
             "state": STATES, "triage": TRIAGES}  # fmt: skip
    # `until` is the midnight at which the last day ends.
    days = day(counted["since"], zone), day(counted["until"] - 1, zone)
    return page(request, "numbers.html", numbers=counted, days=days, periods=list(PERIODS), titles=COUNTED, names=names)


@router.get("/why")
def why(
    request: Request,
    console: Desk,
    _: Annotated[Person, Depends(Needs(Permission.EXPLAIN))],
    url: str = "",
    group: str = "",
    user: str = "",
) -> Response:
    """Explain one decision."""
    answer, sentence = None, ""
    if url:
        try:
            answer = explanation(console, url[:4096], user=user or None, group=group or None)
        except RefusedError as error:
            sentence = error.sentence
    policy = console.policy()
    return page(
        request, "why.html", status=422 if sentence else 200, answer=answer, sentence=sentence,
        form={"url": url, "group": group, "user": user},
        groups=list(policy.groups), actions=DECISIONS, themes=themes(policy), reasons=SENTENCES,
    )  # fmt: skip
