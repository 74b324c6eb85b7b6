"""`lists`: load, remove, look at and ask the lists of an installation."""

import sys
import time
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
    proposed,
)  # fmt: skip
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, paths_of
from schoolgate.paths import StatePaths
from schoolgate.progress import progress

if TYPE_CHECKING:
    from analyser.lists.preview import Preview
    from analyser.lists.trial import Proposal
    from blocklists.reports import LoadReport
    from blocklists.sealedstore import SealedReport
    from blocklists.stored import RefusedLine

SHOWN = 20
"""Refused lines that people are shown."""

app = typer.Typer(help="Lists of addresses: load, remove, look at and ask them.", no_args_is_help=True)


@app.command("load")
def load(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File, folder or archive with the list.")],
    format: Format = None,  # noqa: A002 - the option's name
    category: Category = None,
    kind: KindOption = Kind.BLOCK,
    maps: Maps = None,
    column: Columns = None,
    exact: Exact = None,
    expressions: Expressions = False,
    publisher: Publisher = "",
    licence: Licence = "",
    sealed: Sealed = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Load a list, or replace the one of that name; a running gateway takes it up within a second."""
    paths = firstrun.existing(paths_of(state))
    source = path.expanduser()
    if not source.exists():
        raise Problem(f"There is no file or folder {source}; name the one that holds the list.")
    started = time.monotonic()
    report: LoadReport | SealedReport
    if sealed:
        if kind is Kind.ALLOW or category not in (None, "illegal") or maps or column or expressions:
            raise Problem("A sealed list always blocks and always has the category illegal; leave the other options out.")
        if format is None:
            raise Problem("Say with --format how the sealed list is written: plain, hosts or sha256; of those nothing is guessed.")
        report = _seal(paths, config_of(paths, config), name, source, format, json)
    else:
        listing.refuse_sealed(paths, name)
        exact = _meaning(paths, name, source, format) if exact is None and not json and _somebody_watches() else exact
        proposal = proposed(name, source, format, category, kind, maps, column, exact, expressions, publisher, licence)
        report = _load_or_hold(paths, config_of(paths, config), proposal, json)
    if json:
        terminal.json(report)
    _tell(name, report, time.monotonic() - started)


def _seal(paths: StatePaths, config: Path, name: str, source: Path, format_: str, json: bool) -> "SealedReport":
    """Put a sealed list in force; ends the command with the reasons when a guard holds it for a second person."""
    with progress(f"Loading {name}"):
        done = listing.seal(paths, config, name, source, format_)
    if done.change is not None:
        if json:
            terminal.json({"held": done.change, "objections": done.found.objections})
        raise Problem(listing.held_sentence(done.found, done.change))
    for line in listing.warnings(done.found):
        terminal.warn(f"  {line}")
    return done.report


def _load_or_hold(paths: StatePaths, config: Path, proposal: "Proposal", json: bool) -> "LoadReport":
    """Make the list live; ends the command with the reasons when a guard holds it for a second person."""
    outcome, found = listing.load(paths, config, proposal, confirm=None if json else _confirmed)
    if outcome.report is None:
        assert outcome.change is not None, "what is not live is held"
        if json:
            terminal.json({"held": outcome.change, "objections": found.objections})
        raise Problem(listing.held_sentence(found, outcome.change))
    for line in listing.warnings(found):
        terminal.warn(f"  {line}")
    return outcome.report


def _confirmed(found: "Preview") -> bool:
    """Ask a person who watches whether categories that are given for allowing shall be loaded to block."""
    asked = [one.message for one in found.objections if one.rule == "usage" and not one.blocks]
    if not asked or not _somebody_watches():
        return True
    for message in asked:
        terminal.warn(f"  {message}")
    return typer.confirm("Load them all the same?", default=False, err=True)


def _meaning(paths: StatePaths, name: str, source: Path, format_: str | None) -> bool | None:
    """Ask what the hosts of a plain list stand for: publishers differ, and the file does not say. None where the format does."""
    from blocklists.errors import ListError  # noqa: PLC0415
    from blocklists.formats.detect import detect  # noqa: PLC0415

    try:
        if (format_ or detect(source).format) != "domains":
            return None
    except ListError:
        return None  # reading it says what is wrong with it
    before = next((one.subdomains for one in wiring.library(paths).all_stored() if one.name == name), None)
    return not typer.confirm("Does each of its hosts stand for its sub-domains, too?", default=before is not False, err=True)


def _somebody_watches() -> bool:
    return sys.stdin.isatty() and terminal.terminal()


@app.command("remove")
def remove(name: Name, state: State = DEFAULT, config: Config = None) -> None:
    """Take a list away; sealed lists can't be taken away by this command."""
    from analyser.lists.trial import Proposal  # noqa: PLC0415 - the database libraries come with it

    paths = firstrun.existing(paths_of(state))
    if name not in {one.name for one in wiring.library(paths).status()} and name in {one.name for one in wiring.sealed_lists(paths)}:
        raise Problem(f"{name} is a sealed list, which no command takes away; `lists load {name} … --sealed` replaces it.")
    listing.do(paths, config_of(paths, config), Proposal(name, act="remove"))
    terminal.say(f"Removed the list {name}.")


@app.command("status")
def status(state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Show every list: entries, categories, refused lines, when it was loaded."""
    paths = firstrun.existing(paths_of(state))
    found = wiring.library(paths).status()
    sealed = wiring.sealed_lists(paths)
    if json:
        kinds = [{"name": one.name, "kind": "sealed", "entries": one.entries, "loaded": one.loaded} for one in sealed]
        lists = [*found, *kinds]
        terminal.json({"lists": lists})
        return
    when = wiring.clock(config_of(paths, config))
    rows: list[tuple[str, ...]] = [
        (one.name, "paused" if one.paused else one.kind, one.format, f"{one.entries:,}", f"{one.refused:,}", when(one.loaded),
         one.fault or _few(one.categories))
        for one in found
    ]  # fmt: skip
    rows += [(one.name, "sealed", "digests", f"{one.entries:,}", "", when(one.loaded), "illegal") for one in sealed]
    terminal.table(("list", "kind", "format", "entries", "refused", "loaded", "categories"), rows)


@app.command("lookup")
def lookup(state: State = DEFAULT, json: Json = False) -> None:
    """Read addresses from standard input, one a line, and print what the lists say of each.

    With --json one line for each line read: {"url", "categories", "hits": [{"list", "entry", "kind"}]}; a line that is no
    address has "error" too. Categories are the publishers' own; `explain` shows what the policy makes of them.
    """
    paths = firstrun.existing(paths_of(state))
    encode = msgspec.json.Encoder().encode
    for answer in wiring.look_up(paths, (line for line in sys.stdin if line.strip())):
        terminal.out(encode(answer).decode() if json else _plain(answer))


def _plain(answer: dict[str, Any]) -> str:
    words = [answer["url"], answer.get("error") or ", ".join(answer["categories"]) or "in no category"]
    hits = [*answer["hits"], *([answer["allowed"]] if "allowed" in answer else [])]
    words += [f"{hit['list']}: {hit['entry']} ({hit['kind']})" for hit in hits]
    return "\t".join(words)


def _tell(name: str, report: "LoadReport | SealedReport", seconds: float) -> None:
    terminal.say(f"Loaded {name}: {report.entries:,} {'entry' if report.entries == 1 else 'entries'} in {seconds:.1f} s.")
    if why := getattr(report, "why_format", ""):
        terminal.say(f"  Read as {getattr(report, 'format', '')}: {why}")
    if getattr(report, "paused", False):
        terminal.warn(f"  The list is paused and stays so: it blocks nothing before `schoolgate lists resume {name}`.")
    for line in _usage(report):
        terminal.say(f"  {line}")
    if not report.refused:
        return
    terminal.warn(f"  {report.refused:,} {'line was' if report.refused == 1 else 'lines were'} refused:")
    # Of a sealed list the line's number only: nobody reads its entries.
    numbers, lines = getattr(report, "refused_lines", ()), getattr(report, "refusals", ())
    shown = [f"line {number}" for number in numbers] + [_refusal(line) for line in lines]
    for text in shown[:SHOWN]:
        terminal.warn(f"    {text}")
    if report.refused > SHOWN:
        terminal.warn(f"    … and {report.refused - SHOWN:,} more; --json names {len(shown):,} of them.")


def _usage(report: "LoadReport | SealedReport") -> list[str]:
    """Say what the publisher gives its categories for, where that is not simply for blocking."""
    benign: tuple[str, ...] = getattr(report, "benign_categories", ())
    disputed: dict[str, tuple[str, str]] = getattr(report, "disputed_categories", {})
    lines = [f"Given by the publisher for allowing only (white): {', '.join(benign)}."] if benign else []
    if disputed:
        words = ", ".join(f"{name} ({own}; in global_usage {everywhere})" for name, (own, everywhere) in disputed.items())
        lines.append(f"The publisher says two things of: {words}.")
    return lines


def _refusal(line: "RefusedLine") -> str:
    text = "" if line.text in line.reason else f"{line.text[:60]}: "
    return f"{line.file}:{line.line}: {text}{line.reason}"


def _few(categories: dict[str, int]) -> str:
    names = list(categories)
    return ", ".join(names[:4]) + (f" … ({len(names)})" if len(names) > 4 else "")
