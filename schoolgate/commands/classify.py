"""`classify`: what the filter makes of texts, one JSON line each."""
# ruff: noqa: PLC0415 - the rules' libraries are loaded by the commands that need them

import sys
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from schoolgate import keywording, terminal
from schoolgate.errors import Problem
from schoolgate.options import DEFAULT, State, paths_of

if TYPE_CHECKING:
    from rules.classify import Classifier


class Context(StrEnum):
    """Where texts stood."""

    SEARCH = "search"
    TYPED = "typed"
    PAGE = "page"
    AI = "ai"


def classify(
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="For this group of the policy.", show_default="the strictest")
    ] = None,
    context: Annotated[Context, typer.Option("--context", help="Where texts stand that don't say so themselves.")] = Context.TYPED,
    state: State = DEFAULT,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs; a line that does not go to a terminal is JSON anyway.")
    ] = False,
) -> None:
    """Judge texts on standard input as the gateway would, one JSON line each: {"id", "text", "context", "url"}.

    Only "text" is needed. For each line read, one is printed, in the same order: {"id", "level", "action", "themes", "matches"}. Level 0
    is nothing of note; from level 3 a person hears of it; action `block` means that it would be stopped. A match shows phrase, theme,
    level, weight and its place in the text. A line that can't be read has "error" instead, and the run goes on. It asks the policy of the
    installation, which need not run; where there is none, the starter policy.
    """
    from rules.classify import Classifier

    try:
        classifier = Classifier(keywording.ruleset_of(paths_of(state)), group, context.value, at=time.time())
    except ValueError as error:
        raise Problem(str(error)) from None
    plain = not json and terminal.terminal() and sys.stdout.isatty()
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer
    faults = 0
    for answer in _answers(classifier, sys.stdin.buffer):
        faults += "error" in answer
        out.write(_in_words(answer) if plain else encode(answer) + b"\n")
    out.flush()
    if faults:
        terminal.warn(f"{faults:,} lines could not be read; their answers say why.")


def _answers(classifier: "Classifier", lines: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    from rules.classify import id_of, read_line

    for line in lines:
        if not line.strip():
            continue
        try:
            yield classifier.answer(read_line(line))
        except ValueError as error:
            yield {"id": id_of(line), "error": str(error)}


def _in_words(answer: dict[str, Any]) -> bytes:
    name = "" if answer["id"] is None else f"{answer['id']}: "
    if "error" in answer:
        return f"{name}{answer['error']}\n".encode()
    phrases = ", ".join(f"“{match['phrase']}” ({match['theme']} {match['level']})" for match in answer["matches"])
    return f"{name}level {answer['level']}, {answer['action']}  {', '.join(answer['themes'])}  {phrases}\n".rstrip(" ").encode()
