"""`lists preview`, `changes`, `approve`, `history`, `rollback`, `why` and their like: look before, take back after."""
# ruff: noqa: PLC0415 - the lists' libraries are loaded by the commands that need them

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schoolgate import firstrun, listing, terminal, wiring
from schoolgate.commands.lists import Kind, Name, app
from schoolgate.commands.sources import proposal_of
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of

if TYPE_CHECKING:
    from analyser.lists.preview import Preview
    from analyser.lists.traffic import Met

__all__ = ["app"]

Number = Annotated[int, typer.Argument(help="Number of the held list; `lists changes` shows them.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the audit.")]


@app.command("preview")
def preview(
    name: Name,
    path: Annotated[Path | None, typer.Argument(help="File, folder or archive with the list; or --fetched.")] = None,
    fetched: Annotated[bool, typer.Option("--fetched", help="What `lists fetch` fetched last for the source of this name.")] = False,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", metavar="FORMAT", help="How it is written.", show_default="recognised from its content")
    ] = None,
    category: Annotated[str | None, typer.Option("--category", metavar="CATEGORY", help="Category of every entry.")] = None,
    kind: Annotated[Kind, typer.Option("--kind", metavar="block|allow", help="What its entries mean.")] = Kind.BLOCK,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what a list would change if it were loaded, and what last week's page requests would have met. Nothing becomes live."""
    from analyser.lists import fetch
    from analyser.lists.trial import Proposal

    paths = firstrun.existing(paths_of(state))
    if (path is None) != fetched:
        raise Problem("Say what to look at: a PATH, or --fetched for what was fetched from the list's source.")
    if path is not None:
        proposal = Proposal(name, str(path.expanduser().absolute()), format, category, kind.value)
    else:
        with wiring.casework_open(paths) as database:
            proposal = proposal_of(*fetch.fetched_file(database, name))
    with listing.tried(paths, config_of(paths, config), proposal) as (_, found):
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
    lines += [f"  moved {way}: {count:,}" for way, count in list(change.moved.items())[:10]]
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


def _met(title: str, met: "Met") -> list[str]:
    if not met.requests:
        return [f"  {title}: none"]
    lines = [f"  {title}: {met.requests:,} requests of {met.users:,} users on {met.hosts:,} hosts"]
    return lines + [f"    {host.host}: {host.requests:,} requests of {host.users:,} users" for host in met.top]


@app.command("changes")
def held(state: State = DEFAULT, json: Json = False) -> None:
    """Show the lists that wait for a second person, and what was decided."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database, database.reading() as session:
        rows = [changes.view(row) for row in changes.changes(session)]
    if json:
        terminal.json({"list_changes": rows})
        return
    shown = [(str(r["id"]), r["name"], r["status"], r["proposed_by"], _first(r["objections"])) for r in rows]
    terminal.table(("number", "list", "status", "loaded by", "why"), shown)


@app.command("approve")
def approve(number: Number, note: Note = "", state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Make a held list live; somebody else than the one who loaded it has to do that."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database:
        report = changes.approve(database, wiring.library(paths), number, wiring.os_actor(operator()), note=note)
    wiring.build_ruleset(paths, config_of(paths, config))
    if json:
        terminal.json(report)
    terminal.say(f"Approved: {report.name} is live with {report.entries:,} entries.")


@app.command("refuse")
def refuse(number: Number, note: Note = "", state: State = DEFAULT) -> None:
    """Throw a held list away; the list that is live stays."""
    from analyser.lists import changes

    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database:
        changes.refuse(database, wiring.library(paths), number, wiring.os_actor(operator()), note=note)
    terminal.say(f"Refused: the held list number {number} was thrown away.")


@app.command("history")
def history(name: Name, state: State = DEFAULT, json: Json = False) -> None:
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
    shown = [
        (str(r["version"]), "live" if r["live"] else "", r["loaded"], f"{r['entries']:,}", r["sha256"][:12], r["source"]) for r in rows
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
    paths = firstrun.existing(paths_of(state))
    stored = wiring.library(paths).rollback(name, version)
    wiring.audit(paths, operator(), "lists.rollback", f"list:{name}", {"version": stored.version, "entries": stored.entries})
    wiring.compile_lists(paths, config_of(paths, config))
    terminal.say(f"Version {stored.version} of {name} is live again: {stored.entries:,} entries.")


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
    paths = firstrun.existing(paths_of(state))
    wiring.library(paths).pause(name, paused)
    wiring.audit(paths, operator(), "lists.pause" if paused else "lists.resume", f"list:{name}", {})
    wiring.compile_lists(paths, config_of(paths, config))
    terminal.say(f"{name} is {'paused' if paused else 'asked again'}.")


@app.command("why")
def why(
    url: Annotated[str, typer.Argument(help="The address, as a browser would open it.")], state: State = DEFAULT, json: Json = False
) -> None:
    """Show every entry that speaks of an address: list, publisher, version, and the line of the source."""
    from blocklists.url import canonicalise
    from blocklists.why import why as reasons_of

    library = wiring.library(firstrun.existing(paths_of(state)))
    index = library.open_index()
    found = reasons_of(library, index, library.open_allow(), canonicalise(url))
    index.close()
    if json:
        terminal.json({"url": url, "reasons": found})
        return
    if not found:
        terminal.out("No list speaks of this address.")
    for one in found:
        place = f"{one.file or one.source}:{one.line}" if one.line else one.source
        publisher = f", published by {one.publisher}" if one.publisher else ""
        terminal.out(f"{one.action}: {one.entry} ({one.kind}) in {one.list}, category {one.category or 'none'}{publisher}")
        terminal.out(f"  version {one.version} of {one.loaded}, {place}")


@app.command("search")
def search(
    text: Annotated[str, typer.Argument(help="Part of an entry.")],
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 100,
    state: State = DEFAULT,
    json: Json = False,
) -> None:
    """Show the entries of all lists that hold a text; sealed lists and digests hold none."""
    from blocklists.why import search as entries_with

    found = entries_with(wiring.library(firstrun.existing(paths_of(state))), text, limit)
    if json:
        terminal.json({"entries": found})
        return
    terminal.table(("list", "category", "kind", "entry"), [(one.list, one.category, one.kind, one.entry) for one in found])


@app.command("overlap")
def overlap(state: State = DEFAULT, json: Json = False) -> None:
    """Show which lists share entries, and how many."""
    from blocklists.compare import overlap as overlaps

    found = overlaps(wiring.library(firstrun.existing(paths_of(state))))
    if json:
        terminal.json({"overlaps": found})
        return
    rows = [(one.first, one.second, f"{one.shared:,}", f"{one.share_of_first:.0%}", f"{one.share_of_second:.0%}") for one in found]
    terminal.table(("list", "and", "shared", "of the first", "of the second"), rows)


@app.command("stats")
def stats(state: State = DEFAULT, json: Json = False) -> None:
    """Show which lists earn their place: size, entries that no other list has, and share of the hits of the last 30 days."""
    from blocklists.compare import stats as figures

    paths = firstrun.existing(paths_of(state))
    found = figures(wiring.library(paths), listing.list_hits(paths))
    if json:
        terminal.json({"lists": msgspec.to_builtins(found)})
        return
    rows = [
        (one.name, f"{one.entries:,}", f"{one.alone:,}", f"{one.hits or 0:,}", f"{one.share_of_hits or 0:.0%}") for one in found
    ]  # fmt: skip
    terminal.table(("list", "entries", "in no other", "hits in 30 days", "share"), rows)


def _first(objections: list[dict[str, Any]]) -> str:
    return next((str(one["message"]) for one in objections if one["blocks"]), "")
