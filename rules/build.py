"""Build a ruleset: check everything, write a numbered folder beside the last one, then point `current` at it."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rules.keywords import KeywordMatcher
from rules.keywords.frozen import freeze, of_this_version
from rules.policy import Policy, load_policy
from rules.ruleset import FORMAT, KEYWORDS, MANIFEST, PHRASES, FileFact, Manifest, Ruleset, RulesetError

KEPT = 5
"""Ruleset folders that stay, the current one among them."""
_LIST_FILES = ("lists.idx", "allow.tsv", "lists.expressions")


def build(policy_file: Path, lists_folder: Path, sealed_folder: Path, rulesets_folder: Path, previous: Ruleset | None = None) -> Path:
    """Build a ruleset from a policy file, compiled lists and sealed lists; return its folder, which is current then.

    Raises `PolicyError` for a wrong policy and `RulesetError` for anything else; `current` then stays as it was. Safe
    to call from several processes: they take turns. What is the same as in `previous` is not read again to check it.
    """
    policy = load_policy(policy_file)
    try:
        rulesets_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _turn(rulesets_folder):
            number = max(_numbers(rulesets_folder), default=0) + 1
            folder = rulesets_folder / f"{number:04d}"
            draft = rulesets_folder / f".draft-{number:04d}-{os.getpid()}"
            try:
                _write(draft, number, policy, policy_file, lists_folder, sealed_folder, previous)
                # A folder that a worker can't read must never become current.
                Ruleset.load(draft, previous)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            _point(rulesets_folder, folder.name)
            _prune(rulesets_folder, folder.name)
    except OSError as error:
        raise RulesetError(f"The ruleset can't be written to {rulesets_folder}: {error.strerror or error}.") from error
    return folder


def _write(
    draft: Path, number: int, policy: Policy, policy_file: Path, lists_folder: Path, sealed_folder: Path, previous: Ruleset | None
) -> None:
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    (draft / "policy.toml").write_bytes(policy_file.read_bytes())
    (draft / KEYWORDS).write_bytes(msgspec.json.encode(policy.keyword_sets))
    _keep_compiled(draft, policy, previous)
    for name in _LIST_FILES:
        if (lists_folder / name).exists():
            _link(lists_folder / name, draft / name)
    files = {path.name: FileFact(path.stat().st_size, _digest(path)) for path in sorted(draft.iterdir())}
    sealed = os.path.relpath(sealed_folder.resolve(), draft.resolve())
    manifest = Manifest(FORMAT, number, time.time(), str(policy_file.resolve()), sealed, files)
    (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    for path in draft.iterdir():
        _sync(path)
    _sync(draft)


def _keep_compiled(draft: Path, policy: Policy, previous: Ruleset | None) -> None:
    """Link the compiled phrases of the ruleset that is current where the phrases are the same, else write them."""
    known = _compiled_before(draft)
    if known is not None:
        _link(known, draft / PHRASES)
        return
    same = previous is not None and previous.policy.keyword_sets == policy.keyword_sets
    phrases = previous.keywords.phrases if previous is not None and same else KeywordMatcher.build(policy.keyword_sets).phrases
    (draft / PHRASES).write_bytes(freeze(phrases))


def _compiled_before(draft: Path) -> Path | None:
    """Return the current ruleset's compiled phrases if they are of the draft's sets, whole, and of this version."""
    current = draft.parent / "current"
    try:
        if (current / KEYWORDS).read_bytes() != (draft / KEYWORDS).read_bytes():
            return None
        fact = msgspec.json.decode((current / MANIFEST).read_bytes(), type=Manifest).files[PHRASES]
        compiled = (current / PHRASES).read_bytes()
    except (OSError, KeyError, msgspec.MsgspecError):
        return None
    whole = hashlib.sha256(compiled).hexdigest() == fact.sha256
    return (current / PHRASES).resolve() if whole and of_this_version(compiled) else None


def _link(source: Path, target: Path) -> None:
    """Hard-link, so that rulesets share big files on disk and in memory; compiled lists are replaced, never rewritten."""
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _point(rulesets: Path, name: str) -> None:
    link = rulesets / f".current-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.replace(rulesets / "current")
    _sync(rulesets)


def _prune(rulesets: Path, current: str) -> None:
    for number in sorted(_numbers(rulesets))[:-KEPT]:
        if f"{number:04d}" != current:
            shutil.rmtree(rulesets / f"{number:04d}", ignore_errors=True)
    for left in rulesets.glob(".draft-*"):
        shutil.rmtree(left, ignore_errors=True)


def _numbers(rulesets: Path) -> list[int]:
    return [int(path.name) for path in rulesets.iterdir() if path.name.isdecimal() and path.is_dir()]


@contextlib.contextmanager
def _turn(rulesets: Path) -> Iterator[None]:
    with (rulesets / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
