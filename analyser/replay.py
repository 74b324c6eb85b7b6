"""What last month's searches would have met under other phrases: weighed again, decided again, counted where they lie.

The record keeps search terms and the phrases that matched. It keeps no text of pages, form fields or prompts, so those can't
be weighed again: of them this tells only how often a phrase that would go or change was among what matched.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from analyser.schema import FOLDED
from analyser.store import EventStore
from blocklists.url import UrlError, canonicalise
from rules.decision import Action
from rules.keywords import KeywordMatcher
from rules.keywords.sets import KeywordSet, Phrase
from rules.kinds import TEXT_CONTEXTS
from rules.look import Look
from rules.request import Request, Subject, TypedText
from rules.ruleset import Ruleset
from rules.state import State

DAYS: Final = 30
TOP: Final = 20
"""Phrases and terms that are named, the most frequent first."""
MOST_CASES: Final = 300_000
"""Distinct (term, host, group) that are weighed again; the busiest first."""
KINDS: Final = ("alerted", "blocked", "warned", "no_longer_alerted", "no_longer_blocked", "no_longer_warned")

_SUBJECT: Final = """CASE WHEN e."user" <> '' THEN e."user" ELSE e.client_address END"""
_SLOT: Final = 'CASE WHEN list_contains(?, e."group") THEN floor(epoch(e.time) / 900) * 900 ELSE 0.0 END'
"""Begin of a quarter of an hour, for groups whose rules depend on the time."""
_SEARCHES: Final = f"e.search <> '' AND e.time >= ? AND e.time < ? AND NOT (e.search_partial AND e.id IN ({FOLDED}))"
"""Parameters: since, until, and both again."""
_CHANGED: Final = (
    """SELECT unnest(from_json(?, '[{"term":"VARCHAR","host":"VARCHAR","grp":"VARCHAR","slot":"DOUBLE","kind":"VARCHAR","""
    """"phrase":"VARCHAR"}]'), recursive := true)"""
)
_NOBODY: Final = State()


class Counted(msgspec.Struct, frozen=True):
    """How often something would have been met; people are a number, never a name."""

    name: str
    searches: int
    users: int


class Met(msgspec.Struct, frozen=True):
    """Searches that would have met another decision."""

    searches: int = 0
    users: int = 0
    groups: tuple[Counted, ...] = ()
    phrases: tuple[Counted, ...] = ()
    terms: tuple[Counted, ...] = ()
    """What was searched for; only where that was asked for, by somebody who may read events."""


class Elsewhere(msgspec.Struct, frozen=True):
    """Pages, form fields and prompts on which a phrase matched that would go or change."""

    events: int = 0
    users: int = 0
    phrases: tuple[Counted, ...] = ()


class Replay(msgspec.Struct, frozen=True):
    """What the searches of some days would have met under other phrases."""

    since: float
    until: float
    searches: int
    """Searches of the time, finished ones and those that stand for themselves."""
    met: dict[str, Met]
    """By `KINDS`; kinds of which there are none are left out."""
    elsewhere: Elsewhere
    complete: bool
    """False when more terms were searched for than are weighed again: then the numbers are the least."""
    seconds: float


class _Case(NamedTuple):
    term: str
    host: str
    group: str
    slot: float
    scheme: str
    path: str
    last: float


class _Outcome(NamedTuple):
    alerts: bool
    action: Action
    phrase: str


def with_sets(present: Ruleset, sets: Iterable[KeywordSet]) -> Ruleset:
    """Return the ruleset with other keyword sets and everything else as it is."""
    kept = tuple(sets)
    policy = msgspec.structs.replace(present.policy, keyword_sets=kept)
    return msgspec.structs.replace(present, policy=policy, keywords=KeywordMatcher.build(kept, present.keywords.thresholds))


def replay(
    store: EventStore, present: Ruleset, candidate: Ruleset, *, days: float = DAYS, now: float | None = None, terms: bool = False
) -> Replay:
    """Return what the searches of the last days would have met under the candidate's phrases instead of the present ones."""
    began = time.perf_counter()
    until = time.time() if now is None else now
    since = until - days * 86_400
    window = [_at(since), _at(until)] * 2
    timed = [group.name for group in present.policy.groups.values() if group.timed]
    total = int(store.read(f"SELECT count(*) FROM store.events AS e WHERE {_SEARCHES}", window)[0][0])  # noqa: S608  (constants)
    rows = store.read(
        f'SELECT e.search, e.host, e."group", {_SLOT} AS slot, any_value(e.scheme), any_value(e.path), epoch(max(e.time)) '  # noqa: S608
        f'FROM store.events AS e WHERE {_SEARCHES} GROUP BY e.search, e.host, e."group", slot ORDER BY count(*) DESC LIMIT ?',
        [timed, *window, MOST_CASES + 1],
    )
    changes = _changes((_Case(*row) for row in rows[:MOST_CASES]), present, candidate)
    return Replay(
        since, until, total, _count(store, window, timed, changes, terms=terms), _elsewhere(store, window[:2], present, candidate),
        len(rows) <= MOST_CASES, time.perf_counter() - began,
    )  # fmt: skip


def _changes(cases: Iterable[_Case], present: Ruleset, candidate: Ruleset) -> list[dict[str, Any]]:
    """Return a row for each kind of change of each case; texts in which nothing stands that differs are not decided."""
    matcher = _differing(present.policy.keyword_sets, candidate.policy.keyword_sets)
    differs: dict[str, bool] = {}
    found = []
    for case in cases:
        if case.term not in differs:
            differs[case.term] = bool(matcher.weigh(case.term, "search").themes)
        if not differs[case.term]:
            continue
        before, after = _outcome(case, present), _outcome(case, candidate)
        key = {"term": case.term, "host": case.host, "grp": case.group, "slot": case.slot}
        found += [{**key, "kind": kind, "phrase": phrase} for kind, phrase in _kinds(before, after)]
    return found


def _differing(old: Sequence[KeywordSet], new: Sequence[KeywordSet]) -> KeywordMatcher:
    """Return what finds the phrases that only one side has, or has more often, whatever they weigh: few, so that it is quick."""
    before, after = _counted(old), _counted(new)
    phrases = (*(before - after), *(after - before))
    sets = [KeywordSet(category, (msgspec.structs.replace(phrase, weight=1, lowers=0),)) for category, phrase in phrases]
    return KeywordMatcher.build(sets, dict.fromkeys(TEXT_CONTEXTS, 1))


def _outcome(case: _Case, ruleset: Ruleset) -> _Outcome:
    try:
        url = canonicalise(f"{case.scheme or 'https'}://{case.host}{case.path or '/'}")
    except UrlError:  # a record of something that was no web address
        url = canonicalise("https://search.invalid/")
    request = Request(url=url, subject=Subject("", case.group), at=case.slot or case.last, typed=(TypedText(case.term, "search"),))
    decision = Look(request, ruleset, _NOBODY).typed_decision()
    if decision is None:
        return _Outcome(False, Action.ALLOW, "")
    return _Outcome(decision.level >= ruleset.policy.alert_level, decision.action, decision.rule or "")


def _kinds(before: _Outcome, after: _Outcome) -> Iterable[tuple[str, str]]:
    if after.alerts != before.alerts:
        yield ("alerted", after.phrase) if after.alerts else ("no_longer_alerted", before.phrase)
    if after.action is before.action:
        return
    for action, kind in ((Action.BLOCK, "blocked"), (Action.WARN, "warned")):
        if after.action is action:
            yield kind, after.phrase
        # What is blocked instead of warned of is told once, as blocked.
        elif before.action is action and after.action.strictness < action.strictness:
            yield f"no_longer_{kind}", before.phrase


def _count(store: EventStore, window: list[Any], timed: list[str], changes: list[dict[str, Any]], *, terms: bool) -> dict[str, Met]:
    if not changes:
        return {}
    rows = store.read(
        f"WITH changed AS ({_CHANGED}), met AS (SELECT c.kind, c.phrase, c.term, c.grp, {_SUBJECT} AS subject "  # noqa: S608  (constants)
        f'FROM store.events AS e JOIN changed AS c ON e.search = c.term AND e.host = c.host AND e."group" = c.grp AND c.slot = {_SLOT} '
        f"WHERE {_SEARCHES}) SELECT kind, grp, phrase, term, count(*) AS n, count(DISTINCT subject) FROM met "
        "GROUP BY GROUPING SETS ((kind), (kind, grp), (kind, phrase), (kind, term)) ORDER BY n DESC, grp, phrase, term",
        [msgspec.json.encode(changes).decode(), timed, *window],
    )
    found = {}
    for kind in KINDS:
        mine = [row[1:] for row in rows if row[0] == kind]
        total = next((row for row in mine if row[:3] == (None, None, None)), None)
        if total is None:
            continue
        groups, phrases, named = (tuple(Counted(str(r[at]), int(r[3]), int(r[4])) for r in mine if r[at] is not None) for at in range(3))
        found[kind] = Met(int(total[3]), int(total[4]), groups, phrases[:TOP], named[:TOP] if terms else ())
    return found


def _elsewhere(store: EventStore, window: list[Any], present: Ruleset, candidate: Ruleset) -> Elsewhere:
    gone = sorted({phrase.text for _, phrase in _counted(present.policy.keyword_sets) - _counted(candidate.policy.keyword_sets)})
    if not gone:
        return Elsewhere()
    rows = store.read(
        "WITH asked AS (SELECT unnest(from_json(?, '[\"VARCHAR\"]')) AS phrase), "  # noqa: S608  (constants)
        f"met AS (SELECT e.id, {_SUBJECT} AS subject, unnest(e.matches) AS phrase FROM store.events AS e "
        "WHERE e.search = '' AND len(e.matches) > 0 AND e.time >= ? AND e.time < ?) "
        "SELECT phrase, count(DISTINCT id) AS n, count(DISTINCT subject) FROM met JOIN asked USING (phrase) "
        "GROUP BY GROUPING SETS ((), (phrase)) ORDER BY n DESC, phrase",
        [msgspec.json.encode(gone).decode(), *window],
    )
    total = next(((int(row[1]), int(row[2])) for row in rows if row[0] is None), (0, 0))
    return Elsewhere(*total, tuple(Counted(str(row[0]), int(row[1]), int(row[2])) for row in rows if row[0] is not None)[:TOP])


def _counted(sets: Sequence[KeywordSet]) -> Counter[tuple[str, Phrase]]:
    return Counter((one.category, phrase) for one in sets for phrase in one.phrases)


def _at(seconds: float) -> datetime:
    """Return a moment as the store's own type: UTC without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
