"""`lists preview`, `changes`, `approve`, `history`, `rollback`, `why` and their like: look before, take back after."""
# ruff: noqa: PLC0415 - the lists' libraries are loaded by the commands that need them

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate import firstrun, listing, terminal, wiring
from schoolgate.commands.listoptions import Category, Columns, Exact, Expressions, Format, Kind, KindOption, Maps, Name, proposed
from schoolgate.commands.lists import app
from schoolgate.commands.sources import app as sources_app
from schoolgate.commands.sources import fetch_command
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of
from schoolgate.progress import progress

if TYPE_CHECKING:
    from analyser.lists.preview import Preview
    from analyser.lists.traffic import Met

__all__ = ["app"]

app.add_typer(sources_app, name="sources")
app.command("fetch")(fetch_command)

Number = Annotated[int, typer.Argument(help="Number of the held list; `lists changes` shows them.")]
SHOWN_CATEGORIES = 12
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the audit.")]


@app.command("preview")
def preview(
    name: Name,
    path: Annotated[Path | None, typer.Argument(help="File, folder or archive with the list; or --fetched.")] = None,
    fetched: Annotated[bool, typer.Option("--fetched", help="What `lists fetch` fetched last for the source of this name.")] = False,
    format: Format = None,  # noqa: A002 - the option's name
    category: Category = None,
    kind: KindOption = Kind.BLOCK,
    maps: Maps = None,
    column: Columns = None,
    exact: Exact = None,
    expressions: Expressions = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what a list would change if it were loaded, and what last week's page requests would have met. Nothing becomes live."""
    from analyser.lists import fetch

    paths = firstrun.existing(paths_of(state))
    if (path is None) != fetched:
        raise Problem("Say what to look at: a PATH, or --fetched for what was fetched from the list's source.")
    listing.refuse_sealed(paths, name)
    if path is not None:
        proposal = proposed(name, path, format, category, kind, maps, column, exact, expressions)
    else:
        with wiring.casework_open(paths) as database:
            proposal = fetch.proposal_of(*fetch.fetched_file(database, name))
    with progress(f"Reading {name}") as shown, listing.tried(paths, config_of(paths, config), proposal, shown=shown) as (_, found):
        pass
    if json:
        terminal.json(found)
        return
    for line in in_words(found):
        terminal.out(line)


def in_words(found: "Preview") -> list[str]:
    """Return the lines that people read."""
    change, traffic = found.change, found.traffic
    lines = [f"{found.name}: {found.entries:,} entries ({found.format}{': ' + found.why_format if found.why_format else ''})"]
    lines += [f"  {change.added:,} new, {change.removed:,} gone, {sum(change.moved.values()):,} moved; now {change.before:,} are loaded"]
    if found.duplicates:
        lines.append(f"  {found.duplicates:,} of the entries stand there more than once")
    if not change.before and change.after > change.added:
        lines.append(f"  {change.after - change.added:,} of the entries stand in more than one category")
    lines += [f"  moved {way}: {count:,}" for way, count in list(change.moved.items())[:10]]
    lines += [f"  category {name}: {count:,} entries{_labels(found, name)}" for name, count in _biggest(found.categories)]
    if len(found.categories) > SHOWN_CATEGORIES:
        lines.append(f"  … and {len(found.categories) - SHOWN_CATEGORIES} more categories; --json names them all")
    if found.skipped:
        lines.append(f"  {found.skipped:,} lines are nothing for a gateway and were left out")
    if found.refused:
        lines.append(f"  {found.refused:,} lines were refused:")
        lines += [f"    {line.file}:{line.line}: {line.text[:60]}: {line.reason}" for line in found.refusals[:10]]
    if change.parents:
        lines.append("Most new entries under: " + ", ".join(f"{parent} ({count:,})" for parent, count in change.parents))
    if traffic is None:
        lines.append("There is no record of last week's traffic to compare with.")
    else:
        lines.append(f"Of last week's {traffic.pages:,} page requests ({traffic.allowed:,} went through):")
        lines += [*_met("newly blocked", traffic.blocked), *_met("newly warned of", traffic.warned), *_met("newly opened", traffic.opened)]
        if not traffic.complete:
            lines.append("  There is more than could be looked at: the numbers are the least.")
    if found.held:
        lines.append("Somebody else would have to approve it:")
    return lines + [f"  {line}" for line in listing.warnings(found)]


def _biggest(categories: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(categories.items(), key=lambda pair: -pair[1])[:SHOWN_CATEGORIES]


def _labels(found: "Preview", category: str) -> str:
    """Say what the publisher gives a category for, where it says so, in its own folder and in `global_usage`."""
    own, everywhere = found.usage.get(category, ()), found.global_usage.get(category, ())
    if not own and not everywhere:
        return ""
    said = " and ".join(own) or "not said"
    return f" (publisher: {said}{'; global_usage: ' + ' and '.join(everywhere) if everywhere and everywhere != own else ''})"


def _met(title: str, met: "Met") -> list[str]:
    if not met.requests:
        return [f"  {title}: none"]
    lines = [f"  {title}: {met.requests:,} requests of {met.users:,} users on {met.hosts:,} hosts"]
    return lines + [f"    {host.host}: {host.requests:,} requests of {host.users:,} users" for host in met.top]


@app.command("changes")
def held(state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Show the lists that wait for a second person, and what was decided."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = [changes.view(row) for row in changes.changes(session)]
    if json:
        terminal.json({"list_changes": rows})
        return
    when = wiring.clock(config_of(paths, config))
    shown = [(str(r["id"]), r["name"], r["act"], r["status"], when(r["proposed"]), r["proposed_by"], _first(r["objections"])) for r in rows]
    terminal.table(("number", "list", "what", "status", "since", "by", "why"), shown)


@app.command("approve")
def approve(number: Number, note: Note = "", state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Make a held list live; somebody else than the one who loaded it has to do that."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database:
        with database.reading() as session:
            act = str(changes.view(changes.find(session, number))["act"])
        report = changes.approve(database, wiring.library(paths), paths.sealed, number, wiring.os_actor(operator()), note=note)
    wiring.build_ruleset(paths, config_of(paths, config))
    if json:
        terminal.json(report)
    done = {"pause": "is paused", "remove": "is removed", "resume": "is asked again"}
    terminal.say(f"Approved: {report.name} {done.get(act, f'is live with {report.entries:,} entries')}.")


@app.command("refuse")
def refuse(number: Number, note: Note = "", state: State = DEFAULT) -> None:
    """Throw a held list away; the list that is live stays."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database:
        changes.refuse(database, wiring.library(paths), number, wiring.os_actor(operator()), note=note)
    terminal.say(f"Refused: the held list number {number} was thrown away.")


@app.command("history")
def history(name: Name, state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Show the versions of a list that are kept, the newest first; `lists rollback` puts one back."""
    paths = firstrun.existing(paths_of(state))
    library = wiring.library(paths)
    versions = library.history.versions(name)
    live = next((one.version for one in library.all_stored() if one.name == name), None)
    rows: list[dict[str, Any]] = [
        {
            "version": one.version, "live": one.version == live, "loaded": one.loaded, "entries": one.entries, "refused": one.refused,
            "format": one.format, "sha256": one.sha256, "source": one.source,
        }
        for one in versions
    ]  # fmt: skip
    if not rows:
        raise Problem(f"There is no list named {name!r}; `schoolgate lists status` shows the names.")
    if json:
        terminal.json({"versions": rows})
        return
    when = wiring.clock(config_of(paths, config))
    shown = [
        (str(r["version"]), "live" if r["live"] else "", when(r["loaded"]), f"{r['entries']:,}", r["sha256"][:12], r["source"])
        for r in rows
    ]
    terminal.table(("version", "", "loaded", "entries", "sha256", "source"), shown)


@app.command("rollback")
def rollback(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="Which one; `lists history` shows them.", show_default="the one before")] = None,
    state: State = DEFAULT,
    config: Config = None,
) -> None:
    """Put an earlier version of a list back; a running gateway takes it up within a second."""
    from analyser.lists.trial import Proposal

    paths = firstrun.existing(paths_of(state))
    found = listing.do(paths, config_of(paths, config), Proposal(name, act="rollback", version=version))
    live = "is live again" if not found.paused else "is back, and paused as the list was"
    terminal.say(f"Version {found.version} of {name} {live}: {found.entries:,} entries.")


@app.command("diff")
def diff(
    name: Name,
    first: Annotated[int, typer.Argument(help="One version; `lists history` shows them.")],
    second: Annotated[int, typer.Argument(help="The other one.")],
    state: State = DEFAULT,
    json: Json = False,
) -> None:
    """Show what changed from one version of a list to another."""
    from analyser.lists.versions import between

    paths = firstrun.existing(paths_of(state))
    change = between(wiring.library(paths), name, first, second)
    if json:
        terminal.json(change)
        return
    terminal.out(f"{name}: {change.before:,} entries in version {first}, {change.after:,} in version {second}")
    terminal.out(f"  {change.added:,} new, {change.removed:,} gone, {sum(change.moved.values()):,} moved")
    for category, (come, gone) in change.by_category.items():
        terminal.out(f"  {category}: {come:,} new, {gone:,} gone")
    for title, texts in (("new", change.added_examples), ("gone", change.removed_examples)):
        if texts:
            terminal.out(f"  {title}, for example: {', '.join(texts)}")


@app.command("pause")
def pause(name: Name, state: State = DEFAULT, config: Config = None) -> None:
    """Leave a list out of what the gateway asks, without forgetting it."""
    _set_paused(name, True, state, config)


@app.command("resume")
def resume(name: Name, state: State = DEFAULT, config: Config = None) -> None:
    """Take a paused list in again."""
    _set_paused(name, False, state, config)


def _set_paused(name: str, paused: bool, state: Path, config: Path | None) -> None:
    from analyser.lists.trial import Proposal

    paths = firstrun.existing(paths_of(state))
    listing.do(paths, config_of(paths, config), Proposal(name, act="pause" if paused else "resume"))
    terminal.say(f"{name} is {'paused' if paused else 'asked again'}.")


def _first(objections: list[dict[str, Any]]) -> str:
    return next((str(one["message"]) for one in objections if one["blocks"]), "")
