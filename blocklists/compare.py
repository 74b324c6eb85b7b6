"""What lists have in common, and what a new version of one changes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from blocklists.host import registrable_domain
from blocklists.library import Library
from blocklists.spans import Keys, distinct, line_keys
from blocklists.stored import Section, StoredList, read_sections

SHOWN = 20
"""Biggest parents and examples that a report names."""


class Change(msgspec.Struct, frozen=True):
    """What a new version adds, takes away and moves."""

    before: int
    after: int
    added: int
    removed: int
    moved: dict[str, int]
    """Entries that stay and change category, by "old -> new"."""
    by_category: dict[str, tuple[int, int]]
    """Entries added to and removed from each category, moved ones too."""
    parents: tuple[tuple[str, int], ...]
    """The registrable domains with the most added entries, at most 20."""
    added_examples: tuple[str, ...]
    removed_examples: tuple[str, ...]


class Overlap(msgspec.Struct, frozen=True):
    """What two lists have in common."""

    first: str
    second: str
    shared: int
    share_of_first: float
    share_of_second: float


class ListStats(msgspec.Struct, frozen=True):
    """Does a list earn its place?"""

    name: str
    kind: str
    entries: int
    alone: int
    """Entries that no other list has."""
    bytes: int
    categories: dict[str, int]
    hits: int | None = None
    """Requests that met it, when the caller counted them."""
    share_of_hits: float | None = None


def diff(old: Sequence[Section], new: Sequence[Section]) -> Change:
    """Return what changes between two versions of a list; entries count once a category and kind."""
    then, now = _by_kind(old), _by_kind(new)
    added = removed = 0
    moved: Counter[str] = Counter()
    changes: dict[str, list[int]] = {}
    parents: Counter[str] = Counter()
    examples: tuple[list[str], list[str]] = ([], [])
    for kind in sorted(set(then) | set(now)):
        before, after = then.get(kind, {}), now.get(kind, {})
        keys_before, keys_after = _union(before.values()), _union(after.values())
        fresh, lost = _without(keys_after, keys_before), _without(keys_before, keys_after)
        added += len(fresh)
        removed += len(lost)
        come: dict[str, Keys] = {}
        gone: dict[str, Keys] = {}
        for category in sorted(set(before) | set(after)):
            was, is_ = before.get(category, _NONE), after.get(category, _NONE)
            come[category] = _without(is_, was)
            gone[category] = _without(was, is_)
            counts = changes.setdefault(category, [0, 0])
            counts[0] += len(come[category])
            counts[1] += len(gone[category])
        for source, left in gone.items():
            for target, arrived in come.items():
                both = int(np.count_nonzero(_among(left, arrived)))
                if both:
                    moved[f"{source} -> {target}"] += both
        for section in new:
            if _kind(section) == kind:
                _count_parents(section, fresh, parents, examples[0])
        for section in old:
            if _kind(section) == kind and len(examples[1]) < SHOWN:
                _count_parents(section, lost, None, examples[1])
    return Change(
        _size(then), _size(now), added, removed, dict(moved), {name: (a, r) for name, (a, r) in changes.items() if a or r},
        tuple(parents.most_common(SHOWN)), tuple(examples[0]), tuple(examples[1]),
    )  # fmt: skip


def overlap(library: Library) -> list[Overlap]:
    """Return every pair of lists that share entries, the largest share first. Hosts with and without sub-domains count alike."""
    keys = {stored.name: _all_keys(library, stored) for stored in library.all_stored()}
    found = []
    for first, second in combinations(sorted(keys), 2):
        shared = len(np.intersect1d(keys[first], keys[second], assume_unique=True))
        if shared:
            found.append(Overlap(first, second, shared, shared / len(keys[first]), shared / len(keys[second])))
    return sorted(found, key=lambda pair: max(pair.share_of_first, pair.share_of_second), reverse=True)


def stats(library: Library, hits: Mapping[str, int] | None = None) -> list[ListStats]:
    """Return size and worth of each list; `hits` are requests that met each list, as the event store counts them."""
    lists = library.all_stored()
    keys = {stored.name: _all_keys(library, stored) for stored in lists}
    everything = np.concatenate(list(keys.values())) if keys else _NONE
    distinct, times = np.unique(everything, return_counts=True)
    once = distinct[times == 1]
    total = sum(hits.values()) if hits else 0
    return [
        ListStats(
            stored.name, stored.kind, stored.entries, int(np.isin(keys[stored.name], once, assume_unique=True).sum()),
            sum(section.length for section in stored.sections), stored.categories,
            hits.get(stored.name, 0) if hits is not None else None,
            hits.get(stored.name, 0) / total if hits is not None and total else None,
        )
        for stored in lists
    ]  # fmt: skip


_NONE: Keys = np.zeros(0, np.uint64)


def _kind(section: Section) -> str:
    return section.kind + (" allowed" if section.allow else "")


def _by_kind(sections: Iterable[Section]) -> dict[str, dict[str, Keys]]:
    """Return the distinct keys of each kind and category."""
    result: dict[str, dict[str, Keys]] = {}
    for section in sections:
        own = result.setdefault(_kind(section), {})
        own[section.category] = distinct(np.concatenate((own.get(section.category, _NONE), line_keys(section.data))))
    return result


def _union(parts: Iterable[Keys]) -> Keys:
    found = list(parts)
    return found[0] if len(found) == 1 else distinct(np.concatenate(found)) if found else _NONE


def _among(keys: Keys, known: Keys) -> NDArray[np.bool_]:
    """Say for each key whether it is one of the known ones, which stand in order."""
    if not len(known):
        return np.zeros(len(keys), bool)
    same: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys
    return same


def _without(keys: Keys, known: Keys) -> Keys:
    return keys[~_among(keys, known)]


def _size(kinds: dict[str, dict[str, Keys]]) -> int:
    return sum(len(keys) for own in kinds.values() for keys in own.values())


def _count_parents(section: Section, wanted: Keys, parents: Counter[str] | None, examples: list[str]) -> None:
    """Count the registrable domains of the section's entries with one of these keys, and keep the first texts."""
    if not len(wanted) or section.kind == "hash":
        return
    lines = section.data.split(b"\n")
    for row in np.flatnonzero(_among(line_keys(section.data), wanted)).tolist():
        _note(lines[row].decode(), parents, examples)


def _note(entry: str, parents: Counter[str] | None, examples: list[str]) -> None:
    if len(examples) < SHOWN:
        examples.append(entry)
    if parents is not None:
        host = entry.partition("/")[0]
        parents[host if host[-1:].isdigit() or host[:1] == "[" else registrable_domain(host)] += 1


def _all_keys(library: Library, stored: StoredList) -> Keys:
    return _union([distinct(line_keys(section.data)) for section in read_sections(library.entries_path(stored), stored)])
