"""`lists`: load, remove, look at and ask the lists of an installation."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schoolgate import firstrun, terminal, wiring
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of
from schoolgate.paths import StatePaths

if TYPE_CHECKING:
    from blocklists.library import LoadReport
    from blocklists.sealed import SealedReport
    from blocklists.stored import RefusedLine

FORMATS = "domains, hosts, urls, squidguard, ut1 or sha256"
SHOWN = 20
"""Refused lines that people are shown."""

app = typer.Typer(help="Lists of addresses: load, remove, look at and ask them.", no_args_is_help=True)


class Kind(StrEnum):
    """What an entry of a list means."""

    BLOCK = "block"
    ALLOW = "allow"


Name = Annotated[str, typer.Argument(help="Name of the list, as events and pages show it.")]


@app.command("load")
def load(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File, folder or archive with the list.")],
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"How it is written: {FORMATS} …; with --sealed plain or sha256.",
            show_default="recognised from its content",
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--category", metavar="CATEGORY", help="Category of every entry, for formats without categories of their own."),
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--kind", metavar="block|allow", help="Whether its entries have a category (block) or are let through (allow).")
    ] = Kind.BLOCK,
    sealed: Annotated[
        bool,
        typer.Option("--sealed", help="An illegal-content list: blocks everybody, nothing overrides it, entries are kept as digests only."),
    ] = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Load a list, or replace the one of that name; a running gateway takes it up within a second."""
    paths = firstrun.existing(paths_of(state))
    source = path.expanduser()
    if not source.exists():
        raise Problem(f"There is no file or folder {source}; name the one that holds the list.")
    if sealed and (kind is Kind.ALLOW or category not in (None, "illegal")):
        raise Problem("A sealed list always blocks and always has the category illegal; leave --kind and --category out.")
    if sealed and format is None:
        raise Problem("Say with --format how the sealed list is written: plain or sha256; of those nothing is guessed.")
    started = time.monotonic()
    with _progress(f"Loading {name}"):
        report: LoadReport | SealedReport
        if sealed:
            report = wiring.load_sealed(paths, name, source, str(format))
            wiring.build_ruleset(paths, config_of(paths, config))
            wiring.audit(paths, operator(), "lists.load", f"list:{name}", {"format": format, "kind": "sealed", "entries": report.entries})
        else:
            report = _load_or_hold(paths, config_of(paths, config), name, source, format, category, kind, json)
    if json:
        terminal.json(report)
    _tell(name, report, time.monotonic() - started)


def _load_or_hold(
    paths: StatePaths, config: Path, name: str, source: Path, format_: str | None, category: str | None, kind: Kind, json: bool
) -> "LoadReport":  # fmt: skip
    """Make the list live; ends the command with the reasons when a guard holds it for a second person."""
    from analyser.lists.trial import Proposal  # noqa: PLC0415 - the database libraries come with it
    from schoolgate import listing  # noqa: PLC0415

    outcome, found = listing.load(paths, config, Proposal(name, str(source.absolute()), format_, category, kind.value))
    if outcome.report is None:
        assert outcome.change is not None, "what is not live is held"
        if json:
            terminal.json({"held": outcome.change, "objections": found.objections})
        raise Problem(listing.held_sentence(found, outcome.change))
    for line in listing.warnings(found):
        terminal.warn(f"  {line}")
    return outcome.report


@app.command("remove")
def remove(name: Name, state: State = DEFAULT, config: Config = None) -> None:
    """Take a list away; sealed lists can't be taken away by this command."""
    paths = firstrun.existing(paths_of(state))
    lists = wiring.library(paths)
    if name not in {one.name for one in lists.status()} and name in {one.name for one in wiring.sealed_lists(paths)}:
        raise Problem(f"{name} is a sealed list, which no command takes away; `lists load {name} … --sealed` replaces it.")
    lists.remove(name)
    wiring.compile_lists(paths, config_of(paths, config))
    wiring.audit(paths, operator(), "lists.remove", f"list:{name}", {})
    terminal.say(f"Removed the list {name}.")


@app.command("status")
def status(state: State = DEFAULT, json: Json = False) -> None:
    """Show every list: entries, categories, refused lines, when it was loaded."""
    paths = firstrun.existing(paths_of(state))
    found = wiring.library(paths).status()
    sealed = wiring.sealed_lists(paths)
    if json:
        kinds = [{"name": one.name, "kind": "sealed", "entries": one.entries, "loaded": one.loaded} for one in sealed]
        lists = [*found, *kinds]
        terminal.json({"lists": lists})
        return
    rows: list[tuple[str, ...]] = [
        (one.name, one.kind, one.format, f"{one.entries:,}", f"{one.refused:,}", one.loaded, one.fault or _few(one.categories))
        for one in found
    ]
    rows += [(one.name, "sealed", "digests", f"{one.entries:,}", "", one.loaded, "illegal") for one in sealed]
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


def _progress(title: str) -> AbstractContextManager[object]:
    if not terminal.terminal():
        return nullcontext()
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - for people only

    progress = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=terminal.console(), transient=True)
    progress.add_task(title, total=None)
    return progress


def _tell(name: str, report: "LoadReport | SealedReport", seconds: float) -> None:
    terminal.say(f"Loaded {name}: {report.entries:,} {'entry' if report.entries == 1 else 'entries'} in {seconds:.1f} s.")
    if why := getattr(report, "why_format", ""):
        terminal.say(f"  Read as {getattr(report, 'format', '')}: {why}")
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


def _refusal(line: "RefusedLine") -> str:
    text = "" if line.text in line.reason else f"{line.text[:60]}: "
    return f"{line.file}:{line.line}: {text}{line.reason}"


def _few(categories: dict[str, int]) -> str:
    names = list(categories)
    return ", ".join(names[:4]) + (f" … ({len(names)})" if len(names) > 4 else "")
