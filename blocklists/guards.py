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
from blocklists.spans import line_keys
from blocklists.stored import RefusedLine, Section

Rule = Literal["shrank", "grew", "vital", "own", "platform", "suffix", "refused"]


class Limits(msgspec.Struct, frozen=True):
    """When to ask."""

    shrink: float = 0.3
    """Share of its entries that a list may lose from one version to the next."""
    grow: float = 1.0
    """Share by which it may grow: 1.0 is twice as many."""
    refused: float = 0.2
    """Share of lines that may be refused."""
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
    findings = _by_size(count, old_entries, limits)
    lines = count + refused
    if refused and lines >= limits.least and refused / lines > limits.refused:
        findings.append(
            Finding("refused", "", f"{refused:,} of {lines:,} lines could not be read; is it the right format, and a whole file?", True)
        )
    for line in refusals:
        if "public suffix" in line.reason:
            message = f"Line {line.line} of {line.file} names {line.text}, under which everybody may own a site; it is left out."
            findings.append(Finding("suffix", line.text, message, False))
    for rule, hosts in (("own", dict.fromkeys(own_hosts, "the school's own")), ("vital", dict(vital))):
        for host, why, entry in _blocked(new, hosts):
            message = f"The entry {entry} would block {host} ({why})."
            findings.append(Finding(rule, entry, message, True))  # type: ignore[arg-type]
    for entry in _platforms(new):
        findings.append(Finding("platform", entry, f"The entry {entry} would match the sites of all customers of {entry}.", False))
    return findings


def _by_size(count: int, old: int | None, limits: Limits) -> list[Finding]:
    if old is None or max(old, count) < limits.least:
        return []
    if count < old * (1 - limits.shrink):
        share = 1 - count / old
        return [Finding("shrank", "", f"The list has {count:,} entries and had {old:,}: {share:.0%} of them are gone.", True)]
    if count > old * (1 + limits.grow):
        return [Finding("grew", "", f"The list has {count:,} entries and had {old:,}: {count / max(1, old):.1f} times as many.", True)]
    return []


def _blocked(sections: Sequence[Section], hosts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return host, reason and entry for every given host that a section blocks as a whole."""
    excepted = {line for section in sections if section.allow for line in section.data.decode().split("\n")}
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
    found: dict[tuple[str, str], None] = {}
    for section in sections:
        wanted = asked.get(section.kind)
        if section.allow or not wanted:
            continue
        if section.kind == "hash":
            keys = np.fromiter((int(line[:16], 16) for line in section.data.split()), np.uint64)
        else:
            keys = line_keys(section.data)
        for key in np.intersect1d(keys, np.fromiter(wanted, np.uint64, len(wanted))).tolist():
            for host, entry in wanted[key]:
                found[host, entry] = None
    return [(host, hosts[host], entry) for host, entry in found]


def _platforms(sections: Sequence[Section]) -> list[str]:
    """Return the listed names under which one company gives sites to its customers (private section of the list)."""
    names = _private_suffixes()
    keys = np.fromiter(names, np.uint64, len(names))
    found: dict[str, None] = {}
    for section in sections:
        if section.kind == "domain" and not section.allow:
            for key in np.intersect1d(line_keys(section.data), keys).tolist():
                found[names[key]] = None
    return sorted(found)


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
