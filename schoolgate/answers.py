"""What commands say by the rules in force and by the record: why a page is open, what is worth a look, what happened.

Imports stand inside the functions, as in `schoolgate.wiring`, and for the same reason.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from schoolgate import wiring
from schoolgate.errors import Problem
from schoolgate.paths import StatePaths

if TYPE_CHECKING:
    from rules.policy import Policy


def explain(
    paths: StatePaths, url: str, *, user: str | None, group: str | None, address: str | None, at: Callable[[tzinfo], float]
) -> dict[str, Any]:
    """Return the decision for an address and every step's answer, by the ruleset and the grants in force.

    `at` gives the moment, once the policy's time zone is known. Raises `Problem` for what can't be asked.
    """
    from rules.explain import explained, question
    from rules.ruleset import Ruleset, current_folder
    from rules.state import State, read_snapshot

    ruleset = Ruleset.load(current_folder(paths.rulesets))
    try:
        state = State(read_snapshot(paths.snapshot.read_bytes()))
    except FileNotFoundError:
        state = State()
    if group is None and user is not None and user in state.accounts:
        group = state.accounts[user].group
    try:
        request = question(url, ruleset, user=user, group=group, address=address or "", at=at(ruleset.policy.timezone))
    except ValueError as error:
        raise Problem(str(error)) from error
    return explained(url, request, ruleset, state)


def hints(paths: StatePaths, policy: Policy) -> list[str]:
    """Return sentences about what is valid and still worth a look."""
    known = set(policy.names)
    unnamed: dict[str, int] = {}
    for one in wiring.library(paths).status():
        if one.fault is not None:
            continue
        for category, entries in one.categories.items():
            if one.kind == "block" and category not in known:
                unnamed[category] = unnamed.get(category, 0) + entries
    found = [
        f"The lists have a category {category} ({entries:,} entries) that the policy does not name: each group's `other_categories` holds."
        for category, entries in sorted(unnamed.items())
    ]
    try:
        loaded = {entry.name for entry in wiring.sealed_lists(paths)}
    except RuntimeError as error:
        return [*found, str(error)]
    return found + [
        f"The policy requires the sealed list {name}, which is not loaded." for name in policy.required_sealed if name not in loaded
    ]


def stored_events(paths: StatePaths, actor: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """Read events from the store itself, which no other process may have open, and write down who looked at what."""
    from analyser.query import EventQuery
    from rules.matched import of_event
    from rules.ruleset import Ruleset, current_folder

    wiring.audit(paths, actor, "events.read", f"user:{filters['user']}" if "user" in filters else "events", filters)
    if not paths.events.exists():
        return []
    query = EventQuery(**{name: value for name, value in filters.items() if name != "reason"})
    with wiring.events_open(paths) as store:
        rows = store.query(query)
    if not any(row["matches"] for row in rows):
        return [row | {"matched": []} for row in rows]
    ruleset = Ruleset.load(current_folder(paths.rulesets))
    return [row | {"matched": of_event(row, ruleset)} for row in rows]
