"""`lists sources` and `lists fetch`: where lists come from, and fetching them."""
# ruff: noqa: PLC0415 - the database libraries are loaded by the commands that need them

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schoolgate import firstrun, listing, terminal, wiring
from schoolgate.commands.listoptions import (
    Category,
    Columns,
    Exact,
    Expressions,
    Format,
    Kind,
    KindOption,
    Licence,
    Maps,
    Name,
    Publisher,
    Sealed,
    asked_columns,
    asked_map,
)  # fmt: skip
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of
from schoolgate.paths import StatePaths
from schoolgate.progress import progress

if TYPE_CHECKING:
    from analyser.lists.changes import Outcome
    from analyser.lists.preview import Preview

app = typer.Typer(help="Where lists come from: addresses that are fetched, or files of this machine.", no_args_is_help=True)


@app.command("add")
def add(
    name: Name,
    address: Annotated[str, typer.Argument(help="https://…, or the path of a file or folder.")],
    format: Format = None,  # noqa: A002 - the option's name
    category: Category = None,
    kind: KindOption = Kind.BLOCK,
    maps: Maps = None,
    column: Columns = None,
    exact: Exact = None,
    expressions: Expressions = False,
    every: Annotated[
        int | None, typer.Option("--every", metavar="MINUTES", help="The console fetches it this often.", show_default="never by itself")
    ] = None,
    not_between: Annotated[
        str | None,
        typer.Option("--not-between", metavar="HOUR-HOUR", help="Hours, UTC, in which its publisher asks not to be asked: 8-19."),
    ] = None,
    publisher: Publisher = "",
    licence: Licence = "",
    checksum: Annotated[str, typer.Option("--checksum", metavar="ADDRESS", help="The publisher's file of checksums.")] = "",
    signature: Annotated[str, typer.Option("--signature", metavar="ADDRESS", help="The publisher's Ed25519 or minisign signature.")] = "",
    public_key: Annotated[str, typer.Option("--public-key", metavar="KEY", help="The key that belongs to the signature.")] = "",
    sealed: Sealed = False,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials",
            metavar="FILE",
            help='Who asks, for lists that members alone may have: user = "…" and password = "…", or token = "…", in a file of yours.',
        ),
    ] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Fetch it without TLS: anybody on the way can change it.")] = False,
    state: State = DEFAULT,
) -> None:
    """Write down where a list comes from, or replace what was written down under this name; nothing is fetched yet."""
    from analyser.lists import fetch, sources

    paths = firstrun.existing(paths_of(state))
    source = sources.Source(
        name=name, address=address, format=format, category=category, kind=kind.value, subdomains=None if exact is None else not exact,
        columns=asked_columns(column), every_minutes=every, expressions=expressions, categories=asked_map(maps),
        not_between=sources.Hours.read(not_between) if not_between is not None else None, publisher=publisher, licence=licence,
        checksum=checksum, signature=signature, public_key=public_key, plain_http=plain_http, sealed=sealed,
        credentials=str(credentials) if credentials is not None else "",
    )  # fmt: skip
    if not sealed:
        listing.refuse_sealed(paths, name)
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.add(session, wiring.os_actor(operator()), source)
    if sealed:
        fetch.forget_files(paths.lists, name)  # what was fetched under this name while it was not sealed
    terminal.say(f"Wrote the source {name} down; `schoolgate lists fetch {name}` fetches it.")


@app.command("list")
def every_source(state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Show every source, its category map, and what its last run did."""
    from analyser.lists import sources

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = []
        for row in sources.every(session):
            run = next(iter(sources.runs(session, row.name, 1)), None)
            rows.append(
                msgspec.to_builtins(sources.settings_of(row))
                | {
                    "fetched": row.fetched, "next_fetch": row.next_fetch, "failures": row.failures,
                    "last_run": run.sentence if run is not None else None,
                }
            )  # fmt: skip
    if json:
        terminal.json({"sources": [row | {name: _time(row[name]) for name in ("fetched", "next_fetch")} for row in rows]})
        return
    when = wiring.clock(config_of(paths, config))
    shown = [
        (
            str(r["name"]), str(r["address"]), r.get("format") or "recognised", _categories(r), r.get("publisher", ""),
            r.get("licence", ""), when(r["fetched"]), when(r["next_fetch"]), str(r["last_run"] or ""),
        ) for r in rows
    ]  # fmt: skip
    terminal.table(("source", "address", "format", "categories", "publisher", "licence", "fetched", "next", "last run"), shown)


def _categories(source: dict[str, Any]) -> str:
    mapped = ", ".join(f"{theirs} = {ours}" for theirs, ours in (source.get("categories") or {}).items())
    return mapped or str(source.get("category") or "the publisher's")


@app.command("runs")
def runs(
    name: Annotated[str | None, typer.Argument(help="One source; without a name all of them.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="At most so many.")] = 50,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the report of each run of a fetch, the newest first: when, by whom, and what it did or why it could not."""
    from analyser.lists import sources

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        found = [
            {
                "name": run.name, "started": run.started, "seconds": round(run.finished - run.started, 1), "by": run.started_by,
                "result": run.result, "sentence": run.sentence, "bytes": run.bytes, "sha256": run.sha256,
            }
            for run in sources.runs(session, name, limit)
        ]  # fmt: skip
    if json:
        terminal.json({"runs": [row | {"started": _time(float(str(row["started"])))} for row in found]})
        return
    when = wiring.clock(config_of(paths, config))
    shown = [(str(r["name"]), when(float(str(r["started"]))), str(r["by"]), str(r["result"]), str(r["sentence"])) for r in found]
    terminal.table(("source", "started", "by", "result", "report"), shown)


@app.command("remove")
def remove(name: Name, state: State = DEFAULT) -> None:
    """Forget a source and what was fetched from it; the list that was loaded from it stays."""
    from analyser.lists import fetch, sources

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.remove(session, wiring.os_actor(operator()), name)
    fetch.forget_files(paths.lists, name)
    terminal.say(f"Forgot the source {name}.")


def fetch_command(
    name: Annotated[str | None, typer.Argument(help="One source; without a name all of them.")] = None,
    load: Annotated[bool, typer.Option("--load", help="Make it live, unless a guard holds it for a second person.")] = False,
    any_hour: Annotated[bool, typer.Option("--any-hour", help="Also in the hours that its publisher asks to be left alone in.")] = False,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Fetch lists from their sources; with --load make them live, too, as sealed lists always are.

    Each run is reported; `lists sources list` shows the last one. Exit code 2 when one of them failed.
    """
    paths = firstrun.existing(paths_of(state))
    from analyser.lists import sources

    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = [sources.find(session, name)] if name is not None else sources.every(session)
        wanted = {row.name: sources.settings_of(row).sealed for row in rows}
    policy = config_of(paths, config)
    failed = [
        one
        for one, sealed in wanted.items()
        if not (
            _fetch_sealed(paths, policy, one, any_hour, scheduled, json)
            if sealed
            else _fetch_one(paths, policy, one, load, any_hour, scheduled, json)
        )
    ]
    if failed:
        raise typer.Exit(2)


def _fetch_one(paths: StatePaths, config: Path, name: str, load: bool, any_hour: bool, scheduled: bool, json: bool) -> bool:
    from analyser.casework.people import GATEWAY
    from analyser.lists import fetch
    from analyser.lists.errors import FetchError

    actor = GATEWAY if scheduled else wiring.os_actor(operator())
    try:
        with wiring.casework_open(paths) as database, progress(f"Fetching {name}") as shown:
            report = fetch.fetch(
                database, paths.lists, name, actor, any_hour=any_hour, trusted=wiring.trusted_ca(config), tell=shown.reached
            )  # fmt: skip
    except FetchError as error:
        if json:
            terminal.json({"name": name, "result": "failed", "sentence": str(error)})
        terminal.complain(str(error))
        return False
    if json:
        terminal.json(report)
    terminal.say(report.sentence)
    return _offer(paths, config, name, scheduled) if load else True


def _fetch_sealed(paths: StatePaths, config: Path, name: str, any_hour: bool, scheduled: bool, json: bool) -> bool:
    from analyser.lists.errors import FetchError

    try:
        with progress(f"Fetching {name}") as shown:
            report, done = listing.fetch_sealed(paths, config, name, scheduled=scheduled, any_hour=any_hour, shown=shown)
    except FetchError as error:
        if json:
            terminal.json({"name": name, "result": "failed", "sentence": str(error)})
        terminal.complain(str(error))
        return False
    if json:
        terminal.json(report)
    terminal.say(report.sentence)
    if done is not None and done.change is not None:
        terminal.warn(listing.held_sentence(done.found, done.change))
    elif done is not None:
        for line in listing.warnings(done.found):
            terminal.warn(f"  {line}")
    return True


def _offer(paths: StatePaths, config: Path, name: str, scheduled: bool) -> bool:
    """Make live what was fetched, unless it is live or held already; returns whether nothing failed."""
    from analyser.casework.people import GATEWAY
    from analyser.lists import fetch, sources
    from blocklists.errors import ListError

    with wiring.casework_open(paths) as database:
        source, path = fetch.fetched_file(database, name)
        with database.reading() as session:
            row = sources.find(session, name)
    if row.offered_sha256 == row.fetched_sha256:
        return True
    try:
        # Of a refresh by the clock, whoever wrote the source down is the first person.
        proposal = fetch.proposal_of(source, path, scheduled=scheduled)
        outcome, found = listing.load(paths, config, proposal, row.created_by if scheduled else None)
    except (ListError, OSError) as error:
        sentence = str(error) if isinstance(error, ListError) else wiring.sentence_of(error) or str(error)
        with wiring.casework_open(paths) as database:
            fetch.note_failure(database, name, wiring.os_actor(operator()) if not scheduled else GATEWAY, sentence)
        terminal.complain(sentence)
        return False
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.find(session, name).offered_sha256 = row.fetched_sha256
        sources.note_outcome(session, name, _done(name, outcome, found))
    if outcome.change is not None:
        terminal.warn(listing.held_sentence(found, outcome.change))
    elif outcome.report is not None:
        terminal.say(_done(name, outcome, found))
        for line in listing.warnings(found):
            terminal.warn(f"  {line}")
    return True


def _done(name: str, outcome: "Outcome", found: "Preview") -> str:
    """Say what became of what was fetched."""
    if outcome.report is None:
        return f"It waits for a second person as number {outcome.change}."
    paused = ", and is paused" if found.paused else ""
    return f"Loaded {name}: {outcome.report.entries:,} entries, {found.change.added:,} new, {found.change.removed:,} gone{paused}."


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
