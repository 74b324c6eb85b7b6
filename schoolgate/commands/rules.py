"""`check` and `explain`: is the policy right, and what does it say about one address?"""
# ruff: noqa: PLC0415 - the rules' libraries are loaded by the commands that need them

import time
from datetime import datetime, tzinfo
from typing import Annotated, Any

import typer

from schoolgate import answers, firstrun, terminal
from schoolgate.address import is_ip_address
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, Config, Json, State, config_of, paths_of


def check(state: State = DEFAULT, config: Config = None, json: Json = False) -> None:
    """Check the policy as a whole; every problem is named with its file and line. Exit code 2 when there is one."""
    from rules.policy import load_policy
    from rules.problems import PolicyError

    paths = paths_of(state)
    file = config_of(paths, config)
    if not file.exists():
        raise Problem(f"There is no policy file {file}; name one with --config, or an installation with --state.")
    try:
        policy = load_policy(file)
    except PolicyError as error:
        if json:
            problems = [{"file": one.file, "line": one.line, "message": one.message} for one in error.problems]
            terminal.json({"valid": False, "problems": problems, "hints": []})
        else:
            for one in error.problems:
                terminal.complain(str(one))
        raise typer.Exit(2) from None
    hints = answers.hints(paths, policy) if firstrun.check_folder(paths) else []
    if json:
        terminal.json({"valid": True, "problems": [], "hints": hints})
        return
    counts = f"{len(policy.groups)} groups, {len(policy.categories)} categories, {len(policy.keyword_sets)} keyword sets"
    terminal.out(f"{file} is valid: {counts}.")
    for hint in hints:
        terminal.warn(f"  {hint}")


def explain(
    url: Annotated[str, typer.Argument(help="The address, as a browser would open it.")],
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="As this person would open it.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="As somebody of this group would.")] = None,
    address: Annotated[str | None, typer.Option("--address", metavar="IP", help="As a device with this address would.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="At this moment, for example 2026-11-23T10:30.", show_default="now")
    ] = None,
    state: State = DEFAULT,
    json: Json = False,
) -> None:
    """Show what the gateway does with an address, and what every step of the decision says of it.

    It asks the ruleset in force and the grants in force, with the function that the gateway itself uses.
    """
    paths = firstrun.existing(paths_of(state))
    if address is not None and not is_ip_address(address):
        raise Problem(f"--address {address!r} is not an IP address; write for example 10.1.2.3.")
    answer = answers.explain(paths, url, user=user, group=group, address=address, at=lambda zone: moment_of(at, zone))
    if json:
        terminal.json(answer)
        return
    for line in in_words(answer):
        terminal.out(line)


def in_words(answer: dict[str, Any]) -> list[str]:
    """Return the lines that people read: the answer first, then every step, the one that decided marked."""
    lines = [f"{answer['url']}  for group {answer['group']}: {answer['action']}", answer["sentence"]]
    names = {"category": "category", "level": "level", "list": "list", "rule": "rule"}
    lines += [f"  {title}: {answer[key]}" for key, title in names.items() if answer[key] not in (None, 0)]
    lines += [f"  {line}" for match in answer["matched"] for line in match_in_words(match)]
    lines += [f"  {lowered_in_words(one)}" for one in answer["lowered"]]
    lines.append("Steps, in order; the first that answers decides:")
    for step in answer["steps"]:
        mark = "→" if step["decided"] else " "
        said = f"{step['action']}: {step['note']}" if step["action"] is not None else step["note"]
        lines.append(f"  {mark} {step['step'].replace('_', ' '):18} {said}")
    return lines


def match_in_words(match: dict[str, Any]) -> list[str]:
    """Return the lines that people read about one phrase that matched, or about what the second reader thinks."""
    if match["kind"] == "model":
        return [f"second reader: {match['title']}, level {match['level']}, {match['weight']} % sure ({match['phrase']})"]
    what = f"{match['title']}, {match['kind']}" if match["kind"] else str(match["title"])
    weight = f"level {match['level']}, weight {match['weight']} of {match['needed']} needed"
    weight = f"lowers by {match['lowers']}" if match["lowers"] else weight
    disguise = ", written in disguise" if match["disguised"] else ""
    place = f"characters {match['start'] + 1} to {match['end']}" if match["end"] else "place unknown"
    phrase = match["phrase"] if len(match["phrase"]) <= 80 else f"{match['phrase'][:77]}..."
    lines = [f"phrase “{phrase}”: {what}, {weight}, {place}{disguise}"]
    return [*lines, f"  “{match['quote']}”"] if match["quote"] else lines


def lowered_in_words(one: dict[str, Any]) -> str:
    """Return the line that people read about what made words less grave."""
    by = {"phrases": "for the words ", "second-reader": "by the second reader: ", "site": "for the site: "}[one["by"]]
    return f"{one['theme']}: {one['levels']} level{'s' if one['levels'] != 1 else ''} lower {by}{one['because']}"


def moment_of(text: str | None, zone: tzinfo) -> float:
    """Read an ISO 8601 time; one without an offset is in the policy's time zone."""
    if text is None:
        return time.time()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(f"--at {text!r} is not a time; write for example 2026-11-23T10:30 or 2026-11-23T10:30+00:00.") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()
