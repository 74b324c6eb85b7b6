"""Sealed lists on their way into force: fetched into memory, kept as digests alone, held where a guard objects.

No plaintext meets the disk here, and no message, record or preview holds a word of it: numbers only.
"""

import hashlib
import io
import time
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

import msgspec

from analyser.casework.database import CaseworkDatabase
from analyser.casework.people import Actor
from analyser.lists import changes, fetch, sources
from analyser.lists.download import Limits, Tell, Validators, Way, download_into
from analyser.lists.fetch import FetchReport
from analyser.lists.preview import Objection, Preview
from analyser.lists.sources import Source
from analyser.lists.trial import Proposal
from blocklists.compare import Change
from blocklists.errors import SealedListError
from blocklists.library import Library
from blocklists.sealedinput import SealedFormat, SealedInput, read_sealed, speaks_against
from blocklists.sealedstore import SealedEntry, SealedReport, confirm, digests_of, read_sealed_file, register, registered
from blocklists.starter import must_stay_open

LIMITS: Final = Limits(bytes=256 << 20)
"""Packed or not, the file is held in memory: 256 MB are over three million digests in hexadecimal."""


class Place(NamedTuple):
    """Where an installation keeps its lists, and the hosts that a sealed list must not close."""

    lists: Path
    sealed: Path
    own_hosts: frozenset[str] = frozenset()


class Sealed(msgspec.Struct, frozen=True):
    """What became of a sealed list: in force, or held as a change with a number."""

    report: SealedReport
    change: int | None
    found: Preview


def seal_file(
    database: CaseworkDatabase, place: Place, name: str, source: Path, format_: SealedFormat, proposer: str, *, now: float | None = None
) -> Sealed:  # fmt: skip
    """Put a list from a file of the technician's in force, or hold it; raises `ListError`, and the earlier list then stays."""
    with database.reading() as session:
        second = changes.enough_approvers(session)
    return _offer(
        database, place, Proposal(name, format=format_, act="seal"), read_sealed_file(source, name, format_), proposer, second, now
    )


def fetch_sealed(
    database: CaseworkDatabase, place: Place, name: str, actor: Actor, *, scheduled: bool = False, any_hour: bool = False,
    limits: Limits = LIMITS, now: float | None = None, trusted: Path | None = None, tell: Tell | None = None,
) -> tuple[FetchReport, Sealed | None]:  # fmt: skip
    """Fetch the source of a sealed list and put what came in force, or hold it; None where the publisher has nothing newer.

    Raises `SourceError` for an unknown name and `FetchError` for anything that goes wrong; the list in force then stays, and
    grows old until health says so.
    """
    started, clock = time.time() if now is None else now, time.monotonic()
    with database.reading() as session:
        row = sources.find(session, name)
        second = scheduled or changes.enough_approvers(session)
    source = sources.settings_of(row)
    with fetch.reported(database, name, actor, started, place.sealed):
        fetch.check_hour(source, started, any_hour=any_hour)
        present = registered(place.sealed, name)
        digests = _present(place, present) if present is not None else frozenset()
        newest = bool(digests) and _digest(digests) == row.offered_sha256
        # What waits, or what somebody refused, is not offered again by the clock; by a person it is.
        settled = newest or (scheduled and row.offered_sha256 is not None and bool(digests))
        known = Validators(row.etag, row.last_modified) if settled else Validators()
        came = _came(source, place, known, fetch.way_of(source, limits, trusted, tell))
        if came is None or (settled and came[0].sha256 == row.offered_sha256):
            if newest:
                confirm(place.sealed, name)
            report = _report(name, "unchanged", f"{name} has not changed since it was fetched last.", came and came[0], clock)
            sealed = None
        else:
            proposal = Proposal(name, format=source.format, act="seal", scheduled=scheduled)
            sealed = _offer(database, place, proposal, came[1], row.created_by if scheduled else actor.written, second, now)
            report = _report(name, "fetched", f"{fetch.fetched_sentence(name, came[0])} {in_words(sealed)}", came[0], clock)
    fetch.note_success(database, actor, started, report, came and came[0])
    if came is not None:
        with database.session() as session:
            sources.find(session, name).offered_sha256 = came[0].sha256
    return report, sealed


def in_words(sealed: Sealed) -> str:
    """Say in one sentence what became of a list."""
    if sealed.change is not None:
        return f"It waits for a second person as number {sealed.change}."
    refused = f", {sealed.report.refused:,} lines refused" if sealed.report.refused else ""
    change = sealed.found.change
    return f"Loaded {sealed.report.name}: {sealed.report.entries:,} entries, {change.added:,} new, {change.removed:,} gone{refused}."


def _came(source: Source, place: Place, known: Validators, way: Way) -> tuple[fetch.Outcome, SealedInput] | None:
    """Fetch and read a list; its text is in this process's memory alone, and gone when this returns."""
    format_ = cast("SealedFormat", source.format)
    if not source.is_remote:
        path = Path(source.address)
        found = read_sealed_file(path, source.name, format_)
        return fetch.Outcome(None, path.stat().st_size, _digest(found.digests), Validators(), ()), found
    folder = place.lists / fetch.FOLDER / source.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with fetch.turn(folder, source.name), io.BytesIO() as body:
        done = download_into(body, source.address, known, way)
        if done is None:
            return None
        checks = fetch.checks_of(source, body, way)
        body.seek(0)
        found = read_sealed(body, f"What {source.name}'s publisher sent", format_)
    return fetch.Outcome(None, done.bytes, _digest(found.digests), done.validators, checks), found


def _present(place: Place, entry: SealedEntry) -> frozenset[bytes]:
    """Return the digests in force, none of a list that is lost or damaged: loading it again is what mends that."""
    try:
        return digests_of(place.sealed, entry)
    except SealedListError:
        return frozenset()


def _digest(digests: frozenset[bytes]) -> str:
    """Return what tells two versions apart: of the digests, not of the text."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _offer(
    database: CaseworkDatabase, place: Place, proposal: Proposal, read: SealedInput, proposer: str, second: bool, now: float | None
) -> Sealed:  # fmt: skip
    name = proposal.name
    present = registered(place.sealed, name)
    old = _present(place, present) if present is not None else frozenset()
    findings = speaks_against(read, present.entries if present is not None else None, must_stay_open(), place.own_hosts)
    objections = tuple(Objection(one.rule, one.entry, one.message, one.blocks and second) for one in findings)
    added, removed = len(read.digests - old), len(old - read.digests)
    change = Change(len(old), len(read.digests), added, removed, {}, {"illegal": (added, removed)}, (), (), ())
    found = Preview(
        name, proposal.format or "", "block", "", len(read.digests), 0, read.refused, (), 0, 0, {"illegal": len(read.digests)}, {}, change,
        objections, None, "seal",
    )  # fmt: skip
    report = SealedReport(name, len(read.digests), read.refused, read.refused_lines)
    if not found.held:
        changes.note_done(database, "seal", found, proposer, now=now)
        register(place.sealed, name, read.digests)
        return Sealed(report, None, found)
    library = Library(place.lists)
    with changes.held_folder(library) as folder:
        folder.mkdir(mode=0o700, parents=True)
        kept = "".join(f"{digest.hex()}\n" for digest in sorted(read.digests)).encode()
        (folder / f"{name}.digests").write_bytes(kept)
        proposal = msgspec.structs.replace(proposal, path=str(folder / f"{name}.digests"))
        number = changes.hold(database, proposal, hashlib.sha256(kept).hexdigest(), found, proposer, now=now)
    changes.sweep(database, library)
    return Sealed(report, number, found)


def _report(name: str, result: Literal["fetched", "unchanged"], sentence: str, outcome: fetch.Outcome | None, clock: float) -> FetchReport:
    size, digest, checks = (outcome.bytes, outcome.sha256, outcome.checks) if outcome is not None else (0, "", ())
    return FetchReport(name, result, sentence, "", digest, size, checks, time.monotonic() - clock)
