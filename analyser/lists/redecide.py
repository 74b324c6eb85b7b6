"""Decide old requests anew under two sets of lists, by the gateway's own `decide`, as few times as tell all of them apart."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from blocklists.batch import BatchLookup, UrlBatch
from blocklists.expressions import ExpressionIndex
from blocklists.host import bare_host
from blocklists.index import ListIndex
from blocklists.layout import DEPTH_SHIFT, hash_bytes
from blocklists.stored import Section
from blocklists.url import CanonicalUrl, UrlError, canonicalise
from rules.decide import decide
from rules.decision import Action
from rules.request import Request, Subject
from rules.ruleset import Ruleset
from rules.state import State

type Change = Literal["blocked", "warned", "opened"]
type Signatures = NDArray[np.uint64]
_WORD = (1 << 64) - 1


class Case(NamedTuple):
    """Requests that get one decision."""

    host: str
    path: str
    """ "/" where no list or entry of the school looks at this host's paths."""
    group: str
    slot: float
    """Begin of the quarter of an hour, for groups with timed rules; 0 for others."""
    scheme: str
    port: int
    last: float
    """Time of the newest of them."""
    by_path: bool
    """True where the path tells decisions of this host apart."""


def signatures(index: ListIndex, addresses: Sequence[str], expressions: ExpressionIndex | None = None) -> Signatures:
    """Return a number for each "host/path": equal where the lists say the same of it, 0 where they say nothing."""
    result = np.zeros(len(addresses), np.uint64)
    if expressions is not None and expressions.count:
        for row, address in enumerate(addresses):
            said_too = {f"{one.list}\0{one.category}" for one in expressions.find_text(address)}
            result[row] = sum(xxh3_64_intdigest(text.encode(), seed=1) for text in said_too) & _WORD
    hits = BatchLookup(index).find(UrlBatch.of(addresses))
    if not len(hits.rows):
        return result
    words = np.array([xxh3_64_intdigest(f"{label.list}\0{label.category}".encode()) for label in index.meta.labels], np.uint64)
    said = words[hits.labels]
    order = np.lexsort((said, hits.rows))
    rows, said = hits.rows[order], said[order]
    first = np.concatenate(([True], (rows[1:] != rows[:-1]) | (said[1:] != said[:-1])))
    with np.errstate(over="ignore"):
        np.add.at(result, rows[first], said[first])
    return result


def has_paths(index: ListIndex, host: str) -> bool:
    """True when the lists have entries for some paths of a canonical host."""
    key, keys = hash_bytes(bare_host(host).encode()), index.key_view
    slot = (key >> 32) * index.homes >> 32
    while keys[slot] < key:
        slot += 1
    return keys[slot] == key and bool(index.value_view[slot] >> DEPTH_SHIFT)


def changed_texts(before: Iterable[Section], after: Iterable[Section], kinds: frozenset[str]) -> frozenset[str]:
    """Return the entries of some kinds that only one of two versions of a list has, or has in another category."""
    was, is_ = _lines(before, kinds), _lines(after, kinds)
    return frozenset(line for _, _, line in was ^ is_)


def hosts_of(entries: Iterable[str]) -> frozenset[str]:
    """Return the hosts of "host/path" entries."""
    return frozenset(entry.partition("/")[0] for entry in entries)


def redecide(cases: Sequence[Case], present: Ruleset, candidate: Ruleset) -> list[tuple[Case, Change]]:
    """Return the cases whose decision is another under the candidate's lists.

    Hosts of which both lists say the same two things, and no entry of the school or allow list speaks, share a decision.
    """
    if not cases:
        return []
    texts = [case.host + case.path for case in cases]
    before = signatures(present.lists, texts, present.expressions)
    after = signatures(candidate.lists, texts, candidate.expressions)
    policy = present.policy
    school = frozenset(entry.host for entry in (*policy.allow_entries.entries, *policy.deny_entries.entries)) | policy.own_hosts
    known: dict[tuple[object, ...], Change | None] = {}
    found: list[tuple[Case, Change]] = []
    for case, was, is_ in zip(cases, before.tolist(), after.tolist(), strict=True):
        key: tuple[object, ...] = (case.group, case.slot, was, is_)
        # Where no list speaks, the words of the name itself are weighed, and the host matters after all.
        named = not (was and is_) and bool(present.keywords.weigh_host(case.host, policy.thresholds_of(case.group)).themes)
        if named or covers(school, case.host) or _allowed(case, present, candidate):
            key = (*key, case.host, case.path)
        if key not in known:
            known[key] = _change(case, present, candidate)
        change = known[key]
        if change is not None:
            found.append((case, change))
    return found


def covers(hosts: frozenset[str], host: str) -> bool:
    """True when the set holds the host or a parent of it."""
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False


def _allowed(case: Case, present: Ruleset, candidate: Ruleset) -> bool:
    if not present.allowed.count and not candidate.allowed.count:
        return False
    url = _url(case)
    return url is not None and (present.allowed.find(url) is not None or candidate.allowed.find(url) is not None)


def _change(case: Case, present: Ruleset, candidate: Ruleset) -> Change | None:
    url = _url(case)
    if url is None:
        return None
    request = Request(url=url, subject=Subject("", case.group), at=case.slot or case.last)
    old, new = decide(request, present, _NOBODY).action, decide(request, candidate, _NOBODY).action
    if new.strictness > old.strictness:
        return "blocked" if new is Action.BLOCK else "warned" if new is Action.WARN else None
    return "opened" if new.strictness < old.strictness and old.stops else None


def _url(case: Case) -> CanonicalUrl | None:
    try:
        return canonicalise(f"{case.scheme or 'https'}://{case.host}:{case.port or 443}{case.path}")
    except UrlError:  # a record of something that was no web address
        return None


def _lines(sections: Iterable[Section], kinds: frozenset[str]) -> set[tuple[str, str, str]]:
    return {
        (section.category, section.kind, line) for section in sections if section.kind in kinds for line in section.data.decode().split()
    }


_NOBODY = State()
