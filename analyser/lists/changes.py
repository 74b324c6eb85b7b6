"""Make a list live, or hold it for a second person where a guard objects; nobody approves what they proposed themselves."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.columns import folded, keys_of
from analyser.casework.database import CaseworkDatabase
from analyser.casework.list_models import ListChange
from analyser.casework.models import Account, Token
from analyser.casework.people import Actor, persons_of
from analyser.casework.signins import token_actor
from analyser.lists.errors import ChangeError
from analyser.lists.preview import Preview
from analyser.lists.trial import Act, Proposal, Trial, trial
from blocklists.errors import ListError
from blocklists.library import Library
from blocklists.reading import sha256_of
from blocklists.reports import LoadReport
from blocklists.sealedinput import read_sealed
from blocklists.sealedstore import register

APPROVERS: Final = ("administrator", "technician", "dsl", "headteacher")
"""Roles of the console that may approve a held list."""
FOLDER: Final = ".held"
"""Below the folder of the lists: a copy of each list that waits."""
ACTIONS: Final = {
    "load": "lists.load",
    "rollback": "lists.rollback",
    "pause": "lists.pause",
    "resume": "lists.resume",
    "remove": "lists.remove",
    "seal": "lists.load",
}
"""What the audit calls an act that is done."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a proposal: live, or held as a change with a number."""

    report: LoadReport | None
    change: int | None


def enough_approvers(session: Session) -> bool:
    """True once two people could approve at the console: before that nobody could be the second."""
    able = select(func.count()).select_from(Account)
    able = able.where(Account.role.in_(APPROVERS), Account.disabled.is_(False), Account.password_hash.is_not(None))
    return (session.scalar(able) or 0) >= 2


def offer(database: CaseworkDatabase, tried: Trial, found: Preview, proposer: str, *, now: float | None = None) -> Outcome:
    """Make a tried list live, or hold it where its preview says so; `proposer` is a written actor. Raises `ListError`.

    A list that becomes live is compiled; the caller builds the ruleset.
    """
    if not found.held:
        note_done(database, tried.proposal.act, found, proposer, now=now)
        return Outcome(tried.adopt(), None)
    with held_folder(tried.library) as folder:
        proposal, digest = _copied(tried, found, folder) if tried.proposal.act == "load" else _pinned(tried)
        number = hold(database, proposal, digest, found, proposer, now=now)
    sweep(database, tried.library)
    return Outcome(None, number)


@contextmanager
def held_folder(library: Library) -> Iterator[Path]:
    """Give a new folder, not made yet, for what waits; gone again where the block fails. Raises `ListError` for a full disk."""
    folder = library.folder / FOLDER / secrets.token_hex(8)
    try:
        yield folder
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ListError(f"The list can't be kept for a second person ({error.strerror}); make room and load it again.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def hold(
    database: CaseworkDatabase, proposal: Proposal, digest: str, found: Preview, proposer: str, *, now: float | None = None
) -> int:  # fmt: skip
    """Write down what waits for a second person, in the place of what waited before; returns its number."""
    with database.session() as session:
        _withdraw(session, proposal.name, proposer, moment(now))
        row = ListChange(
            name=proposal.name, proposal=msgspec.json.encode(proposal).decode(), sha256=digest,
            findings=msgspec.json.encode(found.objections).decode(), preview=msgspec.json.encode(found).decode(),
            proposed=moment(now), proposed_by=proposer, proposed_by_key=keys_of(session).digest(proposer), status="pending",
        )  # fmt: skip
        session.add(row)
        session.flush()
        objections = [objection.message for objection in found.objections if objection.blocks]
        audit.append(session, proposer, "lists.hold", f"list-change:{row.id}", _detail(found) | {"why": objections[:20]}, now=now)
        return row.id


def note_done(database: CaseworkDatabase, act: Act, found: Preview, proposer: str, *, now: float | None = None) -> None:
    """Write down that something is done that no guard held: before it is, since live without a word in the audit would be worse."""
    with database.session() as session:
        audit.append(session, proposer, ACTIONS[act], f"list:{found.name}", _detail(found), now=now)
        _withdraw(session, found.name, proposer, moment(now))


def _copied(tried: Trial, found: Preview, held: Path) -> tuple[Proposal, str]:
    """Keep the list that was looked at in a folder of its own; returns what to load later, and its digest."""
    held.mkdir(mode=0o700, parents=True)
    source = Path(tried.proposal.path)
    copy = held / source.resolve().name
    if source.is_dir():
        shutil.copytree(source, copy, symlinks=True)
    else:
        shutil.copyfile(source, copy)
    # A squidGuard list takes its category from the folder that it lay in: it is written down before it lies elsewhere.
    stored = tried.candidate.stored(tried.proposal.name)
    category = tried.proposal.category or stored.category or None
    origin = tried.proposal.origin or stored.source
    return msgspec.structs.replace(tried.proposal, path=str(copy), format=found.format, category=category, origin=origin), sha256_of(copy)


def _pinned(tried: Trial) -> tuple[Proposal, str]:
    """Name the version that was looked at; returns what to do later, and the digest of the list that is there now."""
    before = tried.before
    version = tried.report.version if tried.proposal.act == "rollback" else tried.proposal.version
    return msgspec.structs.replace(tried.proposal, version=version), before.sha256 if before is not None else ""


def approve(
    database: CaseworkDatabase, library: Library, sealed: Path, number: int, actor: Actor, *, note: str = "", now: float | None = None
) -> LoadReport:  # fmt: skip
    """Make a held list live; never by the one who proposed it. Raises `ChangeError` and `ListError`; the caller builds the ruleset.

    `sealed` is the folder of the sealed lists, which no library holds.
    """
    with database.session() as session:
        row = _pending(session, number)
        if proposed_by_same(session, row, actor):
            raise ChangeError("The one who made the change can't approve it; somebody else has to look at it.", "same-person")
        proposal = msgspec.json.decode(row.proposal, type=Proposal)
        _check_unchanged(library, proposal, row.sha256)
        # Before the list is live: an approval that is cut off half-way was an approval all the same, and can be given again.
        why = [finding["message"] for finding in msgspec.json.decode(row.findings) if finding["blocks"]]
        detail = {
            "list": row.name, "act": proposal.act, "sha256": row.sha256, "proposed_by": row.proposed_by, "why": why[:20],
            "note": note[:500],
        }  # fmt: skip
        audit.append(session, actor.written, "lists.approve", f"list-change:{number}", detail, now=now)
    report = _sealed(sealed, proposal) if proposal.act == "seal" else _adopted(library, proposal)
    with database.session() as session:
        _decide(_pending(session, number), "approved", actor, note, now)
    sweep(database, library)
    return report


def _adopted(library: Library, proposal: Proposal) -> LoadReport:
    with trial(library, proposal) as tried:
        return tried.adopt()


def _sealed(folder: Path, proposal: Proposal) -> LoadReport:
    """Put the digests that waited in force; they are kept as they would be in a file of digests, a line each."""
    with Path(proposal.path).open("rb") as file:
        digests = read_sealed(file, f"What was kept of {proposal.name}", "sha256").digests
    register(folder, proposal.name, digests)
    return LoadReport(proposal.name, proposal.format or "", "block", len(digests), 0, 0, (), {"illegal": len(digests)}, {}, {}, "")


def refuse(
    database: CaseworkDatabase, library: Library, number: int, actor: Actor, *, note: str = "", now: float | None = None
) -> None:  # fmt: skip
    """Throw a held list away; the one who proposed it may do that, too."""
    with database.session() as session:
        row = _pending(session, number)
        _decide(row, "refused", actor, note, now)
        audit.append(session, actor.written, "lists.refuse", f"list-change:{number}", {"list": row.name, "note": note[:500]}, now=now)
    sweep(database, library)


def proposed_by_same(session: Session, row: ListChange, actor: Actor) -> bool:
    """True where the actor is, or may be, the person who proposed the change."""
    return bool(_proposers(session, row.proposed_by) & _persons(actor))


def changes(session: Session, *, status: str | None = None, limit: int = 100) -> list[ListChange]:
    """Return held changes, newest first."""
    query = select(ListChange).order_by(ListChange.id.desc()).limit(limit)
    return list(session.scalars(query if status is None else query.where(ListChange.status == status)))


def find(session: Session, number: int) -> ListChange:
    """Return a change; raises `ChangeError`."""
    row = session.get(ListChange, number)
    if row is None:
        raise ChangeError(f"There is no held list number {number}; `lists changes` shows them.", "not-found")
    return row


def view(row: ListChange) -> dict[str, Any]:
    """Return a change as the API shows it."""
    return {
        "id": row.id, "name": row.name, "act": msgspec.json.decode(row.proposal, type=Proposal).act, "sha256": row.sha256,
        "objections": msgspec.json.decode(row.findings),
        "preview": msgspec.json.decode(row.preview), "proposed": row.proposed, "proposed_by": row.proposed_by, "status": row.status,
        "decided": row.decided, "decided_by": row.decided_by, "note": row.note,
    }  # fmt: skip


def sweep(database: CaseworkDatabase, library: Library) -> None:
    """Delete the copies of lists on which somebody has decided, and what a killed command left."""
    above = library.folder / FOLDER
    if not above.is_dir():
        return
    with database.session() as session:  # writing: nobody else adds a change meanwhile
        rows = session.scalars(select(ListChange.proposal).where(ListChange.status == "pending"))
        kept = {Path(path).parent.name for text in rows if (path := msgspec.json.decode(text, type=Proposal).path)}
        for folder in above.iterdir():
            if folder.name not in kept and moment() - folder.stat().st_mtime > _SETTLING:
                shutil.rmtree(folder, ignore_errors=True)


_SETTLING = 600
"""Seconds in which a fresh copy may not have its record yet."""


def _check_unchanged(library: Library, proposal: Proposal, digest: str) -> None:
    """Raise `ChangeError` where what would become live is not what was looked at."""
    if proposal.act in ("load", "seal"):
        path = Path(proposal.path)
        if not path.exists() or sha256_of(path) != digest:
            raise ChangeError("The copy of the list that was looked at is gone or was changed; load the list again.", "stale")
        return
    present = next((stored for stored in library.all_stored() if stored.name == proposal.name), None)
    if (present.sha256 if present is not None else "") != digest:
        raise ChangeError("Another version of the list is live by now; refuse this change and look again.", "stale")


def _pending(session: Session, number: int) -> ListChange:
    row = find(session, number)
    if row.status != "pending":
        raise ChangeError(f"This change was {row.status} already.", "decided")
    return row


def _decide(row: ListChange, status: str, actor: Actor, note: str, now: float | None) -> None:
    row.status, row.decided, row.decided_by, row.note = status, moment(now), actor.written, note.strip()[:500] or None


def _withdraw(session: Session, name: str, proposer: str, at: float) -> None:
    """A newer version takes the place of one that waits."""
    for row in session.scalars(select(ListChange).where(ListChange.name == name, ListChange.status == "pending")):
        row.status, row.decided, row.decided_by, row.note = "refused", at, proposer, "a newer version took its place"


def _proposers(session: Session, written: str) -> frozenset[str]:
    """Who counts as the one who proposed: for a token, its maker too; a user of this machine and an account of one name are one."""
    persons = persons_of(written) | {folded(written).removeprefix("os:")}
    if written.startswith("token:"):
        token = session.scalar(select(Token).where(Token.name == written.removeprefix("token:")))
        if token is not None:
            persons |= token_actor(token).persons
    return frozenset(persons)


def _persons(actor: Actor) -> frozenset[str]:
    return actor.persons | {person.removeprefix("os:") for person in actor.persons}


def _detail(found: Preview) -> dict[str, Any]:
    return {
        "act": found.act, "version": found.version, "format": found.format, "kind": found.kind, "entries": found.entries,
        "refused": found.refused, "added": found.change.added,
        "removed": found.change.removed,
    }  # fmt: skip
