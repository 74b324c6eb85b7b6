"""`events`: what the gateway decided."""

import re
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from schoolgate import answers, firstrun, terminal
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Json, State, operator, paths_of
from schoolgate.paths import StatePaths
from schoolgate.storelock import store_lock

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TIME = "a time such as 2026-11-23T10:30, or 30m, 2h, 7d ago"


def events(
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"From then on: {_TIME}.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before then.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Of one person; see --reason.")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="ACTION", help="allow, log, warn, block or error.")] = None,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="Of one site, its sub-domains included.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Of one policy group.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many, the newest first.")] = 200,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why you look at a person's history.")] = None,
    state: State = DEFAULT,
    json: Json = False,
) -> None:
    """Show events, the newest first; with --json one JSON object on each line.

    It asks the running console, and opens the event store itself when no console runs. Both write into the audit that you looked.
    """
    paths = firstrun.existing(paths_of(state))
    if user is not None and not (reason or "").strip():
        reason = _ask_why(user)
    filters: dict[str, Any] = {
        "since": None if since is None else moment(since, "--since"), "until": None if until is None else moment(until, "--until"),
        "user": user, "action": action, "host": host, "group": group, "limit": limit, "reason": reason,
    }  # fmt: skip
    found = _find(paths, {name: value for name, value in filters.items() if value is not None})
    if json:
        encode = msgspec.json.Encoder().encode
        for event in found:
            terminal.out(encode(event).decode())
        return
    rows = [
        (_clock(event["time"]), str(event["user"] or event["client_address"]), str(event["action"]), str(event["category"]), _what(event))
        for event in found
    ]
    terminal.table(("time", "who", "action", "category", "what"), rows)


def _find(paths: StatePaths, filters: dict[str, Any]) -> list[dict[str, Any]]:
    with store_lock(paths) as mine:
        if mine:
            return answers.stored_events(paths, operator(), filters)
    from schoolgate.ask import console_of  # noqa: PLC0415 - the HTTP client is loaded only when there is a console to ask

    console = console_of(paths)
    try:
        rows: list[dict[str, Any]] = console.get("/api/v1/events", filters)["events"]
        return rows
    finally:
        console.close()


def moment(text: str, option: str) -> float:
    """Read a time as seconds since the epoch: ISO 8601 (without an offset: this machine's zone) or `2h` for two hours ago."""
    if ago := _AGO.fullmatch(text.strip()):
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise Problem(f"{option} {text!r} is not {_TIME}.") from None


def _ask_why(user: str) -> str | None:
    """Ask a person at a terminal why they look; a script that gives no reason is audited as having given none."""
    if not (sys.stdin.isatty() and terminal.terminal()):
        terminal.warn("The audit keeps that no reason was given; --reason gives one.")
        return None
    return str(typer.prompt(f"Why do you look at the history of {user}?", err=True))


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _what(event: dict[str, Any]) -> str:
    if event["url_digest"]:
        return f"an entry of a sealed list ({event['url_digest'][:12]})"
    text = f"{event['host']}{event['path']}" if event["host"] else str(event["fault"])
    return f"{text}   “{event['search']}”" if event["search"] else text
