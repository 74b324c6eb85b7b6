"""The lists that come with the product: small, written by this project, useful on day one without any download."""

from collections.abc import Iterator
from importlib.resources import as_file, files
from typing import NamedTuple

from blocklists.entries import EntryError, host_entry
from blocklists.library import Library
from blocklists.reports import LoadReport
from blocklists.stored import ListKind

_PUBLISHER = "Schoolgate"
_LICENCE = "Apache-2.0"
_FILES = {
    "starter-doh": ("doh-resolvers.txt", "domains", "filter-bypass"),
    "starter-vpn": ("vpn-endpoints.txt", "domains", "filter-bypass"),
    "starter-search": ("search-without-safe-mode.txt", "domains", "search-without-safe-mode"),
    "starter-help": ("help-stays-open.txt", "domains", "help"),
    "starter-tests": ("test-hosts.csv", "csv", None),
    "starter-services": ("services.csv", "csv", None),
}
"""List to file, format and category."""
SERVICES = "starter-services"
HELP = "starter-help"
"""An allow list: help for children stays open."""


class StarterHost(NamedTuple):
    """A host of a starter list that is neither blocked nor allowed by being in it."""

    host: str
    subdomains: bool
    note: str
    """Why it is there, or whose documentation says so."""


def install_starter_lists(library: Library, *, services: bool = False) -> list[LoadReport]:
    """Load the starter lists: resolvers, VPNs, search engines without safe mode and a test host for each category.

    The services come along only when asked for: the policy must name a `service:` category before anything else. The
    lists are not compiled; raises `ListError`.
    """
    reports = []
    for name, (file, format_, category) in _FILES.items():
        if name != SERVICES or services:
            kind: ListKind = "allow" if name == HELP else "block"
            with as_file(files("blocklists") / "data" / "starter" / file) as path:
                reports.append(library.load(name, path, format_, category, kind, publisher=_PUBLISHER, licence=_LICENCE))
    return reports


def must_stay_open() -> dict[str, str]:
    """Return the hosts that no list may close and why, for `guards.examine`."""
    return {item.host: item.note for item in _read("must-stay-open.txt")}


def do_not_decrypt() -> list[StarterHost]:
    """Return the hosts that vendors say must not be decrypted, a proposal for a policy's `splice`."""
    return list(_read("do-not-decrypt.txt"))


def _read(file: str) -> Iterator[StarterHost]:
    """Yield the hosts of one of our own files; the last comment before a host is the note where it has none of its own."""
    text = (files("blocklists") / "data" / "starter" / file).read_text(encoding="utf-8")
    source = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            source = line.removeprefix("#").strip()
        elif line.strip():
            name, _, note = line.partition("|")
            try:
                host = host_entry(name.strip())
            except EntryError as error:
                raise ValueError(f"{file}:{number}: {error}") from error
            yield StarterHost(host, name.startswith("*."), note.strip() or source)
