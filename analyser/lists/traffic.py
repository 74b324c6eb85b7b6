"""What last week's page requests would have met under other lists: re-decided, and counted where they lie.

Ten million events are never carried out of the store: it is asked for distinct hosts, both sets of lists are asked about
those in one batch, and only hosts of which they say different things are decided anew, by the same `decide` as the gateway's.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from analyser.lists.redecide import Case, Change, changed_texts, covers, has_paths, hosts_of, redecide, signatures
from analyser.store import EventStore
from blocklists.host import bare_host
from blocklists.library import Library
from blocklists.stored import Section, read_sections
from rules.ruleset import Ruleset

DAYS: Final = 7
TOP_HOSTS: Final = 20
MOST_CASES: Final = 500_000
"""Distinct (host, path, group) that are decided anew; the busiest first."""
_PAGES: Final = "page AND host <> '' AND time >= ? AND time < ?"
_FOR_ANOTHER_REASON: Final = "(reason = 'grant' OR (action IN ('block', 'warn', 'error') AND reason NOT IN ('list', 'default')))"
"""Events that lists did not decide: an unblock, typed words, an unlawful page. Other lists change nothing for them."""

_PATH: Final = "CASE WHEN by_path THEN path ELSE '/' END"
_SLOT: Final = 'CASE WHEN list_contains(?, "group") THEN floor(epoch(time) / 900) * 900 ELSE 0.0 END'
"""Begin of a quarter of an hour, for groups whose rules depend on the time."""
_ASKED: Final = """SELECT unnest(from_json(?, '[{"host":"VARCHAR","by_path":"BOOLEAN"}]'), recursive := true)"""
_CHANGED: Final = (
    """SELECT unnest(from_json(?, '[{"host":"VARCHAR","at_path":"VARCHAR","grp":"VARCHAR","slot":"DOUBLE","change":"VARCHAR","""
    """"by_path":"BOOLEAN"}]'), recursive := true)"""
)
_PATHS: Final = frozenset({"path", "url"})
_HOSTS: Final = frozenset({"host", "domain", "network"})


class HostCount(msgspec.Struct, frozen=True):
    """How often a host would have met another decision."""

    host: str
    requests: int
    users: int


class Met(msgspec.Struct, frozen=True):
    """Page requests that would have met another decision."""

    requests: int = 0
    users: int = 0
    """Distinct users, or addresses of devices without one: a number, never a name."""
    hosts: int = 0
    top: tuple[HostCount, ...] = ()


class Traffic(msgspec.Struct, frozen=True):
    """What the page requests of some days would have met."""

    since: float
    until: float
    pages: int
    """Page requests of the time."""
    allowed: int
    """Those of them that went through."""
    blocked: Met
    warned: Met
    opened: Met
    """Stopped under the present lists, and not, or more mildly, under the proposed ones."""
    complete: bool
    """False when more addresses differ than are decided anew: then the numbers are lower bounds."""
    seconds: float

    @property
    def blocked_share(self) -> float:
        """Share of the allowed page requests that would have been blocked."""
        return self.blocked.requests / self.allowed if self.allowed else 0.0


class Candidate(NamedTuple):
    """A ruleset with other lists, and which hosts that may concern."""

    ruleset: Ruleset
    path_hosts: frozenset[str]
    """Bare hosts of path entries that differ, and of all path entries of allow lists."""
    allow_hosts: frozenset[str]
    """Hosts and domains that only the allow lists of one side hold."""


def candidate_of(present: Ruleset, library: Library, tried: Library) -> Candidate:
    """Return the candidate whose lists a folder holds compiled; the caller closes its index. Raises `ListError`."""
    before, after = _by_kind(library), _by_kind(tried)
    paths = changed_texts(before["block"], after["block"], _PATHS) | changed_texts((), before["allow"] + after["allow"], _PATHS)
    ruleset = msgspec.structs.replace(
        present, lists=tried.open_index(), allowed=tried.open_allow(), expressions=tried.open_expressions()
    )  # fmt: skip
    return Candidate(ruleset, hosts_of(paths), changed_texts(before["allow"], after["allow"], _HOSTS))


def compare(store: EventStore, present: Ruleset, candidate: Candidate, *, now: float | None = None, days: float = DAYS) -> Traffic:
    """Return what the page requests of the last days would have met under the candidate's lists instead of the present ones."""
    began = time.perf_counter()
    until = time.time() if now is None else now
    since = until - days * 86_400
    window = [_at(since), _at(until)]
    # An expression speaks of any part of an address.
    by_path = any(side.lists.needs_text or side.expressions.count for side in (present, candidate.ruleset))
    addresses, pages, allowed = _addresses(store, window, by_path)
    cases, complete = _cases(store, window, _differing(addresses, present, candidate), present, candidate, by_path)
    met = _count(store, window, redecide(cases, present, candidate.ruleset))
    return Traffic(
        since, until, pages, allowed, met.get("blocked", Met()), met.get("warned", Met()), met.get("opened", Met()), complete,
        time.perf_counter() - began,
    )  # fmt: skip


def hits_by_list(store: EventStore, *, days: float = 30, now: float | None = None) -> dict[str, int]:
    """Return how many requests each list decided in the last days."""
    until = time.time() if now is None else now
    rows = store.read(
        "SELECT list, count(*) FROM store.events WHERE list <> '' AND reason = 'list' AND time >= ? AND time < ? GROUP BY list",
        [_at(until - days * 86_400), _at(until)],
    )
    return {str(name): int(count) for name, count in rows}


def _addresses(store: EventStore, window: list[Any], by_path: bool) -> tuple[list[str], int, int]:
    """Return the distinct "host/" (or "host/path") of the time, with the page requests and those that went through."""
    key = "host, path" if by_path else "host, '/'"
    rows = store.read(
        f"SELECT {key}, count(*), count(*) FILTER (WHERE action IN ('allow', 'log')) FROM store.events "  # noqa: S608  (constants)
        f"WHERE {_PAGES} GROUP BY {key}",
        window,
    )
    return [f"{row[0]}{row[1]}" for row in rows], sum(int(row[2]) for row in rows), sum(int(row[3]) for row in rows)


def _differing(addresses: list[str], present: Ruleset, candidate: Candidate) -> list[str]:
    """Return the hosts of which the two sets of lists say different things, or may for some of their paths."""
    if not addresses:
        return []
    other = candidate.ruleset
    differs = signatures(present.lists, addresses, present.expressions) != signatures(other.lists, addresses, other.expressions)
    hosts = {addresses[row].partition("/")[0] for row in np.flatnonzero(differs).tolist()}
    if candidate.path_hosts or candidate.allow_hosts:
        every = {address.partition("/")[0] for address in addresses} - hosts
        hosts |= {host for host in every if bare_host(host) in candidate.path_hosts or covers(candidate.allow_hosts, host)}
    return sorted(hosts)


def _cases(
    store: EventStore, window: list[Any], hosts: list[str], present: Ruleset, candidate: Candidate, by_path: bool
) -> tuple[list[Case], bool]:  # fmt: skip
    """Return what has to be decided anew, the busiest first, and whether that is all of it."""
    if not hosts:
        return [], True
    entries = (*present.policy.allow_entries.entries, *present.policy.deny_entries.entries)
    school = frozenset(entry.host for entry in entries if entry.path != "/" or entry.query is not None)
    lists = (present.lists, candidate.ruleset.lists)
    paths = [
        by_path or bare_host(host) in candidate.path_hosts or covers(school, host) or any(has_paths(index, host) for index in lists)
        for host in hosts
    ]
    timed = [group.name for group in present.policy.groups.values() if group.timed]
    rows = store.read(
        f"WITH asked AS ({_ASKED}) "  # noqa: S608  (constants)
        f'SELECT host, {_PATH} AS at_path, "group", {_SLOT} AS slot, any_value(scheme), any_value(port), epoch(max(time)), by_path '
        f"FROM store.events JOIN asked USING (host) WHERE {_PAGES} AND NOT {_FOR_ANOTHER_REASON} "
        'GROUP BY host, at_path, "group", slot, by_path ORDER BY count(*) DESC LIMIT ?',
        [_json([{"host": h, "by_path": p} for h, p in zip(hosts, paths, strict=True)]), timed, *window, MOST_CASES + 1],
    )
    return [Case(*row) for row in rows[:MOST_CASES]], len(rows) <= MOST_CASES


def _count(store: EventStore, window: list[Any], changes: list[tuple[Case, Change]]) -> dict[str, Met]:
    """Count requests and persons of the cases that changed, where they lie."""
    if not changes:
        return {}
    timed = sorted({case.group for case, _ in changes if case.slot})
    rows = store.read(
        f"WITH changed AS ({_CHANGED}) "  # noqa: S608  (constants)
        'SELECT change, e.host, count(*) AS requests, count(DISTINCT CASE WHEN "user" <> \'\' THEN "user" ELSE client_address END) '
        'FROM store.events AS e JOIN changed AS c ON e.host = c.host AND e."group" = c.grp '
        f"AND {_PATH} = c.at_path AND {_SLOT} = c.slot "
        f"WHERE {_PAGES.replace('host', 'e.host')} AND NOT {_FOR_ANOTHER_REASON} "
        "GROUP BY GROUPING SETS ((change), (change, e.host)) ORDER BY requests DESC, e.host",
        [_json([_changed(case, change) for case, change in changes]), timed, *window],
    )
    found: dict[str, Met] = {}
    for kind in ("blocked", "warned", "opened"):
        total = next(((int(row[2]), int(row[3])) for row in rows if row[0] == kind and row[1] is None), None)
        if total is not None:
            hosts = [HostCount(str(row[1]), int(row[2]), int(row[3])) for row in rows if row[0] == kind and row[1] is not None]
            found[kind] = Met(*total, len(hosts), tuple(hosts[:TOP_HOSTS]))
    return found


def _json(rows: list[dict[str, Any]]) -> str:
    """Return rows as one parameter: DuckDB takes thousands of values one by one a hundred times as slowly."""
    return msgspec.json.encode(rows).decode()


def _changed(case: Case, change: Change) -> dict[str, Any]:
    return {"host": case.host, "at_path": case.path, "grp": case.group, "slot": case.slot, "change": change, "by_path": case.by_path}


def _by_kind(library: Library) -> dict[str, list[Section]]:
    """Return the sections that differences are looked for in: paths of block lists, everything of allow lists."""
    found: dict[str, list[Section]] = {"block": [], "allow": []}
    for stored in library.all_stored():
        if stored.paused:
            continue
        wanted = msgspec.structs.replace(
            stored, sections=tuple(section for section in stored.sections if stored.kind == "allow" or section.kind in _PATHS)
        )
        found[stored.kind] += read_sections(library.entries_path(stored), wanted)
    return found


def _at(seconds: float) -> datetime:
    """Return a moment as the store's own type: UTC without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
