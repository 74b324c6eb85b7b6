"""What a sealed list's file says: read once, kept as digests alone, and judged without a word about what it holds."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import BinaryIO, Literal, NamedTuple, get_args

from blocklists.entries import Entry, EntryError, Refused, host_entry
from blocklists.errors import ListError
from blocklists.formats.hosts import read_hosts
from blocklists.guards import Finding, Limits, by_size, unreadable
from blocklists.host import ICANN_SUFFIXES, UrlError, host_facts, is_public_suffix
from blocklists.reading import Line, Source, read_lines
from blocklists.url import canonicalise

DIGEST_BYTES = 32
MOST_ENTRIES = 4_000_000
"""More than any publisher of such lists has: a packed file that never ends must not take the machine's memory."""
SealedFormat = Literal["plain", "hosts", "sha256"]
FORMATS: tuple[SealedFormat, ...] = get_args(SealedFormat)


class SealedInput(NamedTuple):
    """The digests of a file, and the lines that could not be used by number alone."""

    digests: frozenset[bytes]
    refused: int
    refused_lines: tuple[int, ...]
    """The first hundred."""


def read_sealed(stream: BinaryIO, name: str, format_: SealedFormat) -> SealedInput:
    """Read hosts and addresses (`plain`), a hosts file (`hosts`) or SHA-256 digests (`sha256`), packed or not.

    A host stands for its every page and its sub-domains; an address ending in "/" for what is below; any other address for
    itself, with any query where it has none. `name` stands for the file in messages. Raises `ListError` for a file without
    an entry, with more than `MOST_ENTRIES`, and for one that is broken; no message holds a word of it.
    """
    if format_ not in FORMATS:
        raise ListError(f"There is no format {format_!r} for sealed lists; the formats are {', '.join(FORMATS)}.")
    digests: set[bytes] = set()
    refused: list[int] = []
    for number, digest in _digests(read_lines(Source(stream, name)), format_):
        if digest is None or digest in _whole_registries():
            refused.append(number)
            continue
        digests.add(digest)
        if len(digests) > MOST_ENTRIES:
            raise ListError(f"{name} holds more than {MOST_ENTRIES:,} entries; no sealed list has so many.")
    if not digests:
        raise ListError(f"{name} holds no entry that can be read; is {format_} how it is written?")
    return SealedInput(frozenset(digests), len(refused), tuple(refused[:100]))


def speaks_against(
    found: SealedInput, old_entries: int | None, vital: Iterable[str], own_hosts: Iterable[str] = ()
) -> list[Finding]:  # fmt: skip
    """Return what speaks against a new version of a sealed list, in numbers: it shrank or grew, or closes what must stay open.

    `old_entries` is the size of the version in use, None for a new list. Nobody can open again what such a list closes.
    """
    limits = Limits()
    findings = [*by_size(len(found.digests), old_entries, limits), *unreadable(len(found.digests), found.refused, limits)]
    for rule, hosts, words in (("vital", vital, "that must stay open"), ("own", own_hosts, "of the school's own")):
        closed = sum(_closes(found.digests, host) for host in hosts)
        if closed:
            message = f"The list would close {closed:,} {'host' if closed == 1 else 'hosts'} {words}, and nobody could open them again."
            findings.append(Finding(rule, "", message, True))  # type: ignore[arg-type]
    return findings


def _closes(digests: frozenset[bytes], host: str) -> bool:
    return any(hashlib.sha256(f"{suffix}/".encode()).digest() in digests for suffix in host_facts(host).suffixes)


def _digests(lines: Iterable[Line], format_: SealedFormat) -> Iterator[tuple[int, bytes | None]]:
    """Yield for each line that says something its number and its digest, or None where it can't be used."""
    if format_ == "hosts":
        for item in read_hosts(lines):
            if isinstance(item, Entry):
                yield item.line, hashlib.sha256(f"{item.text}/".encode()).digest()
            elif isinstance(item, Refused):
                yield item.line, None
        return
    digest_of = _given if format_ == "sha256" else _made
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield line.number, None
        elif text and not text.startswith("#"):
            yield line.number, digest_of(text)


def _given(text: str) -> bytes | None:
    """Read a digest: hexadecimal, in the first column where there are several."""
    try:
        digest = bytes.fromhex(text.partition(",")[0].strip().strip('"'))
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_BYTES else None


def _made(text: str) -> bytes | None:
    """Return the digest of a host or address in its canonical form."""
    try:
        if "/" not in text:
            return hashlib.sha256(f"{host_entry(text)}/".encode()).digest()
        url = canonicalise(text)
    except (EntryError, UrlError):
        return None
    if url.path_and_query == "/" and not url.is_address and is_public_suffix(url.host):
        return None
    return hashlib.sha256((url.host + url.path_and_query).encode()).digest()


@cache
def _whole_registries() -> frozenset[bytes]:
    """Return the digests that would match every site of a registry, such as that of "co.uk/"."""
    return frozenset(hashlib.sha256(f"{suffix}/".encode()).digest() for suffix in ICANN_SUFFIXES)
