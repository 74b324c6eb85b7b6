"""What of the lists needs a person: sealed lists that grew old or do not work, refreshes that fail or wait for a second person."""

from collections.abc import Iterator

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from analyser.casework.list_models import ListChange
from analyser.health import Condition
from analyser.lists import sources
from analyser.lists.trial import Proposal
from blocklists.sealed import SealedLists
from blocklists.sealedstore import old_lists


def sealed_conditions(sealed: SealedLists, now: float) -> Iterator[Condition]:
    """Yield a condition for each sealed list that is older than 36 hours, and for each that does not answer to its canary."""
    for name, age in old_lists(sealed.entries, now):
        sentence = f"The sealed list {name} is {age / 3600:.0f} hours old; its publisher sends one every day: load the newest."
        yield Condition("sealed", sentence, 3)
    for name in sealed.deaf():
        yield Condition("sealed", f"The sealed list {name} does not find the entry that is there to test it; load it again.")


def refresh_conditions(session: Session) -> Iterator[Condition]:
    """Yield a condition for each source that the console could not refresh, and for each refresh that a guard held."""
    for row in sources.every(session):
        if row.failures and sources.settings_of(row).every_minutes is not None:
            run = next(iter(sources.runs(session, row.name, 1)), None)
            why = run.sentence if run is not None and run.result == "failed" else "its report says why"
            times = "" if row.failures == 1 else f" {row.failures} times"
            yield Condition("lists", f"The list {row.name} could not be refreshed{times}, the one that is there stays: {why}")
    for change in session.scalars(select(ListChange).where(ListChange.status == "pending")):
        if msgspec.json.decode(change.proposal, type=Proposal).scheduled:
            found = [str(finding["message"]) for finding in msgspec.json.decode(change.findings) if finding["blocks"]]
            sentence = f"A refresh of the list {change.name} waits for somebody's approval (number {change.id}): {' '.join(found[:1])}"
            yield Condition("lists", sentence)
