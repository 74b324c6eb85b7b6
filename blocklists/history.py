"""Earlier versions of a list: its source and its entries, so that one command puts the last good one back.

`history/<name>/` holds for each of the last versions `<version>.json` (the description), `.entries` (a second name of the
same file, so that it takes no room while the version is in use) and `.source.<file>` (what was loaded; a folder as tar.gz).
"""

import os
import re
import shutil
import tarfile
from pathlib import Path

import msgspec

from blocklists.errors import ListError
from blocklists.stored import StoredList, read_description, replace_file

_UNSAFE = re.compile("[^A-Za-z0-9_.-]")
KEPT = 5
"""Versions of a list that are kept, the present one among them."""


class History:
    """The earlier versions of all lists of a folder; the caller holds the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "history"
        self._lists = folder

    def versions(self, name: str) -> list[StoredList]:
        """Return the kept versions, the newest first."""
        return [read_description(self._folder / name / f"{number}.json") for number in reversed(self._numbers(name))]

    def next_version(self, name: str) -> int:
        """Return the number that the next load of a list gets."""
        return max(self._numbers(name), default=0) + 1

    def source(self, stored: StoredList) -> Path:
        """Return the kept source of a version: a file, or a .tar.gz of a folder."""
        return self._folder / stored.name / f"{stored.version}.source.{_UNSAFE.sub('_', Path(stored.source).name)[-80:]}"

    def keep(self, stored: StoredList, source: Path) -> None:
        """Keep a version; raises `OSError` and `ListError`, and then nothing of it stays."""
        folder = self._folder / stored.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stem = folder / str(stored.version)
        try:
            _copy(source, self.source(stored))
            os.link(self._lists / stored.entries_file, stem.with_suffix(".entries"))
            replace_file(stem.with_suffix(".json"), lambda beside: beside.write_bytes(msgspec.json.encode(stored)))
        except BaseException:
            self.drop(stored.name, stored.version)
            raise

    def prune(self, name: str) -> None:
        """Forget all but the last versions."""
        for stored in self.versions(name)[KEPT:]:
            self.drop(name, stored.version)

    def _numbers(self, name: str) -> list[int]:
        folder = self._folder / name
        return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()) if folder.is_dir() else []

    def drop(self, name: str, version: int) -> None:
        """Forget one version."""
        for path in (self._folder / name).glob(f"{version}.*"):
            path.unlink(missing_ok=True)

    def entries(self, stored: StoredList) -> Path:
        """Return the kept entries of a version."""
        return self._folder / stored.name / f"{stored.version}.entries"

    def version(self, name: str, version: int | None, present: int | None) -> StoredList:
        """Return a kept version, None means the one before the present; raises `ListError`."""
        versions = self.versions(name)
        earlier = [stored for stored in versions if present is None or stored.version < present]
        wanted = earlier[:1] if version is None else [stored for stored in versions if stored.version == version]
        if not wanted:
            known = ", ".join(str(stored.version) for stored in versions) or "none"
            if version is None and present is not None:
                raise ListError(f"There is no version of the list {name} before the present one; `lists remove {name}` takes it away.")
            raise ListError(f"There is no earlier version {version or ''} of the list {name}; kept are: {known}.".replace("  ", " "))
        return wanted[0]

    def bring_back(self, name: str, version: int | None, present: int | None) -> StoredList:
        """Return a version with its entries in place again; None means the one before the present. Raises `ListError`."""
        stored = self.version(name, version, present)
        entries = self._lists / stored.entries_file
        try:
            if not entries.exists():
                os.link(self.entries(stored), entries)
        except OSError as error:
            raise ListError(f"Version {stored.version} of the list {name} can't be put back ({error.strerror}).") from error
        return stored


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)
        return
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        archive.add(source, arcname=source.resolve().name)
