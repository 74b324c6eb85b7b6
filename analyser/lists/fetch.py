"""Fetch a source: download, check, keep beside what was fetched before, and report the run."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analyser.casework.database import CaseworkDatabase
from analyser.casework.list_models import ListRun, ListSource
from analyser.casework.people import Actor
from analyser.lists import sources
from analyser.lists.credentials import headers_of
from analyser.lists.download import USUAL, Limits, Tell, Validators, Way, download, download_small, same_server
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


class Outcome(msgspec.Struct, frozen=True):
    """What came: a file that is kept, or of a sealed list its size and digest alone."""

    path: Path | None
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
    with reported(database, name, actor, started, lists):
        check_hour(source, started, any_hour=any_hour)
        outcome = _fetch(source, lists / FOLDER / name, known, way_of(source, limits, trusted, tell))
        report = _report(source, row, outcome, time.monotonic() - clock)
    note_success(database, actor, started, report, outcome)
    if outcome is not None and outcome.path is not None and source.is_remote:
        _drop_others(outcome.path)
    return report


def way_of(source: Source, limits: Limits, trusted: Path | None, tell: Tell | None) -> Way:
    """Return how a source's publisher is asked; raises `SourceError` where its credentials can't be read."""
    return Way(limits, source.plain_http, trusted, tell, headers_of(source.credentials))


def check_hour(source: Source, at: float, *, any_hour: bool) -> None:
    """Raise `FetchError` in the hours in which a publisher asks to be left alone."""
    if source.not_between is not None and source.is_remote and not any_hour and source.not_between.hold(at):
        raise FetchError(
            f"The publisher of {source.name} asks not to be asked from {source.not_between} o'clock UTC; try later, or say --any-hour."
        )


@contextmanager
def reported(database: CaseworkDatabase, name: str, actor: Actor, started: float, folder: Path) -> Iterator[None]:
    """Write a failure within the block down as a run's report; every error comes out as `FetchError`."""
    try:
        yield
    except (ListError, OSError) as error:
        sentence = str(error) if isinstance(error, ListError) else f"{error.filename or folder} can't be written ({error.strerror})."
        note_failure(database, name, actor, sentence, started)
        if isinstance(error, FetchError):
            raise
        raise FetchError(sentence) from error


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
    if sources.settings_of(row).sealed:
        raise FetchError(f"{name} is a sealed list: what is fetched of it is never kept, and nobody looks at it.")
    if row.fetched_path is None or not Path(row.fetched_path).exists():
        raise FetchError(f"Nothing was fetched for {name} yet; run `schoolgate lists fetch {name}`.")
    return sources.settings_of(row), Path(row.fetched_path)


def proposal_of(source: Source, path: Path, *, scheduled: bool = False) -> Proposal:
    """Return the fetched file of a source as something to try."""
    return Proposal(
        source.name, str(path), source.format, source.category, source.kind, source.subdomains, source.columns, source.publisher,
        source.licence, source.expressions, source.categories, source.address if source.is_remote else "", scheduled=scheduled,
    )  # fmt: skip


def _fetch(source: Source, folder: Path, known: Validators, way: Way) -> Outcome | None:
    if not source.is_remote:
        path = Path(source.address)
        if not path.exists():
            raise FetchError(f"There is no file or folder {path} any more; correct the source {source.name}.")
        size = path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        return Outcome(path, size, sha256_of(path), Validators(), ())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with turn(folder, source.name):
        for left in folder.glob(f"*{_PART}"):  # of a run that was killed
            left.unlink(missing_ok=True)
        part = folder / f"{os.getpid()}{_PART}"
        found = download(source.address, part, known, way)
        if found is None:
            return None
        try:
            with part.open("rb") as file:
                checks = checks_of(source, file, way)
            digest = sha256_of(part)
            path = folder / f"{digest[:16]}-{_file_name(source)}"
            part.replace(path)
            _sync(folder)
        finally:
            part.unlink(missing_ok=True)
    return Outcome(path, found.bytes, digest, found.validators, checks)


def checks_of(source: Source, file: BinaryIO, way: Way) -> tuple[str, ...]:
    """Check what came as its source says; returns what it was checked by, raises `FetchError`."""
    made = []
    if source.checksum:
        name = unquote(PurePosixPath(urlsplit(source.address).path).name)
        made.append(check_digest(file, name, _beside(source, source.checksum, way).decode("utf-8", "replace")))
    if source.signature:
        check_signature(file, _beside(source, source.signature, way), source.public_key)
        made.append("ed25519")
    return tuple(made)


def _beside(source: Source, address: str, way: Way) -> bytes:
    """Fetch a small file that belongs to a list; whose server is another one does not learn who asks."""
    return download_small(address, way if same_server(address, source.address) else way._replace(credentials={}))


def _report(source: Source, row: ListSource, outcome: Outcome | None, seconds: float) -> FetchReport:
    if outcome is None or outcome.sha256 == row.fetched_sha256:
        path = str(outcome.path) if outcome is not None else str(row.fetched_path)
        sentence = f"{source.name} has not changed since it was fetched last."
        size = outcome.bytes if outcome is not None else 0
        return FetchReport(
            source.name, "unchanged", sentence, path, str(row.fetched_sha256), size, outcome.checks if outcome else (), seconds
        )
    return FetchReport(
        source.name, "fetched", fetched_sentence(source.name, outcome), str(outcome.path), outcome.sha256, outcome.bytes, outcome.checks,
        seconds,
    )  # fmt: skip


def fetched_sentence(name: str, outcome: Outcome) -> str:
    """Say that a list came, how big it is and what it was checked by."""
    return f"Fetched {name}: {outcome.bytes:,} bytes" + (f", checked by {' and '.join(outcome.checks)}." if outcome.checks else ".")


def note_success(database: CaseworkDatabase, actor: Actor, started: float, report: FetchReport, outcome: Outcome | None) -> None:
    """Write a run's report down, and what the publisher said of the file that came; None: that there is nothing newer."""
    with database.session() as session:
        row = sources.find(session, report.name)
        row.failures = 0
        row.fetched = started
        if outcome is not None:
            row.fetched_path, row.fetched_sha256 = str(outcome.path) if outcome.path is not None else None, outcome.sha256
            etag, changed = outcome.validators
            row.etag = etag if etag is not None and len(etag) <= 300 else None
            row.last_modified = changed if changed is not None and len(changed) <= 100 else None
        session.add(
            ListRun(
                name=report.name, started=started, finished=time.time(), started_by=actor.written, result=report.result,
                sentence=report.sentence, bytes=report.bytes, sha256=report.sha256,
            )
        )  # fmt: skip
        _prune(session, report.name)


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
def turn(folder: Path, name: str) -> Iterator[None]:
    """Hold a source's folder for the length of a block; raises `FetchError` where somebody else fetches it."""
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
