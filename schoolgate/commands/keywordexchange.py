"""`keywords export` and `keywords import`: phrases as schools exchange them."""
# ruff: noqa: PLC0415 - the rules' libraries are loaded by the commands that need them

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate import firstrun, keywording, terminal, wiring
from schoolgate.commands.keywordreplay import preview_in_words
from schoolgate.commands.keywords import Terms, app
from schoolgate.errors import Problem, files_explained
from schoolgate.options import DEFAULT, Config, Json, State, config_of, operator, paths_of

if TYPE_CHECKING:
    from rules.keywords.exchange import Imported
    from rules.keywords.sets import KeywordSet
    from rules.keywords.writing import Written
    from rules.ruleset import Ruleset

__all__ = ["app"]

SHOWN = 20
"""Lines that people are shown of what was refused or looks wrong."""


@app.command("export")
def export(
    category: Annotated[str | None, typer.Option("--category", metavar="CATEGORY", help="Phrases of this category only.")] = None,
    csv: Annotated[Path, typer.Option("--csv", metavar="FILE", help="Where to write; - for standard output.")] = Path("-"),
    own: Annotated[bool, typer.Option("--own", help="Without the phrases that come with Schoolgate.")] = False,
    state: State = DEFAULT,
) -> None:
    """Write phrases as CSV: phrase, context, action, level, match, and what else they have. `keywords import` reads it again."""
    from rules.keywords.exchange import entries_of, write_csv
    from rules.keywords.sets import STARTER_FOLDER

    policy = keywording.ruleset_of(paths_of(state)).policy
    if category is not None and category not in policy.categories:
        raise Problem(f'There is no category "{category}". The categories are: {", ".join(policy.categories)}.')
    starter = STARTER_FOLDER.resolve()
    entries = list(entries_of((one for one in policy.keyword_sets if not own or keywording.file_of(one).parent != starter), category))
    data = write_csv(entries)
    if str(csv) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    target = csv.expanduser().absolute()
    with files_explained("write", target):
        keywording.write_file(target, data)
    terminal.say(f"Wrote {len(entries):,} phrases to {target}.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The table: phrase, context, action, level, match, category in any order.")],
    category: Annotated[str | None, typer.Option("--category", metavar="CATEGORY", help="Category of lines that name none.")] = None,
    category_map: Annotated[
        list[str] | None,
        typer.Option(
            "--category-map", metavar="THEIRS=CATEGORY", help="What the table calls a category, and which it is; as often as needed."
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FILE.toml", help="Keyword file to write.", show_default=f"{keywording.DEFAULT_FILE} by the policy"),
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="Name the file in the policy too, where it is not yet.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Write nothing: show what would change, also for last month's searches.")
    ] = False,
    terms: Terms = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Read phrases from a CSV file of any spreadsheet, or a phrase list of e2guardian, into a keyword file.

    Shows what last month's searches would have met. Lines that can't be used are named with their numbers and left out. What an
    earlier import wrote into the same file is replaced, and kept beside it; a file that somebody wrote by hand is never replaced.
    """
    paths = firstrun.existing(paths_of(state))
    policy_file = config_of(paths, config)
    source = file.expanduser().absolute()
    target = (into.expanduser() if into is not None else policy_file.parent / keywording.DEFAULT_FILE).absolute()
    keywording.refuse_foreign(target)
    with files_explained("read", source):
        data = source.read_bytes()
    ruleset = keywording.ruleset_of(paths)
    found, written = _read(data, source, target, ruleset, category, category_map or [])
    change = _change(target, written.sets)
    if not json:
        _tell(source, found, written, change)
    if not change["after"]:
        raise Problem(f"No phrase of {source} can be used; what is there stays as it is.")
    sets = keywording.with_file(ruleset.policy.keyword_sets, target, written.sets)
    replay = keywording.replay_of(paths, ruleset, sets, terms=terms)
    if not json:
        for line in preview_in_words(replay):
            terminal.out(line)
    in_force = False
    if not preview:
        in_force = keywording.install(paths, policy_file, target, written.text, use=use)
        detail = {"source": source.name, "sha256": hashlib.sha256(data).hexdigest(), "refused": len(written.refused), "in_force": in_force}
        wiring.audit(paths, operator(), "keywords.import", f"keywords:{target.name}", change | detail)
    if json:
        terminal.json({
            "file": str(source), "into": str(target), **change, "refused": written.refused, "encoding": found.encoding,
            "delimiter": found.delimiter, "ignored_columns": found.ignored, "preview": replay, "written": not preview, "in_force": in_force,
        })  # fmt: skip
    elif preview:
        terminal.say("Nothing was written.")
    else:
        terminal.say(f"Wrote {change['after']:,} phrases to {target}.")
        if in_force:
            terminal.say("They are in force.")
        else:
            line = keywording.line_to_add(policy_file, target)
            terminal.warn(f"They are not in force yet: write {line} below [keywords] in {policy_file}, or import again with --use.")


def _read(
    data: bytes, source: Path, target: Path, ruleset: "Ruleset", category: str | None, pairs: list[str]
) -> "tuple[Imported, Written]":  # fmt: skip
    """Return what the table holds, and the keyword file that it becomes, with all lines that were refused on the way."""
    from rules.keywords.exchange import ExchangeError, Reading
    from rules.keywords.phraselist import read_exchanged
    from rules.keywords.writing import write_keyword_file

    names = keywording.category_names(ruleset, pairs)
    if category is not None and category not in ruleset.policy.categories:
        raise Problem(f'There is no category "{category}". The categories are: {", ".join(ruleset.policy.categories)}.')
    try:
        found = read_exchanged(data, Reading(names, category))
    except ExchangeError as error:
        raise Problem(f"{source}: {error}") from None
    written = write_keyword_file(found.entries, str(target), source.name)
    refused = sorted((*found.refused, *written.refused), key=lambda one: one.line)
    return found, written._replace(refused=tuple(refused))


def _change(target: Path, new: "tuple[KeywordSet, ...]") -> dict[str, int]:
    """Return how many phrases the file has before and after, and how many come and go."""
    from rules.keywords.sets import load_keyword_file
    from rules.problems import PolicyError

    try:
        old = load_keyword_file(target) if target.exists() else ()
    except PolicyError:  # somebody damaged it: this import puts it right
        old = ()
    before = {(one.category, phrase) for one in old for phrase in one.phrases}
    after = {(one.category, phrase) for one in new for phrase in one.phrases}
    return {"before": len(before), "after": len(after), "added": len(after - before), "removed": len(before - after)}


def _tell(source: Path, found: "Imported", written: "Written", change: dict[str, int]) -> None:
    from rules.keywords.checking import Located, look_over

    delimiter = {"\t": "tabs", ";": "semicolons", ",": "commas", "<": "a phrase list of e2guardian"}[found.delimiter]
    terminal.say(f"{source.name}: {change['after']:,} phrases can be used ({found.encoding}, {delimiter}).")
    if found.ignored:
        terminal.say(f"  Nothing is made of the columns {', '.join(found.ignored)}.")
    count = len(written.refused)
    if count:
        terminal.warn(f"  {count:,} {'line was' if count == 1 else 'lines were'} refused:")
    _few([f"{source.name}:{one.line}: {f'{one.text}: ' if one.text else ''}{one.reason}" for one in written.refused])
    if change["before"]:
        new, gone = change["added"], change["removed"]
        terminal.say(f"  Against the {change['before']:,} of the last import: {new:,} new, {gone:,} gone; one that changes is both.")
    # What is valid and still looks wrong.
    _few([str(one) for one in look_over([Located(source.name, one.line, one.category, one.phrase) for one in found.entries])])


def _few(lines: list[str]) -> None:
    for line in lines[:SHOWN]:
        terminal.warn(f"    {line}")
    if len(lines) > SHOWN:
        terminal.warn(f"    … and {len(lines) - SHOWN:,} more.")
