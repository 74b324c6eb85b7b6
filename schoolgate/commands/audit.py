"""`audit`: is the record of who did what still whole?"""

import typer

from schoolgate import firstrun, terminal, wiring
from schoolgate.options import DEFAULT, Json, State, paths_of

app = typer.Typer(help="The audit: every step of everybody who changed or looked at something.", no_args_is_help=True)


@app.command("verify")
def verify(state: State = DEFAULT, json: Json = False) -> None:
    """Check that no entry was changed, taken out or cut off; exit code 1 when one was."""
    paths = firstrun.existing(paths_of(state))
    with wiring.casework_open(paths) as database:
        result = database.verify_audit()
    if json:
        terminal.json({"ok": result.ok, "entries": result.entries, "first_bad": result.first_bad, "sentence": result.sentence})
    else:
        terminal.out(result.sentence)
    if not result.ok:
        raise typer.Exit(1)
