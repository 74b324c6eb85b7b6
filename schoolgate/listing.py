"""Lists on their way to being live, for the commands: tried beside the present ones, last week's traffic asked, loaded or held.

Imports stand inside the functions, as in `wiring`.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from schoolgate import terminal, wiring
from schoolgate.errors import Problem
from schoolgate.options import operator
from schoolgate.paths import StatePaths
from schoolgate.storelock import store_lock

if TYPE_CHECKING:
    from analyser.lists.changes import Outcome
    from analyser.lists.preview import Preview
    from analyser.lists.traffic import Traffic
    from analyser.lists.trial import Proposal, Trial

SHOWN = 4
"""Objections of one kind that people are shown."""


@contextmanager
def tried(paths: StatePaths, config: Path, proposal: Proposal, *, unattended: bool = False) -> Iterator[tuple[Trial, Preview]]:
    """Try a list for the length of a block; gives it with its preview. Unattended, whatever a guard objects to is held."""
    from analyser.lists.changes import enough_approvers
    from analyser.lists.preview import preview
    from analyser.lists.trial import trial
    from rules.policy import load_policy

    policy = load_policy(config)
    with wiring.casework_open(paths) as database, database.reading() as session:
        second = unattended or enough_approvers(session)
    with trial(wiring.library(paths), proposal) as one:
        one.compile()
        yield one, preview(one, policy, traffic_of(paths, one), second_person=second)


def load(paths: StatePaths, config: Path, proposal: Proposal, proposer: str | None = None) -> tuple[Outcome, Preview]:
    """Make a list live, or hold it for a second person; the ruleset is built when it is live."""
    from analyser.lists.changes import offer

    with tried(paths, config, proposal, unattended=proposer is not None) as (one, found), wiring.casework_open(paths) as database:
        outcome = offer(database, one, found, proposer or wiring.os_actor(operator()).written)
    if outcome.report is not None:
        wiring.build_ruleset(paths, config)
    return outcome, found


def warnings(found: Preview) -> list[str]:
    """Return what people should look at although the list is live, the gravest first; of each kind not more than a few."""
    lines: list[str] = []
    rules = dict.fromkeys(one.rule for one in sorted(found.objections, key=lambda one: one.rule in ("suffix", "platform")))
    for rule in rules:
        messages = [one.message for one in found.objections if one.rule == rule]
        lines += messages[:SHOWN]
        if len(messages) > SHOWN:
            lines.append(f"… and {len(messages) - SHOWN:,} more of this kind; `schoolgate lists preview --json` names them all.")
    return lines


def held_sentence(found: Preview, change: int) -> str:
    """Say why a list is not live yet, and what to do."""
    why = [objection.message for objection in found.objections if objection.blocks]
    more = f" And {len(why) - 3} more; `schoolgate lists changes` shows them." if len(why) > 3 else ""
    return (
        f"The list {found.name} is not live yet. {' '.join(why[:3])}{more} It waits as number {change}: somebody else can look at it and "
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
