"""`keywords check` and `keywords try`: are the phrases right, and what do they make of a text?"""
# ruff: noqa: PLC0415 - the rules' libraries are loaded by the commands that need them

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schoolgate import firstrun, keywording, terminal
from schoolgate.commands.classify import Context
from schoolgate.commands.keywordreplay import preview_in_words
from schoolgate.commands.rules import lowered_in_words
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, paths_of
from schoolgate.paths import StatePaths

if TYPE_CHECKING:
    from analyser.replay import Replay
    from rules.keywords.checking import Amount, Located
    from rules.keywords.trying import Seen, Tried
    from rules.policy import Policy
    from rules.problems import Problem as Fault

LONGEST = 1_000_000
"""Characters of a text that is tried."""

app = typer.Typer(help="Phrases that are watched for: check, try, exchange them.", no_args_is_help=True)

Preview = Annotated[bool, typer.Option("--preview", help="Show what last month's searches would have met.")]
Terms = Annotated[bool, typer.Option("--terms", help="Name the searches too, not people; that is audited as a look at the record.")]


@app.command("check")
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Keyword files; without one, all that the policy uses.")] = None,
    preview: Preview = False,
    terms: Terms = False,
    state: State = DEFAULT,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check phrases as the gateway would read them; each problem is named with its file and line. Exit code 2 when there is one.

    Besides what can't be read it finds phrases that stand there twice, that can never match, that ordinary words contain, and that
    have a sign of which nothing is left (£20).
    """
    from rules.keywords.checking import amounts, look_over, unknown_categories
    from rules.problems import PolicyError

    paths = paths_of(state)
    faults: list[Fault] = []
    phrases: list[Located] = []
    try:
        policy, sources = _sources(paths, config, [path.expanduser().absolute() for path in files or ()])
    except PolicyError as error:
        policy, sources, faults = None, [], list(error.problems)
    for path, is_policy in sources:
        try:
            phrases += _read(path, is_policy)
        except PolicyError as error:
            faults += error.problems
    if policy is not None:
        faults += unknown_categories(phrases, list(policy.categories))
    faults += look_over(phrases)
    counts = amounts(phrases)
    met = _preview(paths, [path for path, _ in sources] if files else [], policy, terms) if preview and policy and not faults else None
    if json:
        said = {"preview": met} if preview else {}
        problems = [{"file": one.file, "line": one.line, "message": one.message} for one in faults]
        terminal.json({"valid": not faults, "problems": problems, "summary": counts, **said})
    else:
        for fault in faults:
            terminal.out(str(fault))
        _tell(counts, len(faults), len(sources))
        if preview and not faults:
            for line in preview_in_words(met):
                terminal.out(line)
    if faults:
        raise typer.Exit(2)


def _sources(paths: StatePaths, config: Path | None, files: list[Path]) -> tuple["Policy", list[tuple[Path, bool]]]:
    """Return the policy, and the files to look at, each with whether it is a policy."""
    from rules.keywords.sets import STARTER_FOLDER
    from rules.policy import load_policy

    file = config_of(paths, config)
    if not files and not file.exists():
        raise Problem(f"There is no policy file {file}; name keyword files, a policy with --config, or an installation with --state.")
    policy = load_policy(file) if file.exists() else keywording.ruleset_of(paths).policy
    if files:
        return policy, [(path, False) for path in files]
    used = {keywording.file_of(one) for one in policy.keyword_sets}
    starter = [path for path in sorted(STARTER_FOLDER.glob("*.toml")) if path.resolve() in used]
    return policy, [*((path, False) for path in starter), (file, True), *((Path(name), False) for name in policy.keyword_files)]


def _read(path: Path, is_policy: bool) -> list["Located"]:
    from rules.keywords.checking import read_located
    from rules.problems import PolicyError
    from rules.problems import Problem as Fault

    if path.suffix.lower() == ".csv":
        raise PolicyError([Fault(str(path), 0, "This is a table, not a keyword file; `schoolgate keywords import … --preview` checks it.")])
    return read_located(path, policy=is_policy)


def _tell(counts: list["Amount"], faults: int, files: int) -> None:
    rows = [
        (one.category, one.language, f"{one.phrases:,}", ", ".join(f"{level}: {count:,}" for level, count in one.levels.items()),
         f"{one.lowering:,}")
        for one in counts
    ]  # fmt: skip
    terminal.table(("category", "language", "phrases", "by level", "that lower"), rows)
    total = sum(one.phrases for one in counts)
    problems = f"{faults:,} problem{'s' if faults != 1 else ''}" if faults else "no problem"
    terminal.say(f"{total:,} phrases in {files:,} file{'s' if files != 1 else ''}: {problems}.")


def _preview(paths: StatePaths, files: list[Path], policy: "Policy", terms: bool) -> "Replay | None":
    """Return what last month's searches would have met if these files, or the whole policy as it is on disk, were in force."""
    from rules.keywords.sets import load_keyword_file

    firstrun.existing(paths)
    present = keywording.ruleset_of(paths)
    sets = present.policy.keyword_sets if files else policy.keyword_sets
    for path in files:
        sets = keywording.with_file(sets, path, load_keyword_file(path))
    return keywording.replay_of(paths, present, sets, terms=terms)


@app.command("try")
def try_(
    text: Annotated[str, typer.Argument(help="The text, or - to read it from standard input.")],
    context: Annotated[Context, typer.Option("--context", help="Where it stands.")] = Context.TYPED,
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="For this group of the policy.", show_default="the strictest")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Where it was typed or read.")] = None,
    state: State = DEFAULT,
    json: Json = False,
) -> None:
    """Show every phrase in a text with its weight and place, why some do not count, and what the gateway would do.

    It asks the policy of the installation, which need not run; where there is none, the starter policy.
    """
    from blocklists.url import canonicalise
    from rules.classify import CONTEXTS, Classifier, Text
    from rules.keywords.trying import try_text
    from rules.lowering import lowerings
    from rules.matched import view

    try:
        whole = sys.stdin.read(LONGEST) if text == "-" else text
    except UnicodeDecodeError:
        raise Problem("The text on standard input is not UTF-8.") from None
    ruleset = keywording.ruleset_of(paths_of(state))
    try:
        classifier = Classifier(ruleset, group, context.value, at=time.time())
        decision = classifier.decision(Text(whole, url=url))
    except ValueError as error:
        raise Problem(str(error)) from None
    name = group if group is not None else ruleset.policy.strictest_group
    tried = try_text(whole, CONTEXTS[context.value], ruleset.policy.keyword_sets, thresholds(ruleset.policy, name))
    where = canonicalise(url if url is not None else "http://text.invalid/")
    answer: dict[str, Any] = {
        "group": name, "context": context.value, "level": decision.level if decision is not None else 0,
        "action": decision.action.value if decision is not None else "allow",
        "category": decision.category if decision is not None else None,
        "lowered": [msgspec.to_builtins(one) for one in lowerings(whole, CONTEXTS[context.value], where, name, ruleset)],
        "second_reader": [view(one, ruleset.policy) for one in decision.matches if one.kind == "model"] if decision is not None else [],
        **msgspec.to_builtins(tried),
    }  # fmt: skip
    if json:
        terminal.json(answer)
        return
    for line in _in_words(answer, tried, ruleset.policy):
        terminal.out(line)


def thresholds(policy: "Policy", group: str) -> dict[str, int]:
    """Return the weights that a group's texts have to reach, by context."""
    return dict(policy.thresholds_of(group) or policy.text.thresholds)


def _in_words(answer: dict[str, Any], tried: "Tried", policy: "Policy") -> list[str]:
    level = f", level {answer['level']} ({policy.title_of(answer['category'])})" if answer["level"] else ""
    lines = [f"{answer['context']} text of group {answer['group']}: {answer['action']}{level}"]
    for theme in tried.themes:
        reached = f"level {theme.level}" if theme.reached else "not reached"
        lowered = f", {theme.lowered} lower for {', '.join(theme.lowered_by)}" if theme.lowered else ""
        lines.append(f"{policy.title_of(theme.category)}: {theme.score:g} of {theme.threshold} needed: {reached}{lowered}")
    lines += [lowered_in_words(one) for one in answer["lowered"]]
    lines += [f"{one['title']}: the second reader is {one['weight']} % sure ({one['phrase']})" for one in answer["second_reader"]]
    if not tried.matches:
        lines.append("No phrase stands in it.")
    lines += [line for one in tried.matches for line in _match(one, policy)]
    return lines if tried.complete else [*lines, "There are more phrases in it than are shown."]


def _match(one: "Seen", policy: "Policy") -> list[str]:
    kind = f", {one.kind}" if one.kind else ""
    worth = f"lowers by {one.lowers}" if one.lowers else f"level {one.level}, weight {one.weight}"
    disguise = ", written in disguise" if one.disguised else ""
    phrase = one.phrase if len(one.phrase) <= 80 else f"{one.phrase[:77]}..."
    lines = [
        f"  {'not counted: ' if one.excluded else ''}“{one.words}”, characters {one.start + 1} to {one.end}{disguise}",
        f"    phrase “{phrase}” ({one.language}): {policy.title_of(one.category)}{kind}, {worth}   {one.source}",
    ]
    return [*lines, f"    {one.excluded}"] if one.excluded else lines
