"""Lists on their way to being live, for the commands: tried beside the present ones, last week's traffic asked, loaded or held.

Imports stand inside the functions, as in `wiring`.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from schoolgate import terminal, wiring
from schoolgate.errors import Problem
from schoolgate.options import operator
from schoolgate.paths import StatePaths
from schoolgate.progress import Progress, progress
from schoolgate.storelock import store_lock

if TYPE_CHECKING:
    from analyser.lists.changes import Outcome
    from analyser.lists.fetch import FetchReport
    from analyser.lists.preview import Preview
    from analyser.lists.sealing import Place, Sealed
    from analyser.lists.traffic import Traffic
    from analyser.lists.trial import Proposal, Trial
    from blocklists.sealedinput import SealedFormat

SHOWN = 4
"""Objections of one kind that people are shown."""


@contextmanager
def tried(
    paths: StatePaths, config: Path, proposal: Proposal, *, unattended: bool = False, shown: Progress | None = None
) -> Iterator[tuple[Trial, Preview]]:  # fmt: skip
    """Try a list for the length of a block; gives it with its preview. Unattended, whatever a guard objects to is held."""
    from analyser.lists.changes import enough_approvers
    from analyser.lists.preview import preview
    from analyser.lists.trial import trial
    from rules.policy import load_policy

    policy = load_policy(config)
    with wiring.casework_open(paths) as database, database.reading() as session:
        second = unattended or enough_approvers(session)
    with trial(wiring.library(paths), proposal) as one:
        if shown is not None:
            shown.step(f"Compiling all lists with {proposal.name}")
        one.compile()
        if shown is not None:
            shown.step("Asking what last week's pages would have met")
        yield one, preview(one, policy, traffic_of(paths, one), second_person=second)


def load(
    paths: StatePaths, config: Path, proposal: Proposal, proposer: str | None = None, confirm: Callable[[Preview], bool] | None = None
) -> tuple[Outcome, Preview]:  # fmt: skip
    """Do what is proposed, or hold it for a second person; the ruleset is built when it is live.

    `confirm` is asked before; `Problem` is raised when it says no.
    """
    from analyser.lists.changes import offer

    with ExitStack() as stack:
        with progress(f"Reading {proposal.name}", _size(proposal)) as shown:
            one, found = stack.enter_context(tried(paths, config, proposal, unattended=proposer is not None, shown=shown))
        if confirm is not None and not confirm(found):
            raise Problem(f"Nothing was done with {proposal.name}.")
        database = stack.enter_context(wiring.casework_open(paths))
        outcome = offer(database, one, found, proposer or wiring.os_actor(operator()).written)
    if outcome.report is not None:
        wiring.build_ruleset(paths, config)
    return outcome, found


def do(paths: StatePaths, config: Path, proposal: Proposal) -> Preview:
    """Do something with a list that is there; raises `Problem` when a guard holds it for a second person."""
    outcome, found = load(paths, config, proposal)
    if outcome.change is not None:
        raise Problem(held_sentence(found, outcome.change))
    return found


def seal(paths: StatePaths, config: Path, name: str, source: Path, format_: str) -> Sealed:
    """Put a sealed list from a file in force, or hold it for a second person; the ruleset is built when it is in force."""
    from analyser.lists.sealing import seal_file

    with wiring.casework_open(paths) as database:
        done = seal_file(database, _place(paths, config), name, source, cast("SealedFormat", format_), wiring.os_actor(operator()).written)
    if done.change is None:
        wiring.build_ruleset(paths, config)
    return done


def fetch_sealed(
    paths: StatePaths, config: Path, name: str, *, scheduled: bool, any_hour: bool, shown: Progress
) -> tuple[FetchReport, Sealed | None]:  # fmt: skip
    """Fetch a sealed list from its source and put it in force, or hold it; raises `FetchError`."""
    from analyser.casework.people import GATEWAY
    from analyser.lists.sealing import fetch_sealed as fetch

    actor = GATEWAY if scheduled else wiring.os_actor(operator())
    with wiring.casework_open(paths) as database:
        report, done = fetch(
            database, _place(paths, config), name, actor, scheduled=scheduled, any_hour=any_hour, trusted=wiring.trusted_ca(config),
            tell=shown.reached,
        )  # fmt: skip
    if done is not None and done.change is None:
        wiring.build_ruleset(paths, config)
    return report, done


def refuse_sealed(paths: StatePaths, name: str) -> None:
    """Raise `Problem` where a sealed list has this name: as an ordinary one its text would be kept and shown."""
    from blocklists.sealedstore import registered

    if registered(paths.sealed, name) is not None:
        raise Problem(f"{name} is a sealed list, of which only digests are kept: say --sealed to load it, or choose another name.")


def _place(paths: StatePaths, config: Path) -> Place:
    from analyser.lists.sealing import Place
    from rules.policy import PolicyError, load_policy

    try:
        own = load_policy(config).own_hosts
    except PolicyError:  # no reason to leave a sealed list old; building the ruleset says what is wrong
        own = frozenset()
    return Place(paths.lists, paths.sealed, own)


def _size(proposal: Proposal) -> int | None:
    """Return the bytes that are to be read, where they are as many as the file has."""
    path = Path(proposal.path)
    if proposal.act != "load" or not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(2) == b"\x1f\x8b" else path.stat().st_size


def warnings(found: Preview) -> list[str]:
    """Return what people should look at although the list is live, the gravest first; of each kind not more than a few."""
    lines: list[str] = []
    rules = dict.fromkeys(one.rule for one in sorted(found.objections, key=lambda one: one.rule in ("suffix", "platform")))
    for rule in rules:
        messages = [one.message for one in found.objections if one.rule == rule]
        lines += messages[:SHOWN]
        if len(messages) > SHOWN:
            lines.append(f"… and {len(messages) - SHOWN:,} more of this kind; `schoolgate lists preview --json` names them all.")
        if rule == "vital" and found.act != "seal":
            lines.append("An [[allow]] entry in the policy keeps such a host open; --map CATEGORY=- leaves its category out of the list.")
    return lines


def held_sentence(found: Preview, change: int) -> str:
    """Say why a list is not live yet, and what to do."""
    why = [objection.message for objection in found.objections if objection.blocks]
    more = f" And {len(why) - 3} more; `schoolgate lists changes` shows them." if len(why) > 3 else ""
    what = {
        "load": f"The list {found.name} is not live yet.", "rollback": f"Version {found.version} of {found.name} is not live yet.",
        "pause": f"{found.name} is not paused yet.", "remove": f"{found.name} is not removed yet.",
        "resume": f"{found.name} is not asked again yet.", "seal": f"The sealed list {found.name} is not in force yet, the earlier one is.",
    }[found.act]  # fmt: skip
    return (
        f"{what} {' '.join(why[:3])}{more} It waits as number {change}: somebody else can look at it and "
        f"run `schoolgate lists approve {change}`, or approve it at the console."
    )


def traffic_of(paths: StatePaths, one: Trial) -> Traffic | None:
    """Return what last week's traffic would have met, from the running console or from the store itself; None where there is none."""
    import msgspec

    from analyser.lists.traffic import Traffic

    with store_lock(paths) as mine:
        if mine:
            return _from_store(paths, one)
    from schoolgate.ask import console_of

    try:
        console = console_of(paths)
        try:
            answer = console.post("/api/v1/list-preview", {"name": one.proposal.name, "folder": str(one.candidate.folder)})
        finally:
            console.close()
    except Problem as problem:
        terminal.warn(f"Last week's traffic can't be asked: {problem}")
        return None
    return msgspec.convert(answer["traffic"], Traffic)


def list_hits(paths: StatePaths) -> dict[str, int]:
    """Return how many requests each list decided in the last 30 days."""
    from analyser.lists.traffic import hits_by_list
    from analyser.store import EventStore
    from schoolgate.firstrun import read_key

    with store_lock(paths) as mine:
        if mine:
            if not paths.events.exists():
                return {}
            store = EventStore(paths.events, read_key(paths.events_key))
            try:
                return hits_by_list(store)
            finally:
                store.close()
    from schoolgate.ask import console_of

    console = console_of(paths)
    try:
        return {str(name): int(count) for name, count in console.get("/api/v1/list-hits", {})["hits"].items()}
    finally:
        console.close()


def _from_store(paths: StatePaths, one: Trial) -> Traffic | None:
    from analyser.lists.traffic import candidate_of, compare
    from analyser.store import EventStore
    from rules.ruleset import Ruleset, current_folder
    from schoolgate.firstrun import read_key

    if not paths.events.exists() or not paths.current_ruleset.is_symlink():
        return None
    present = Ruleset.load(current_folder(paths.rulesets))
    candidate = candidate_of(present, one.library, one.candidate)
    store = EventStore(paths.events, read_key(paths.events_key))
    try:
        return compare(store, present, candidate)
    finally:
        store.close()
        candidate.ruleset.lists.close()
