"""Where the parts meet: which of the other packages does what, with which files.

Imports stand inside the functions: a worker must not carry the database libraries, nor the console the proxy engine.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from schoolgate.address import Address
from schoolgate.consoleoptions import ConsoleOptions
from schoolgate.errors import Problem
from schoolgate.paths import StatePaths

if TYPE_CHECKING:
    from analyser.casework.database import CaseworkDatabase
    from analyser.casework.people import Actor
    from analyser.store import EventStore
    from blocklists.library import Library
    from blocklists.sealedstore import SealedEntry

_SPOKEN = {
    "PolicyError", "RulesetError", "ListError", "UrlError", "CaseworkError", "CaseworkKeyError", "AccountError", "CertificateError",
    "StoreError", "UnblockError", "SettingsError", "UnsafeSettingError",
}  # fmt: skip
"""Errors of the other packages whose text is a sentence for people; by name, so that knowing them costs no import."""
_OURS = ("schoolgate", "api", "analyser", "proxy", "rules", "blocklists")


def sentence_of(error: BaseException) -> str | None:
    """Return the sentence for people that an error carries, or None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return str(error)
    problems: Sequence[object] = getattr(error, "problems", ())
    if type(error).__name__ == "PolicyError" and len(problems) > 1:
        return f"{problems[0]} There are {len(problems) - 1} more problems; `schoolgate check` shows them all."
    for kind in type(error).__mro__:
        if kind.__module__.split(".")[0] in _OURS and kind.__name__ in _SPOKEN:
            return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"Can't use {error.filename}: {error.strerror}; check that it exists and who may use it."
    return None


@contextmanager
def casework_open(paths: StatePaths) -> Iterator[CaseworkDatabase]:
    """Open the casework database for the length of a block."""
    database = casework(paths)
    try:
        yield database
    finally:
        database.close()


def casework(paths: StatePaths) -> CaseworkDatabase:
    """Open the casework database, made or brought up to date; the caller closes it."""
    from analyser.casework.database import CaseworkDatabase
    from schoolgate.firstrun import read_key

    return CaseworkDatabase(paths.casework, read_key(paths.casework_key))


@contextmanager
def events_open(paths: StatePaths) -> Iterator[EventStore]:
    """Open the event store, which no other process may have open, for the length of a block."""
    from analyser.store import EventStore
    from schoolgate.firstrun import read_key

    store = EventStore(paths.events, read_key(paths.events_key))
    try:
        yield store
    finally:
        store.close()


def first_administrator_link(paths: StatePaths, console: str) -> str | None:
    """Return a fresh one-time link below the console's URL while no administrator can sign in, else None."""
    from schoolgate.admin import first_administrator_link as link

    with casework_open(paths) as database:
        return link(database, console)


def create_authority(paths: StatePaths, school: str) -> None:
    """Make the certificate authority."""
    from proxy.certificates import create_authority as create

    create(paths.ca_folder, school)


def starter_policy() -> str:
    """Return the text of the policy that a new installation begins with."""
    from importlib.resources import files

    return (files("rules") / "starter_policy.toml").read_text(encoding="utf-8")


def library(paths: StatePaths) -> Library:
    """Return the lists of the installation."""
    from blocklists.library import Library

    return Library(paths.lists)


def sealed_lists(paths: StatePaths) -> tuple[SealedEntry, ...]:
    """Return name, size and time of the sealed lists; raises `SealedListError` when one is damaged."""
    from blocklists.sealed import SealedLists

    return SealedLists.open(paths.sealed).entries


def look_up(paths: StatePaths, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Say what the compiled lists have about each address."""
    from blocklists.lookup import lookup_lines

    lists = library(paths)
    return lookup_lines(lists.open_index(), lists.open_allow(), lines, lists.open_expressions())


def install_starter_lists(paths: StatePaths, say: Callable[[str], None]) -> None:
    """Load the lists that come with Schoolgate, on the very first run only.

    Later a missing register of sealed lists is a fault: to make it anew with the test list alone would quietly drop a
    list of unlawful content.
    """
    if paths.current_ruleset.is_symlink() or any(paths.sealed.iterdir()):
        return
    from blocklists import starter
    from blocklists.sealedstore import install_test_list

    install_test_list(paths.sealed)
    lists = library(paths)
    starter.install_starter_lists(lists)
    lists.compile()
    say("Loaded the starter lists: ways around the filter, search engines without a safe mode, help that stays open, test hosts.")
    say("Loaded the sealed test list, which shows that such lists are obeyed; members load the real ones with `lists load --sealed`.")


def first_ruleset(paths: StatePaths, config: Path, warn: Callable[[str], None]) -> None:
    """Put policy and lists in force at a start; raises for a wrong policy.

    Where an installation exists and its lists are at fault, the start goes on: the workers refuse what they can't judge, and
    the console can say so and raise the alert.
    """
    from schoolgate import unchanged

    stamp = unchanged.stamp(paths, config)
    if unchanged.in_force(paths, stamp):
        return
    from rules.ruleset import RulesetError

    try:
        build_ruleset(paths, config)
    except RulesetError as error:
        if not paths.current_ruleset.is_symlink():
            raise
        warn(f"{error} Starting all the same, so that the console can say so; what can't be judged is refused.")
    else:
        unchanged.remember(paths, stamp)


def build_ruleset(paths: StatePaths, config: Path) -> None:
    """Make a ruleset of policy, lists and sealed lists, and put it in force; the last good one stays when that fails."""
    from rules.build import build

    build(config, paths.lists, paths.sealed, paths.rulesets)


def trusted_ca(config: Path) -> Path | None:
    """Return the policy's file of further certificate authorities, for publishers as for sites."""
    from rules.policy import load_policy

    name = load_policy(config).gateway.trusted_ca
    return Path(name) if name else None


def clock(config: Path) -> Callable[[float | str | None], str]:
    """Return what writes a moment (seconds since the epoch, or ISO 8601) in the policy's time zone, for people; "" for None."""
    import tomllib
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    zone: tzinfo = UTC
    try:  # of the whole policy this one word: a wrong policy is no reason not to show when a list was loaded
        zone = ZoneInfo(tomllib.loads(config.read_text(encoding="utf-8"))["school"]["timezone"])
    except (OSError, ValueError, KeyError, TypeError):
        zone = ZoneInfo("Europe/London")

    def written(moment: float | str | None) -> str:
        if moment is None or moment == "":
            return ""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
        return at.astimezone(zone).strftime("%-d %b %Y, %H:%M %Z")

    return written


def groups(config: Path) -> list[str]:
    """Return the names of the policy's groups."""
    from rules.policy import load_policy

    return sorted(load_policy(config).groups)


def audit(paths: StatePaths, actor: str, action: str, thing: str, detail: dict[str, Any]) -> None:
    """Write down what somebody did on the command line."""
    from analyser.casework.audit import append

    with casework_open(paths) as database, database.session() as session:
        append(session, os_actor(actor).written, action, thing, detail)


def os_actor(name: str) -> Actor:
    """Return a user of this machine as somebody who acts."""
    from analyser.casework.people import Actor

    return Actor("os", name)


def password_link(console: str, secret: str) -> str:
    """Return the address of the page on which a one-time link's owner sets a password."""
    return f"{console}/set-password/{secret}"


def console_address(paths: StatePaths) -> str:
    """Return the address of the console that runs or ran last, for links."""
    from schoolgate.options import DEFAULT_CONSOLE

    try:
        return str(msgspec.json.decode(paths.console_file.read_bytes())["people"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return f"http://{DEFAULT_CONSOLE}"


def run_console(paths: StatePaths, config: Path, address: Address, proxy: Address, options: ConsoleOptions) -> int:
    """Run the console in this process; returns the exit code."""
    from schoolgate.console_process import run

    return run(paths, config, address, proxy, options)


def run_worker(paths: StatePaths, name: str, listen: Address, console: Address) -> int:
    """Run one gateway worker in this process; returns the exit code."""
    from schoolgate.worker_process import run

    return run(paths, name, listen, console)
