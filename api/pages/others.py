"""The smaller pages: health, numbers, and why a page is open or blocked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from analyser.casework.clock import moment
from api.console import Console, console_of
from api.errors import RefusedError
from api.identity import Needs, Person
from api.labels import DECISIONS, SENTENCES, themes
from api.permissions import Permission
from api.render import page
from api.times import clock
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
    facts = [
        ("Events kept", f"{store['events']:,}"),
        ("Newest event", _clock(console, store["newest"]) if store["newest"] else "none yet"),
        ("Size of the store", f"{(store['file_bytes'] + store['log_bytes']) / 1048576:,.1f} MB"),
        ("Waiting to be taken in", f"{ingest['waiting_segments']} files, the oldest {ingest['oldest_waiting_seconds']:.1f} s old"),
        ("Torn lines kept aside", f"{store['torn_lines']:,}"),
        ("Free on the disk", f"{view['disk_free_bytes'] / 1e9:,.1f} GB"),
    ]
    return page(request, "health.html", health=view, facts=facts, now=moment(), loaded=_clock(console, view["ruleset"]["loaded"]))


@router.get("/numbers")
def numbers(
    request: Request, console: Desk, _: Annotated[Person, Depends(Needs(Permission.READ_NUMBERS))], period: Period = "month"
) -> Response:
    """Show counts without names."""
    return page(request, "numbers.html", numbers=counts(console, period), periods=list(PERIODS), themes=themes(console.policy()))


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


def _clock(console: Console, text: str) -> str:
    return clock(datetime.fromisoformat(text).timestamp(), console.timezone())
