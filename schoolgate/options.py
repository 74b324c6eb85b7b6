"""Options that many commands share, and what they come down to."""

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from schoolgate.errors import files_explained
from schoolgate.paths import DEFAULT_STATE, STATE_VARIABLE, StatePaths

State = Annotated[Path, typer.Option("--state", metavar="DIR", envvar=STATE_VARIABLE, readable=False, help="Folder of the installation.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The policy.", show_default="the one `up` used last, else DIR/policy.toml")
]
StartConfig = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The policy.", show_default="DIR/policy.toml")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_CONSOLE = "127.0.0.1:8081"

Listen = Annotated[
    str, typer.Option("--listen", metavar="HOST:PORT", help="Address of the gateway for browsers; 0.0.0.0:8080 for the whole school.")
]
Console = Annotated[str, typer.Option("--console", metavar="HOST:PORT", help="Address of the console for staff.")]

ConsoleName = Annotated[
    list[str] | None,
    typer.Option(
        "--console-name",
        metavar="NAME",
        help="Host name under which people reach the console; the first one stands in links.",
        show_default=False,
    ),
]
ConsoleCertificate = Annotated[
    Path | None,
    typer.Option("--console-cert", metavar="FILE", help="Certificate of the console with its chain, PEM: the console then speaks HTTPS."),
]
ConsoleKey = Annotated[Path | None, typer.Option("--console-key", metavar="FILE", help="Key of that certificate, PEM, without a password.")]


def paths_of(state: Path) -> StatePaths:
    """Return the paths of a state folder named on the command line."""
    return StatePaths(state.expanduser().absolute())


def config_of(paths: StatePaths, config: Path | None) -> Path:
    """Return the policy file: the one named, else the one that `up` used last, else the state folder's own."""
    if config is not None:
        return config.expanduser().absolute()
    if paths.config_note.exists():
        with files_explained("read", paths.config_note):
            return Path(paths.config_note.read_text().strip())
    return paths.policy


def operator() -> str:
    """Name of the user of this machine who runs the command, for the audit; behind sudo the person, not root."""
    sudo = os.environ.get("SUDO_USER", "")
    if sudo and os.geteuid() == 0:
        return sudo
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


DEFAULT = DEFAULT_STATE
