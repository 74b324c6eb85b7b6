"""What speaks against making a list live: it shrank, it grew, it would block what must stay open.

Guards only find; a person refuses or overrides. Public suffixes never get this far: `entries` refuses them line by line.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from publicsuffixlist import PSLFILE

from blocklists.host import bare_host, host_facts, is_public_suffix
from blocklists.layout import hash_bytes
from blocklists.spans import Keys, line_keys
from blocklists.stored import RefusedLine, Section

_SIEVE_BITS = 20
_SIEVE_SHIFT = np.uint64(64 - _SIEVE_BITS)

Rule = Literal["shrank", "grew", "vital", "own", "platform", "suffix", "refused"]


class Limits(msgspec.Struct, frozen=True):
    """When to ask."""

    shrink: float = 0.3
    """Share of its entries that a list may lose from one version to the next."""
    grow: float = 1.0
    """Share by which it may grow: 1.0 is twice as many."""
    refused: float = 0.2
    """Share of lines that may be refused."""
    moved: float = 0.05
    """Share of its entries that may move to a category with milder rules."""
    least: int = 50
    """Smaller lists may shrink and grow as they like."""


class Finding(msgspec.Struct, frozen=True):
    """One reason against a list; the message is one sentence for people."""

    rule: Rule
    entry: str
    """The entry that does it, or "" for the whole list."""
    message: str
    blocks: bool
    """True: refused unless a second person overrides it. False: shown and asked about."""


def examine(
    new: Sequence[Section],
    refusals: Sequence[RefusedLine],
    refused: int,
    old_entries: int | None,
    vital: Mapping[str, str],
    own_hosts: Iterable[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[Finding]:
    """Return what speaks against a new version of a block list.

    `old_entries` is the size of the version in use, None for a new list; `vital` maps canonical hosts that must stay
    open to the reason; `own_hosts` are the school's own. Exceptions of the list itself are heeded: what it excepts it
    does not block.
    """
    count = sum(section.data.count(b"\n") for section in new if not section.allow)
    findings = [*by_size(count, old_entries, limits), *unreadable(count, refused, limits)]
    keyed = _Keyed(new)
    for line in refusals:
        if "public suffix" in line.reason:
            message = f"Line {line.line} of {line.file} names {line.text}, under which everybody may own a site; it is left out."
            findings.append(Finding("suffix", line.text, message, False))
    for rule, hosts in (("own", dict.fromkeys(own_hosts, "the school's own")), ("vital", dict(vital))):
        for host, why, entry, category in _blocked(keyed, hosts):
            message = f"The entry {entry}{f' in {category}' if category else ''} would block {host} ({why})."
            findings.append(Finding(rule, entry, message, True))  # type: ignore[arg-type]
    return findings + [
        Finding("platform", entry, f"The entry {entry} would match the sites of all customers of {entry}.", False)
        for entry in _platforms(keyed)
    ]


def by_size(count: int, old: int | None, limits: Limits) -> list[Finding]:
    """Return what speaks against a list's new number of entries; `old` is None for a new list."""
    if old is None or max(old, count) < limits.least:
        return []
    if count < old * (1 - limits.shrink):
        share = 1 - count / old
        return [Finding("shrank", "", f"The list has {count:,} entries and had {old:,}: {share:.0%} of them are gone.", True)]
    if count > old * (1 + limits.grow):
        return [Finding("grew", "", f"The list has {count:,} entries and had {old:,}: {count / max(1, old):.1f} times as many.", True)]
    return []


def unreadable(count: int, refused: int, limits: Limits) -> list[Finding]:
    """Return what speaks against a list of so many entries and refused lines."""
    lines = count + refused
    if not refused or lines < limits.least or refused / lines <= limits.refused:
        return []
    message = f"{refused:,} of {lines:,} lines could not be read; is it the right format, and a whole file?"
    return [Finding("refused", "", message, True)]


class _Keyed:
    """Sections with the keys of their entries, worked out once for all questions."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.excepted = frozenset(line for section in sections if section.allow for line in section.data.decode().split("\n"))
        self._sections = [section for section in sections if not section.allow]
        self._keys: list[Keys | None] = [None] * len(self._sections)

    def holding(self, kind: str, wanted: Iterable[int]) -> dict[int, str]:
        """Return which of the wanted keys entries of this kind have, each with its first category.

        A table of the keys' first bits spares nearly all comparisons.
        """
        asked = np.sort(np.fromiter(wanted, np.uint64))
        found: dict[int, str] = {}
        if not len(asked):
            return found
        sieve = np.zeros(1 << _SIEVE_BITS, bool)
        sieve[(asked >> _SIEVE_SHIFT).astype(np.int64)] = True
        for row, section in enumerate(self._sections):
            if section.kind == kind:
                keys = self._keys_of(row)
                near = keys[sieve[(keys >> _SIEVE_SHIFT).astype(np.int64)]]
                places = np.minimum(np.searchsorted(asked, near), len(asked) - 1)
                for key in near[asked[places] == near].tolist():
                    found.setdefault(key, section.category)
        return found

    def _keys_of(self, row: int) -> Keys:
        keys = self._keys[row]
        if keys is None:
            section = self._sections[row]
            if section.kind == "hash":
                keys = np.fromiter((int(line[:16], 16) for line in section.data.split()), np.uint64)
            else:
                keys = line_keys(section.data)
            self._keys[row] = keys
        return keys


def _blocked(sections: _Keyed, hosts: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Return host, reason, entry and its category for every given host that a section blocks as a whole."""
    excepted = sections.excepted
    asked: dict[str, dict[int, list[tuple[str, str]]]] = {"domain": {}, "host": {}, "path": {}, "hash": {}}
    for host in hosts:
        facts = host_facts(host)
        for suffix in facts.suffixes:
            if suffix in excepted:
                break
            asked["domain"].setdefault(hash_bytes(suffix.encode()), []).append((host, suffix))
            digest = hashlib.sha256(f"{suffix}/".encode()).digest()
            asked["hash"].setdefault(int.from_bytes(digest[:8]), []).append((host, f"{suffix}/"))
        if host not in excepted:
            asked["host"].setdefault(hash_bytes(host.encode()), []).append((host, host))
            root = bare_host(host) + "/"
            asked["path"].setdefault(hash_bytes(root.encode()), []).append((host, root))
    found: dict[tuple[str, str], str] = {}
    for kind, wanted in asked.items():
        for key, category in sections.holding(kind, wanted).items():
            for host, entry in wanted[key]:
                found.setdefault((host, entry), category)
    return [(host, hosts[host], entry, category) for (host, entry), category in found.items()]


def _platforms(sections: _Keyed) -> list[str]:
    """Return the listed names under which one company gives sites to its customers (private section of the list)."""
    names = _private_suffixes()
    return sorted(names[key] for key in sections.holding("domain", names))


@cache
def _private_suffixes() -> dict[int, str]:
    names: dict[int, str] = {}
    private = False
    with Path(PSLFILE).open(encoding="utf-8") as lines:
        for line in lines:
            private = private or "===BEGIN PRIVATE DOMAINS===" in line
            rule = line.strip()
            if private and rule and not rule.startswith(("//", "*", "!")) and rule.isascii() and not is_public_suffix(rule):
                names[hash_bytes(rule.encode())] = rule
    return names
