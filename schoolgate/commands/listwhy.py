"""`lists why`, `search`, `overlap` and `stats`: what the lists say, and which of them earn their place."""
# ruff: noqa: PLC0415 - the lists' libraries are loaded by the commands that need them

from typing import Annotated

import msgspec
import typer

from schoolgate import firstrun, listing, terminal, wiring
from schoolgate.commands.listlife import app
from schoolgate.options import DEFAULT, Config, Json, State, config_of, paths_of

__all__ = ["app"]


@app.command("why")
def why(
    url: Annotated[str, typer.Argument(help="The address, as a browser would open it.")],
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show every entry that speaks of an address: list, publisher, version, and the line of the source."""
    from blocklists.url import canonicalise
    from blocklists.why import why as reasons_of

    paths = firstrun.existing(paths_of(state))
    library, when = wiring.library(paths), wiring.clock(config_of(paths, config))
    index = library.open_index()
    found = reasons_of(library, index, library.open_allow(), canonicalise(url), library.open_expressions())
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
        terminal.out(f"  version {one.version} of {when(one.loaded)}, {place}")


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
