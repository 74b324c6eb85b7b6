"""Two kept versions of one list, compared."""

from blocklists.compare import Change, diff
from blocklists.errors import ListError
from blocklists.library import Library
from blocklists.stored import Section, read_sections


def between(library: Library, name: str, first: int, second: int) -> Change:
    """Return what changes from one kept version of a list to another; raises `ListError`."""
    return diff(_sections(library, name, first), _sections(library, name, second))


def _sections(library: Library, name: str, version: int) -> list[Section]:
    versions = {stored.version: stored for stored in library.history.versions(name)}
    stored = versions.get(version)
    if stored is None:
        known = ", ".join(map(str, versions)) or "none"
        raise ListError(f"There is no version {version} of the list {name}; kept are: {known}.")
    path = library.folder / "history" / name / f"{version}.entries"
    return read_sections(path, stored)
