"""Changes of alerts as they happen: server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse

from analyser import alerts
from analyser.casework import audit
from analyser.feed import Change
from api.console import Console, console_of
from api.identity import Needs, Person, find_person
from api.looks import Reason, ReasonHeader, why
from api.permissions import Permission, may

router = APIRouter(prefix="/api/v1/alerts")

CHECK_SECONDS = 3.0
"""How often a stream looks whether its reader still may: a disabled account or revoked token follows no longer than this."""


@router.get("/stream")
def stream(
    request: Request,
    console: Annotated[Console, Depends(console_of)],
    person: Annotated[Person, Depends(Needs(Permission.READ_ALERTS))],
    since: Annotated[int | None, Query(ge=0)] = None,
    reason: Reason = None,
    x_reason: ReasonHeader = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> StreamingResponse:
    """Send each change of an alert: `id:` is its revision, `event:` is `alert`, `data:` the alert as the list shows it.

    It begins after `Last-Event-ID` or `since`, without either with what changes from now on. A comment breaks every
    silence, and the stream ends when the person is signed out or the console stops.
    """
    after = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else since
    with console.casework.session() as session:
        audit.append(session, person.actor, "alerts.follow", "alerts", {"after": after, "reason": why(person, reason, x_reason)})
    if after is None:
        # Before the answer begins: nothing that happens once the listener sees it is missed.
        with console.casework.reading() as session:
            after = alerts.latest_revision(session)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_changes(request, console, after), media_type="text/event-stream", headers=headers)


async def _changes(request: Request, console: Console, after: int) -> AsyncIterator[bytes]:
    async with console.analyser.subscribe(after) as feed:
        yield b"retry: 2000\n: the alerts, as they change\n\n"
        closing = asyncio.create_task(console.closing.wait())
        # Never cancelled by the clock: a change that is just being read would be lost with it.
        coming = asyncio.create_task(feed.changes())
        spoken = checked = time.monotonic()
        try:
            while True:
                pause = min(CHECK_SECONDS, console.settings.heartbeat_seconds)
                done, _ = await asyncio.wait({closing, coming}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if closing in done:
                    return
                now = time.monotonic()
                # By the clock, not by silence: alerts that keep coming must not carry a revoked reader along.
                if now - checked >= pause:
                    if not await asyncio.to_thread(_still_may, request):
                        return
                    checked = now
                if coming in done:
                    yield b"".join(message(change) for change in coming.result())
                    coming = asyncio.create_task(feed.changes())
                    spoken = now
                elif now - spoken >= console.settings.heartbeat_seconds:
                    yield b": still here\n\n"
                    spoken = now
        finally:
            closing.cancel()
            coming.cancel()


def message(change: Change) -> bytes:
    """Return one change as a message of the stream; JSON has no line ends, so one `data:` line is enough."""
    return b"id: %d\nevent: alert\ndata: %s\n\n" % (change.revision, change.json)


def _still_may(request: Request) -> bool:
    try:
        person = find_person(request, use=False)
    except Exception:  # noqa: BLE001  (a token revoked while the stream runs, a database that is closing: end it either way)
        return False
    return person is not None and may(person.role, Permission.READ_ALERTS)
