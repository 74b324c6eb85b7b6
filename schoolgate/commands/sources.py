"""`lists sources` and `lists fetch`: where lists come from, and fetching them."""
# ruff: noqa: PLC0415 - the database libraries are loaded by the commands that need them

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from schoolgate import firstrun, listing, terminal, wiring
from schoolgate.commands.lists import Kind, Name
from schoolgate.commands.lists import app as lists_app
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of
from schoolgate.paths import StatePaths

if TYPE_CHECKING:
    from analyser.lists.sources import Source
    from analyser.lists.trial import Proposal

app = typer.Typer(help="Where lists come from: addresses that are fetched, or files of this machine.", no_args_is_help=True)
lists_app.add_typer(app, name="sources")


@app.command("add")
def add(
    name: Name,
    address: Annotated[str, typer.Argument(help="https://…, or the path of a file or folder.")],
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", metavar="FORMAT", help="How it is written.", show_default="recognised from its content")
    ] = None,
    category: Annotated[str | None, typer.Option("--category", metavar="CATEGORY", help="Category of every entry.")] = None,
    kind: Annotated[Kind, typer.Option("--kind", metavar="block|allow", help="What its entries mean.")] = Kind.BLOCK,
    column: Annotated[
        list[str] | None, typer.Option("--column", metavar="COLUMN=MEANING", help="CSV and JSON: which column is entry or category.")
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option("--exact/--sub-domains", help="Whether a host stands for itself alone.", show_default="as the format means it"),
    ] = None,
    every: Annotated[
        int | None, typer.Option("--every", metavar="MINUTES", help="The console fetches it this often.", show_default="never by itself")
    ] = None,
    not_between: Annotated[
        str | None,
        typer.Option("--not-between", metavar="HOUR-HOUR", help="Hours, UTC, in which its publisher asks not to be asked: 8-19."),
    ] = None,
    publisher: Annotated[str, typer.Option("--publisher", metavar="NAME", help="Who publishes it.")] = "",
    licence: Annotated[str, typer.Option("--licence", metavar="NAME", help="Its licence.")] = "",
    checksum: Annotated[str, typer.Option("--checksum", metavar="ADDRESS", help="The publisher's file of checksums.")] = "",
    signature: Annotated[str, typer.Option("--signature", metavar="ADDRESS", help="The publisher's Ed25519 or minisign signature.")] = "",
    public_key: Annotated[str, typer.Option("--public-key", metavar="KEY", help="The key that belongs to the signature.")] = "",
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Fetch it without TLS: anybody on the way can change it.")] = False,
    state: State = DEFAULT,
) -> None:
    """Write down where a list comes from, or replace what was written down under this name; nothing is fetched yet."""
    from analyser.lists import sources

    paths = firstrun.existing(paths_of(state))
    pairs = [pair.partition("=") for pair in column or ()]
    if any(not key or not value for key, _, value in pairs):
        raise Problem("Write --column as COLUMN=entry or COLUMN=category.")
    source = sources.Source(
        name=name, address=address, format=format, category=category, kind=kind.value, subdomains=None if exact is None else not exact,
        columns={key: value for key, _, value in pairs} or None, every_minutes=every,
        not_between=sources.Hours.read(not_between) if not_between is not None else None, publisher=publisher, licence=licence,
        checksum=checksum, signature=signature, public_key=public_key, plain_http=plain_http,
    )  # fmt: skip
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.add(session, wiring.os_actor(operator()), source)
    terminal.say(f"Wrote the source {name} down; `schoolgate lists fetch {name}` fetches it.")


@app.command("list")
def every_source(state: State = DEFAULT, json: Json = False) -> None:
    """Show every source, and what its last run did."""
    from analyser.lists import sources

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = []
        for row in sources.every(session):
            run = next(iter(sources.runs(session, row.name, 1)), None)
            rows.append(
                msgspec.to_builtins(sources.settings_of(row))
                | {
                    "fetched": _time(row.fetched), "next_fetch": _time(row.next_fetch), "failures": row.failures,
                    "last_run": run.sentence if run is not None else None,
                }
            )  # fmt: skip
    if json:
        terminal.json({"sources": rows})
        return
    shown = [
        (str(r["name"]), str(r["address"]), str(r["fetched"] or ""), str(r["next_fetch"] or ""), str(r["last_run"] or "")) for r in rows
    ]
    terminal.table(("source", "address", "fetched", "next", "last run"), shown)


@app.command("remove")
def remove(name: Name, state: State = DEFAULT) -> None:
    """Forget a source and what was fetched from it; the list that was loaded from it stays."""
    from analyser.lists import fetch, sources

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.remove(session, wiring.os_actor(operator()), name)
    fetch.forget_files(paths.lists, name)
    terminal.say(f"Forgot the source {name}.")


@lists_app.command("fetch")
def fetch_command(
    name: Annotated[str | None, typer.Argument(help="One source; without a name all of them.")] = None,
    load: Annotated[bool, typer.Option("--load", help="Make it live, unless a guard holds it for a second person.")] = False,
    any_hour: Annotated[bool, typer.Option("--any-hour", help="Also in the hours that its publisher asks to be left alone in.")] = False,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Fetch lists from their sources; with --load make them live, too.

    Each run is reported; `lists sources list` shows the last one. Exit code 2 when one of them failed.
    """
    paths = firstrun.existing(paths_of(state))
    from analyser.lists import sources

    with wiring.casework_open(paths) as database, database.reading() as session:
        names = [name] if name is not None else [row.name for row in sources.every(session)]
    failed = [one for one in names if not _fetch_one(paths, config_of(paths, config), one, load, any_hour, scheduled, json)]
    if failed:
        raise typer.Exit(2)


def _fetch_one(paths: StatePaths, config: Path, name: str, load: bool, any_hour: bool, scheduled: bool, json: bool) -> bool:
    from analyser.casework.people import GATEWAY
    from analyser.lists import fetch
    from analyser.lists.errors import FetchError

    actor = GATEWAY if scheduled else wiring.os_actor(operator())
    try:
        with wiring.casework_open(paths) as database:
            report = fetch.fetch(database, paths.lists, name, actor, any_hour=any_hour)
    except FetchError as error:
        if json:
            terminal.json({"name": name, "result": "failed", "sentence": str(error)})
        terminal.complain(str(error))
        return False
    if json:
        terminal.json(report)
    terminal.say(report.sentence)
    return _offer(paths, config, name, scheduled) if load else True


def _offer(paths: StatePaths, config: Path, name: str, scheduled: bool) -> bool:
    """Make live what was fetched, unless it is live or held already; returns whether nothing failed."""
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
        outcome, found = listing.load(paths, config, proposal_of(source, path), row.created_by if scheduled else None)
    except ListError as error:
        terminal.complain(str(error))
        return False
    with wiring.casework_open(paths) as database, database.session() as session:
        sources.find(session, name).offered_sha256 = row.fetched_sha256
    if outcome.change is not None:
        terminal.warn(listing.held_sentence(found, outcome.change))
    elif outcome.report is not None:
        terminal.say(f"Loaded {name}: {outcome.report.entries:,} entries, {found.change.added:,} new, {found.change.removed:,} gone.")
    return True


def proposal_of(source: "Source", path: Path) -> "Proposal":
    """Return the fetched file of a source as something to try."""
    from analyser.lists.trial import Proposal

    return Proposal(
        source.name, str(path), source.format, source.category, source.kind, source.subdomains, source.columns, source.publisher,
        source.licence,
    )  # fmt: skip


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
