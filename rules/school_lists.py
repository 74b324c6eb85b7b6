"""The school's own deny and allow entries: exact strings, found in a dictionary by host."""

import msgspec

from blocklists.host import is_public_suffix
from blocklists.url import CanonicalUrl, UrlError, canonicalise

# Suffixes under which only public bodies can register: an entry for all of them is a sensible wish.
_PUBLIC_BODIES = frozenset({"gov.uk", "nhs.uk", "ac.uk", "sch.uk", "police.uk", "mod.uk", "gov.wales", "gov.scot", "llyw.cymru"})


class SchoolEntry(msgspec.Struct, frozen=True):
    """One line that the school wrote."""

    text: str
    """As it stands in the policy."""
    category: str
    host: str
    """Canonical host; covers its sub-domains."""
    path: str = "/"
    """Path and everything below it; "/" is the whole host."""
    query: str | None = None
    """With a query, only the exact address is meant."""
    groups: frozenset[str] = frozenset()
    """Groups that it is for; empty means everybody."""

    def holds_for(self, url: CanonicalUrl, group: str) -> bool:
        """True when the address is the entry's or lies inside it, and the entry is for the group. The host is known to match."""
        if self.groups and group not in self.groups:
            return False
        if self.query is not None:
            return url.path == self.path and url.query == self.query
        path = self.path
        return path in ("/", url.path) or url.path.startswith(path if path.endswith("/") else path + "/")


class EntryIndex:
    """Entries by host: looking one up costs the same for one entry and for a thousand."""

    __slots__ = ("_by_host", "count")

    def __init__(self, entries: tuple[SchoolEntry, ...]) -> None:
        by_host: dict[str, list[SchoolEntry]] = {}
        for entry in entries:
            by_host.setdefault(entry.host, []).append(entry)
        self._by_host = {host: tuple(found) for host, found in by_host.items()}
        self.count = len(entries)

    @property
    def entries(self) -> tuple[SchoolEntry, ...]:
        """Every entry, for comparing one policy with another."""
        return tuple(entry for found in self._by_host.values() for entry in found)

    def find(self, url: CanonicalUrl, group: str) -> SchoolEntry | None:
        """Return the entry that holds the address for the group, the longest host first, or None."""
        by_host = self._by_host
        if by_host:
            for suffix in url.host_suffixes:
                entries = by_host.get(suffix)
                if entries is not None:
                    for entry in entries:
                        if entry.holds_for(url, group):
                            return entry
        return None

    def divides(self, url: CanonicalUrl, group: str) -> bool:
        """True when an entry for the group names a part of the URL's site, so that its host alone does not tell."""
        by_host = self._by_host
        return bool(by_host) and any(
            (entry.path != "/" or entry.query is not None) and (not entry.groups or group in entry.groups)
            for suffix in url.host_suffixes
            for entry in by_host.get(suffix, ())
        )


def read_entry(text: str, category: str, groups: frozenset[str] = frozenset()) -> SchoolEntry:
    """Read `example.org`, `example.org/path` or `https://example.org/page?id=1`; raises `ValueError` with a sentence.

    A public suffix (`com`, `co.uk`) is refused: it would open or close a whole country.
    """
    plain = text.strip().removeprefix("*.")
    try:
        url = canonicalise(plain)
    except UrlError as error:
        raise ValueError(f'"{text}" is not an address ({error}) Write for example "example.org" or "example.org/path".') from None
    host = url.host
    if "*" in host or (not url.is_address and host not in _PUBLIC_BODIES and is_public_suffix(host)):
        raise ValueError(f'"{text}" is too wide: it names no single site. Write a host such as "example.org".')
    return SchoolEntry(text.strip(), category, host, url.path, url.query, groups)
