"""Whether the ruleset in force was made of what lies there now: a start that changes nothing then builds nothing."""

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from schoolgate.paths import StatePaths

_PROGRAM = Path(__file__).parent.parent
_PACKAGES = ("rules", "blocklists")
"""Their code and data shape a ruleset: another version builds it anew."""


def stamp(paths: StatePaths, config: Path) -> str:
    """Return a digest of the sizes, times and numbers of every file that a ruleset is made of."""
    digest = hashlib.sha256()
    for path in (config, *_keyword_files(config), *_lists(paths), *_program()):
        digest.update(f"{path}\0{_facts(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def in_force(paths: StatePaths, now: str) -> bool:
    """True when `now` is the stamp of the last build and the ruleset is still whole, as far as sizes tell."""
    try:
        if paths.ruleset_stamp.read_text() != now:
            return False
        manifest = msgspec.json.decode((paths.current_ruleset / "manifest.json").read_bytes())
        return all((paths.current_ruleset / name).stat().st_size == fact["size"] for name, fact in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def remember(paths: StatePaths, now: str) -> None:
    """Keep the stamp of a build that is in force."""
    paths.ruleset_stamp.write_text(now)


def _lists(paths: StatePaths) -> list[Path]:
    sealed = sorted(path for path in paths.sealed.iterdir() if not path.name.startswith(".")) if paths.sealed.is_dir() else []
    return [paths.lists / "lists.idx", paths.lists / "allow.tsv", paths.lists / "lists.expressions", *sealed]


def _keyword_files(config: Path) -> list[Path]:
    try:
        named = tomllib.loads(config.read_text(encoding="utf-8"))["keywords"]["files"]
        return [config.parent / name for name in named]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the build says what is wrong with the policy


def _program() -> Iterator[Path]:
    for package in _PACKAGES:
        for folder, _, names in sorted((_PROGRAM / package).walk()):
            if folder.name != "__pycache__":
                yield from (folder / name for name in sorted(names))


def _facts(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
