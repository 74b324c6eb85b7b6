"""Phrases on their way to being in force, for the commands: what they would change, written in one step, audited.

Imports stand inside the functions, as in `wiring`.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schoolgate import firstrun, terminal, wiring
from schoolgate.errors import Problem, files_explained
from schoolgate.options import operator
from schoolgate.paths import StatePaths
from schoolgate.storelock import store_lock

if TYPE_CHECKING:
    from analyser.replay import Replay
    from rules.keywords.sets import KeywordSet
    from rules.ruleset import Ruleset

DEFAULT_FILE = "keywords-imported.toml"
"""Beside the policy."""
_HEADER = re.compile(r"^[ \t]*\[[ \t]*keywords[ \t]*\][ \t]*(?:#[^\n]*)?$", re.MULTILINE)


def ruleset_of(paths: StatePaths) -> Ruleset:
    """Return the ruleset in force, or one of the starter policy where there is no installation."""
    from rules.ruleset import Ruleset, current_folder, starter_ruleset

    return Ruleset.load(current_folder(paths.rulesets)) if firstrun.check_folder(paths) else starter_ruleset()


def with_file(sets: Iterable[KeywordSet], target: Path, new: Iterable[KeywordSet]) -> tuple[KeywordSet, ...]:
    """Return the sets as they would be with what a file holds exchanged."""
    return (*(one for one in sets if file_of(one) != target.resolve()), *new)


def file_of(one: KeywordSet) -> Path:
    """Return the file that a set stands in."""
    return Path(one.source.rpartition(":")[0]).resolve()


def category_names(ruleset: Ruleset, pairs: Sequence[str]) -> dict[str, str]:
    """Return the policy's category by each name that a table may use for it: its own, its title, lists' names, and THEIRS=OURS pairs."""
    from rules.keywords.cells import folded

    policy = ruleset.policy
    names = {folded(title): name for name, title in ((one.name, one.title) for one in policy.categories.values())}
    names |= {folded(name): ours for name, ours in policy.names.items()}
    for pair in pairs:
        theirs, equals, ours = pair.rpartition("=")
        if not equals or not theirs.strip() or ours.strip() not in policy.categories:
            raise Problem(
                f'--category-map "{pair}" does not read THEIRS=CATEGORY with a category of the policy; the categories are: '
                f"{', '.join(policy.categories)}."
            )
        names[folded(theirs)] = ours.strip()
    return names


def replay_of(paths: StatePaths, present: Ruleset, sets: tuple[KeywordSet, ...], *, terms: bool = False) -> Replay | None:
    """Return what last month's searches would have met under other sets than the present ruleset's; None where nobody can tell.

    The running console is asked, which has the event store open, else the store itself.
    """
    import msgspec

    from analyser.replay import Replay

    with store_lock(paths) as mine:
        if mine:
            return _from_store(paths, present, sets, terms=terms)
    from schoolgate.ask import console_of

    handle, name = tempfile.mkstemp(prefix="keywords-", suffix=".json", dir=paths.run)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(sets))
        console = console_of(paths)
        try:
            answer = console.post("/api/v1/keyword-preview", {"file": Path(name).name, "terms": terms})
        finally:
            console.close()
    except Problem as problem:
        terminal.warn(f"Last month's searches can't be asked: {problem}")
        return None
    finally:
        Path(name).unlink(missing_ok=True)
    return msgspec.convert(answer, Replay)


def _from_store(paths: StatePaths, present: Ruleset, sets: tuple[KeywordSet, ...], *, terms: bool) -> Replay | None:
    from analyser.replay import replay, with_sets

    if not paths.events.exists():
        return None
    if terms:
        wiring.audit(paths, operator(), "events.read", "events", {"reason": "searches that other phrases would meet", "whom": "everybody"})
    with wiring.events_open(paths) as store:
        return replay(store, present, with_sets(present, sets), terms=terms)


def refuse_foreign(target: Path) -> None:
    """Raise `Problem` for a file that somebody wrote by hand."""
    from rules.keywords.writing import MARK

    if not target.exists():
        return
    with files_explained("read", target):
        text = target.read_bytes()
    if not text.startswith(MARK.encode()):
        raise Problem(f"{target} was not written by an import; name another file with --into, so that nobody's work is lost.")


def install(paths: StatePaths, config: Path, target: Path, text: str, *, use: bool) -> bool:
    """Write a keyword file in one step and put it in force where the policy names it; True when it is in force.

    The file that was there is kept beside it as `.last`. When policy and file don't go together, both are put back as
    they were and the policy's sentence is raised.
    """
    from rules.policy import load_policy

    old = _bytes(target)
    old_policy = _bytes(config)
    with files_explained("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if old is not None:
            write_file(target.with_name(target.name + ".last"), old)
        write_file(target, text.encode())
    try:
        named = target.resolve() in {Path(name).resolve() for name in load_policy(config).keyword_files}
        if use and not named:
            write_file(config, _naming(config, target).encode())
            named = True
        if named:
            wiring.build_ruleset(paths, config)
    except BaseException:
        if old is None:
            target.unlink(missing_ok=True)
        else:
            write_file(target, old)
        if old_policy is not None and _bytes(config) != old_policy:
            write_file(config, old_policy)
        raise
    return named


def line_to_add(config: Path, target: Path) -> str:
    """Return what the policy has to say for the file to be in force."""
    from rules.keywords.writing import quoted

    return f"files = [{quoted(_name(config, target))}]"


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step: it is the old one or the new one, whenever the power goes; it keeps its rights."""
    from blocklists.stored import replace_file

    def write(beside: Path) -> None:
        beside.write_bytes(data)
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o777)

    replace_file(path, write)


def _naming(config: Path, target: Path) -> str:
    """Return the policy's text with the file named in it; raises `Problem` where that can't be done without touching what is there."""
    text = config.read_text(encoding="utf-8")
    line = line_to_add(config, target)
    wanted: dict[str, Any] = tomllib.loads(text)
    table = wanted.get("keywords")
    if table is None:
        changed = f"{text.rstrip()}\n\n[keywords]\n{line}\n"
    elif "files" not in table and len(_HEADER.findall(text)) == 1:
        changed = _HEADER.sub(lambda found: f"{found[0].rstrip()}\n{line}", text)
    else:
        raise Problem(f"The policy names keyword files already; add {line} to what stands in [keywords] of {config}.")
    wanted["keywords"] = {**(table or {}), "files": [_name(config, target)]}
    if tomllib.loads(changed) != wanted:
        raise Problem(f"The policy is written in a way that can't be changed by a program; write {line} below [keywords] in {config}.")
    return changed


def _name(config: Path, target: Path) -> str:
    folder = config.parent.resolve()
    whole = target.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def _bytes(path: Path) -> bytes | None:
    with files_explained("read", path):
        return path.read_bytes() if path.exists() else None
