"""The command line: `schoolgate COMMAND`."""

import os
import sys
import traceback
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from schoolgate import logs, terminal
from schoolgate.commands import accounts, audit, events, lists, rules, running
from schoolgate.errors import Problem
from schoolgate.wiring import sentence_of

app = typer.Typer(
    name="schoolgate",
    help="The web gateway of a school: it decides each request, writes down why, and tells the safeguarding lead what matters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("up")(running.up)
app.command("init")(running.init)
app.command("check")(rules.check)
app.command("explain")(rules.explain)
app.add_typer(lists.app, name="lists")
app.command("events")(events.events)
app.add_typer(accounts.account_app, name="account")
app.add_typer(accounts.token_app, name="token")
app.add_typer(audit.app, name="audit")
app.command("worker")(running.worker)
app.command("console")(running.console)


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what goes on inside, also for errors.")] = False,
) -> None:
    """Options before the command hold for every command."""
    if verbose:
        os.environ[logs.VARIABLE] = "1"
    logs.configure()
    os.umask(0o077)  # everything that an installation keeps is its owner's alone


@app.command("version")
def version() -> None:
    """Print the version."""
    terminal.out(version_of("schoolgate"))


def main() -> None:
    """Run the command line; a failure is one sentence on standard error and exit code 2."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the outermost edge: people get a sentence, with --verbose the trace
        if logs.verbose():
            traceback.print_exception(error)
        known = sentence_of(error)
        terminal.complain(known or f"An error of Schoolgate's own: {type(error).__name__}: {error}. `schoolgate --verbose …` shows where.")
        sys.exit(2 if known else 1)


__all__ = ["Problem", "app", "main"]
