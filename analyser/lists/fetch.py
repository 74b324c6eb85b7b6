"""Fetch a source: download, check, keep beside what was fetched before, and report the run."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analyser.casework.database import CaseworkDatabase
from analyser.casework.list_models import ListRun, ListSource
from analyser.casework.people import Actor
from analyser.lists import sources
from analyser.lists.download import SMALL_BYTES, USUAL, Limits, Tell, Validators, download
from analyser.lists.errors import FetchError
from analyser.lists.sources import Source
from analyser.lists.trial import Proposal
from analyser.lists.verify import check_digest, check_signature
from blocklists.errors import ListError
from blocklists.reading import sha256_of

FOLDER: Final = "fetched"
"""Below the folder of the lists: a folder for each source."""
KEPT_RUNS: Final = 200
_PART = ".part"
_UNSAFE = re.compile("[^A-Za-z0-9_.-]")


class FetchReport(msgspec.Struct, frozen=True):
    """What one run did."""

    name: str
    result: Literal["fetched", "unchanged"]
    sentence: str
    path: str
    """The file that is kept now."""
    sha256: str
    bytes: int
    checked: tuple[str, ...]
    """What the file was checked by: `sha256`, `md5`, `ed25519`."""
    seconds: float


class _Outcome(msgspec.Struct, frozen=True):
    path: Path
    bytes: int
    sha256: str
    validators: Validators
    checks: tuple[str, ...]


def fetch(
    database: CaseworkDatabase, lists: Path, name: str, actor: Actor, *, any_hour: bool = False, limits: Limits = USUAL,
    now: float | None = None, trusted: Path | None = None, tell: Tell | None = None,
) -> FetchReport:  # fmt: skip
    """Fetch one source. The file is kept under `fetched/NAME/`; nothing becomes live by it.

    Raises `SourceError` for an unknown name and `FetchError` for anything that goes wrong; what was fetched before then
    stays, and the run is in the reports.
    """
    started = time.time() if now is None else now
    clock = time.monotonic()
    with database.reading() as session:
        row = sources.find(session, name)
        source = sources.settings_of(row)
        kept = Path(row.fetched_path) if row.fetched_path else None
        known = Validators(row.etag, row.last_modified) if kept is not None and kept.exists() else Validators()
    try:
        if source.not_between is not None and source.is_remote and not any_hour and source.not_between.hold(started):
            raise FetchError(
                f"The publisher of {name} asks not to be asked from {source.not_between} o'clock UTC; try later, or say --any-hour."
            )
        outcome = _fetch(source, lists / FOLDER / name, known, _Way(limits, trusted, tell))
        new = outcome is not None and outcome.sha256 != row.fetched_sha256
        report = _report(source, row, outcome, new, time.monotonic() - clock)
    except (ListError, OSError) as error:
        sentence = str(error) if isinstance(error, ListError) else f"{error.filename or lists} can't be written ({error.strerror})."
        note_failure(database, name, actor, sentence, started)
        if isinstance(error, FetchError):
            raise
        raise FetchError(sentence) from error
    _note(database, name, actor, started, report, outcome)
    if outcome is not None and source.is_remote:
        _drop_others(outcome.path)
    return report


def next_after(source: Source, row_failures: int, at: float, share: float) -> float | None:
    """Return when a source is fetched next: its interval, up to a tenth later (`share` from 0 to 1), doubled after each failure.

    Never within the hours that its publisher asks to be left alone in.
    """
    if source.every_minutes is None:
        return None
    wait = min(source.every_minutes * 60, 3600 * 2 ** min(row_failures - 1, 10)) if row_failures else source.every_minutes * 60
    moment = at + wait * (1 + 0.1 * share)
    if source.not_between is not None and source.is_remote and source.not_between.hold(moment):
        moment = source.not_between.end_after(moment) + 1800 * share
    return moment


def fetched_file(database: CaseworkDatabase, name: str) -> tuple[Source, Path]:
    """Return a source and the file that was fetched from it last; raises `SourceError` and `FetchError`."""
    with database.reading() as session:
        row = sources.find(session, name)
    if row.fetched_path is None or not Path(row.fetched_path).exists():
        raise FetchError(f"Nothing was fetched for {name} yet; run `schoolgate lists fetch {name}`.")
    return sources.settings_of(row), Path(row.fetched_path)


def proposal_of(source: Source, path: Path, *, scheduled: bool = False) -> Proposal:
    """Return the fetched file of a source as something to try."""
    return Proposal(
        source.name, str(path), source.format, source.category, source.kind, source.subdomains, source.columns, source.publisher,
        source.licence, source.expressions, source.categories, source.address if source.is_remote else "", scheduled=scheduled,
    )  # fmt: skip


class _Way(NamedTuple):
    limits: Limits
    trusted: Path | None
    tell: Tell | None


def _fetch(source: Source, folder: Path, known: Validators, way: _Way) -> _Outcome | None:
    if not source.is_remote:
        path = Path(source.address)
        if not path.exists():
            raise FetchError(f"There is no file or folder {path} any more; correct the source {source.name}.")
        size = path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        return _Outcome(path, size, sha256_of(path), Validators(), ())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _turn(folder, source.name):
        for left in folder.glob(f"*{_PART}"):  # of a run that was killed
            left.unlink(missing_ok=True)
        part = folder / f"{os.getpid()}{_PART}"
        found = download(source.address, part, known, way.limits, plain_http=source.plain_http, trusted=way.trusted, tell=way.tell)
        if found is None:
            return None
        try:
            checks = _checks(source, part, way)
            digest = sha256_of(part)
            path = folder / f"{digest[:16]}-{_file_name(source)}"
            part.replace(path)
            _sync(folder)
        finally:
            part.unlink(missing_ok=True)
    return _Outcome(path, found.bytes, digest, found.validators, checks)


def _checks(source: Source, part: Path, way: _Way) -> tuple[str, ...]:
    made = []
    small = way.limits._replace(bytes=SMALL_BYTES)
    beside = part.with_name(f"check{_PART}")
    try:
        if source.checksum:
            download(source.checksum, beside, limits=small, plain_http=source.plain_http, trusted=way.trusted)
            name = unquote(PurePosixPath(urlsplit(source.address).path).name)
            made.append(check_digest(part, name, beside.read_text(encoding="utf-8", errors="replace")))
            beside.unlink()
        if source.signature:
            download(source.signature, beside, limits=small, plain_http=source.plain_http, trusted=way.trusted)
            check_signature(part, beside.read_bytes(), source.public_key)
            made.append("ed25519")
    finally:
        beside.unlink(missing_ok=True)
    return tuple(made)


def _report(source: Source, row: ListSource, outcome: _Outcome | None, new: bool, seconds: float) -> FetchReport:
    if outcome is None or not new:
        path = str(outcome.path) if outcome is not None else str(row.fetched_path)
        sentence = f"{source.name} has not changed since it was fetched last."
        size = outcome.bytes if outcome is not None else 0
        return FetchReport(
            source.name, "unchanged", sentence, path, str(row.fetched_sha256), size, outcome.checks if outcome else (), seconds
        )
    sentence = f"Fetched {source.name}: {outcome.bytes:,} bytes"
    sentence += f", checked by {' and '.join(outcome.checks)}." if outcome.checks else "."
    return FetchReport(source.name, "fetched", sentence, str(outcome.path), outcome.sha256, outcome.bytes, outcome.checks, seconds)


def _note(
    database: CaseworkDatabase, name: str, actor: Actor, started: float, report: FetchReport, outcome: _Outcome | None
) -> None:  # fmt: skip
    with database.session() as session:
        row = sources.find(session, name)
        row.failures = 0
        row.fetched = started
        if outcome is not None:
            row.fetched_path, row.fetched_sha256 = str(outcome.path), outcome.sha256
            etag, changed = outcome.validators
            row.etag = etag if etag is not None and len(etag) <= 300 else None
            row.last_modified = changed if changed is not None and len(changed) <= 100 else None
        session.add(
            ListRun(
                name=name, started=started, finished=time.time(), started_by=actor.written, result=report.result,
                sentence=report.sentence, bytes=report.bytes, sha256=report.sha256,
            )
        )  # fmt: skip
        _prune(session, name)


def note_failure(database: CaseworkDatabase, name: str, actor: Actor, sentence: str, started: float | None = None) -> None:
    """Write down that a run failed and why: while fetching, or when what was fetched could not become live."""
    started = time.time() if started is None else started
    with database.session() as session:
        row = sources.find(session, name)
        row.failures += 1
        session.add(
            ListRun(
                name=name, started=started, finished=time.time(), started_by=actor.written, result="failed", sentence=sentence, bytes=0,
                sha256="",
            )
        )  # fmt: skip


def _prune(session: Session, name: str) -> None:
    """Keep the newest reports of a source."""
    oldest = session.scalar(select(ListRun.id).where(ListRun.name == name).order_by(ListRun.id.desc()).offset(KEPT_RUNS).limit(1))
    if oldest is not None:
        session.execute(delete(ListRun).where(ListRun.name == name, ListRun.id <= oldest))


def _drop_others(path: Path) -> None:
    """Delete what was fetched earlier: the list that was loaded from it is in the history."""
    for other in path.parent.iterdir():
        if other != path and other.is_file() and not other.name.startswith("."):
            other.unlink(missing_ok=True)


def forget_files(lists: Path, name: str) -> None:
    """Delete what was fetched from a source that is removed."""
    shutil.rmtree(lists / FOLDER / name, ignore_errors=True)


def _file_name(source: Source) -> str:
    name = unquote(PurePosixPath(urlsplit(source.address).path).name)
    return _UNSAFE.sub("_", name)[-80:] or source.name


@contextmanager
def _turn(folder: Path, name: str) -> Iterator[None]:
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(f"{name} is being fetched already; wait for it to end.") from None
        yield


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
