"""The command line: `schoolgate COMMAND`."""

import os
from typing import Annotated

import typer

from schoolgate import logs, terminal
from schoolgate.commands import accounts, audit, classify, events, keywordexchange, listwhy, rules, running

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
app.command("classify")(classify.classify)
app.add_typer(listwhy.app, name="lists")
app.add_typer(keywordexchange.app, name="keywords")
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
    from importlib.metadata import version as version_of  # noqa: PLC0415 - slow, and of use here only

    terminal.out(version_of("schoolgate"))


def main() -> None:
    """Run the command line; a failure is one sentence on standard error and exit code 2."""
    with logs.failures_said():
        app()
