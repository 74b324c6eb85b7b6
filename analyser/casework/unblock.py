"""Temporary unblocks: one person asks, another decides, the end comes by itself, and every step is audited."""

import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from analyser.casework import audit
from analyser.casework.accounts import find
from analyser.casework.clock import moment
from analyser.casework.columns import keys_of
from analyser.casework.models import GrantRow, Token, UnblockRequest
from analyser.casework.people import GATEWAY, Actor, persons_of
from analyser.casework.signins import token_actor
from blocklists.host import is_public_suffix
from blocklists.url import CanonicalUrl, UrlError, canonicalise
from rules.state import Grant, Scope

type SubjectKind = Literal["user", "group", "room", "address"]
SUBJECT_KINDS: Final = ("user", "group", "room", "address")
REASON_CHARACTERS: Final = 500
URL_CHARACTERS: Final = 4096


class UnblockError(ValueError):
    """What was asked can't be done; the message is one sentence for a person."""

    def __init__(self, sentence: str, *, code: str = "invalid") -> None:
        super().__init__(sentence)
        self.code = code
        """`invalid`, `not-found`, `decided` (already), `same-person`, `sealed` or `too-long`."""


@dataclass(frozen=True, slots=True)
class UnblockRules:
    """What the ruleset in force says about unblocks."""

    sealed: Callable[[CanonicalUrl], bool]
    """True for an address on a sealed list."""
    maximum_minutes: int
    groups: frozenset[str] | None = None
    """Groups that exist, or None to accept any."""
    rooms: frozenset[str] | None = None
    closed: Callable[[CanonicalUrl], bool] | None = None
    """True for an address whose port, number or private network the policy opens for nobody: grants come after that step."""


def ask(
    session: Session, actor: Actor, rules: UnblockRules, *, url: str, scope: str, subject_kind: str, subject: str, reason: str,
    minutes: int | None = None, until: float | None = None, source: str = "api", now: float | None = None,
) -> UnblockRequest:  # fmt: skip
    """Write down that somebody asks for an address to be opened: either for `minutes` or `until` a at (epoch seconds)."""
    at = moment(now)
    address = _address_of(url, scope, rules)
    subject = _subject_of(session, subject_kind, subject, rules)
    reason = reason.strip()
    if not reason or len(reason) > REASON_CHARACTERS:
        raise UnblockError(f"Say in 1 to {REASON_CHARACTERS} characters why the page is needed.")
    _end_of(minutes, until, rules, at)
    request = UnblockRequest(
        url=address.sent, scope=scope, subject_kind=subject_kind, subject=subject, reason=reason, minutes=minutes, until=until,
        source=source, requested_by=actor.written, requested_by_key=keys_of(session).digest(min(persons_of(actor.written))),
        requested=at, status="pending",
    )  # fmt: skip
    session.add(request)
    session.flush()
    detail = {"url": address.sent, "scope": scope, "for": f"{subject_kind}:{subject}", "reason": reason, "minutes": minutes, "until": until}
    audit.append(session, actor.written, "unblock.ask", f"unblock-request:{request.id}", detail, now=now)
    return request


def approve(
    session: Session, actor: Actor, rules: UnblockRules, request_id: int, *, minutes: int | None = None, note: str = "",
    now: float | None = None,
) -> GrantRow:  # fmt: skip
    """Open the address; never by the one who asked. `minutes` lets the approver choose another length."""
    at = moment(now)
    request = _pending(session, request_id)
    if _askers(session, request) & actor.persons:
        raise UnblockError("The one who asked can't approve; somebody else has to look at it.", code="same-person")
    address = _address_of(request.url, request.scope, rules)
    _subject_of(session, request.subject_kind, request.subject, rules)
    until = _end_of(minutes, None, rules, at) if minutes is not None else _end_of(request.minutes, request.until, rules, at)
    grant = GrantRow(
        id=secrets.token_hex(16), scope=request.scope, host=address.host, target=_target(address, request.scope),
        subject_kind=request.subject_kind, subject=request.subject, lifts="block", starts=at, until=until,
        requested_by=request.requested_by, approved_by=actor.written,
    )  # fmt: skip
    session.add(grant)
    session.flush()
    request.status, request.decided_by, request.decided = "approved", actor.written, at
    request.decision_note, request.grant_id = note.strip()[:REASON_CHARACTERS] or None, grant.id
    audit.append(
        session, actor.written, "unblock.approve", f"unblock-request:{request.id}",
        {"grant": grant.id, "until": until, "asked_by": request.requested_by, "note": note.strip()[:REASON_CHARACTERS]}, now=now,
    )  # fmt: skip
    return grant


def refuse(session: Session, actor: Actor, request_id: int, *, note: str = "", now: float | None = None) -> UnblockRequest:
    """Close a request without opening anything; the one who asked may do it, to take it back."""
    request = _pending(session, request_id)
    request.status, request.decided_by, request.decided = "refused", actor.written, moment(now)
    request.decision_note = note.strip()[:REASON_CHARACTERS] or None
    audit.append(session, actor.written, "unblock.refuse", f"unblock-request:{request.id}", {"note": request.decision_note}, now=now)
    return request


def end_grant(session: Session, actor: Actor, grant_id: str, *, now: float | None = None) -> GrantRow:
    """End a grant before its time."""
    at = moment(now)
    grant = session.get(GrantRow, grant_id)
    if grant is None:
        raise UnblockError("There is no such grant.", code="not-found")
    if grant.ended is not None or grant.until <= at:
        raise UnblockError("This grant has ended already.", code="decided")
    grant.ended, grant.ended_by = at, actor.written
    audit.append(session, actor.written, "grant.end", f"grant:{grant.id}", {"until": grant.until}, now=now)
    return grant


def go_on(
    session: Session, actor: Actor, rules: UnblockRules, *, url: str, subject_kind: SubjectKind, subject: str, minutes: int = 30,
    now: float | None = None,
) -> GrantRow:  # fmt: skip
    """Give somebody who read a warning their own way past it, for this host; it lifts warnings only, so nobody approves."""
    at = moment(now)
    address = _address_of(url, "host", rules)
    subject = _subject_of(session, subject_kind, subject, rules)
    for held in in_force(session, now=at):
        if held.lifts == "warn" and (held.host, held.subject_kind, held.subject) == (address.host, subject_kind, subject):
            return held
    grant = GrantRow(
        id=secrets.token_hex(16), scope="host", host=address.host, target="/", subject_kind=subject_kind, subject=subject, lifts="warn",
        starts=at, until=at + 60 * min(minutes, rules.maximum_minutes), requested_by=actor.written, approved_by=None,
    )  # fmt: skip
    session.add(grant)
    session.flush()
    detail = {"host": address.host, "for": f"{subject_kind}:{subject}", "until": grant.until}
    audit.append(session, actor.written, "grant.go-on", f"grant:{grant.id}", detail, now=now)
    return grant


def note_sealed(session: Session, actor: Actor, what: str, *, now: float | None = None) -> None:
    """Write down that somebody wanted an address on a sealed list opened; of the address only a keyed digest is kept.

    For the transaction after the one that `ask`, `approve` or `go_on` ended with the code `sealed`.
    """
    about = what if what.startswith("unblock-request:") else "address"
    digest = keys_of(session).digest(what).hex() if about == "address" else None
    audit.append(session, actor.written, "unblock.sealed", about, {"digest": digest}, now=now)


def in_force(session: Session, *, now: float | None = None) -> list[GrantRow]:
    """Return the grants that hold now; one that has run out stays over, also when the clock is set back."""
    at = moment(now)
    held = select(GrantRow).where(GrantRow.until > at, GrantRow.ended.is_(None), GrantRow.expired.is_(None))
    return list(session.scalars(held.order_by(GrantRow.until)))


def run_out(session: Session, *, now: float | None = None) -> list[GrantRow]:
    """Note in the audit the grants whose time came, each once; return them."""
    at = moment(now)
    over = list(session.scalars(select(GrantRow).where(GrantRow.until <= at, GrantRow.ended.is_(None), GrantRow.expired.is_(None))))
    for grant in over:
        grant.expired = at
        audit.append(session, GATEWAY.written, "grant.expire", f"grant:{grant.id}", {"until": grant.until}, now=now)
    return over


def requests(session: Session, *, status: str | None = None, limit: int = 200) -> list[UnblockRequest]:
    """Return requests, newest first."""
    query = select(UnblockRequest).order_by(UnblockRequest.id.desc()).limit(limit)
    return list(session.scalars(query if status is None else query.where(UnblockRequest.status == status)))


def grant_value(row: GrantRow) -> Grant:
    """Return the grant as the workers see it."""
    return Grant(
        id=row.id, scope=row.scope, host=row.host, target=row.target, subject_kind=row.subject_kind, subject=row.subject,  # type: ignore[arg-type]
        starts=row.starts, until=row.until, lifts=row.lifts,  # type: ignore[arg-type]
    )  # fmt: skip


def grant_view(row: GrantRow, *, now: float | None = None) -> dict[str, Any]:
    """Return the grant as the API shows it."""
    at = moment(now)
    status = "ended" if row.ended is not None else "expired" if row.until <= at else "in-force"
    return {
        "id": row.id, "scope": row.scope, "host": row.host, "target": row.target, "subject_kind": row.subject_kind, "subject": row.subject,
        "lifts": row.lifts, "starts": row.starts, "until": row.until, "status": status, "requested_by": row.requested_by,
        "approved_by": row.approved_by, "ended": row.ended, "ended_by": row.ended_by,
    }  # fmt: skip


def request_view(row: UnblockRequest) -> dict[str, Any]:
    """Return the request as the API shows it."""
    return {
        "id": row.id, "url": row.url, "scope": row.scope, "subject_kind": row.subject_kind, "subject": row.subject, "reason": row.reason,
        "minutes": row.minutes, "until": row.until, "source": row.source, "requested_by": row.requested_by, "requested": row.requested,
        "status": row.status, "decided_by": row.decided_by, "decided": row.decided,
        "decision_note": row.decision_note, "grant_id": row.grant_id,
    }  # fmt: skip


def _pending(session: Session, request_id: int) -> UnblockRequest:
    request = session.get(UnblockRequest, request_id, with_for_update=True)
    if request is None:
        raise UnblockError("There is no such request.", code="not-found")
    if request.status != "pending":
        raise UnblockError(f"This request was {request.status} already.", code="decided")
    return request


def _askers(session: Session, request: UnblockRequest) -> frozenset[str]:
    """Who counts as the one who asked: for a token, its maker too."""
    persons = persons_of(request.requested_by)
    if request.requested_by.startswith("token:"):
        token = session.scalar(select(Token).where(Token.name == request.requested_by.removeprefix("token:")))
        if token is not None:
            persons |= token_actor(token).persons
    return persons


def _address_of(text: str, scope: str, rules: UnblockRules) -> CanonicalUrl:
    if scope not in get_args(Scope):
        raise UnblockError(f"The scope of an unblock is exact, path or host, not {scope!r}.")
    if len(text) > URL_CHARACTERS:
        raise UnblockError(f"The address is longer than {URL_CHARACTERS} characters.")
    try:
        address = canonicalise(text if "://" in text else f"https://{text}")
    except UrlError as error:
        raise UnblockError("The address can't be read as a web address; copy it whole from the block page or the address bar.") from error
    if address.scheme not in ("http", "https"):
        raise UnblockError("Only http and https addresses can be opened.")
    if not address.is_address and is_public_suffix(address.host):
        raise UnblockError("An unblock names one site, for example maths.example.org, not a whole ending.")
    if rules.sealed(address):
        raise UnblockError("This address is on a list of unlawful content; nobody can open it.", code="sealed")
    if rules.closed is not None and rules.closed(address):
        raise UnblockError(
            "An unblock can't open this address, since its port, number or private network is closed for everybody; ask the technician."
        )
    return address


def _subject_of(session: Session, kind: str, subject: str, rules: UnblockRules) -> str:
    """Return the subject as the gateway writes it, so that the grant meets its requests."""
    if kind not in SUBJECT_KINDS:
        raise UnblockError(f"An unblock is for a user, group, room or address, not for {kind!r}.")
    subject = subject.strip()
    if not subject or len(subject) > 200:
        raise UnblockError("Say for whom the page is to be opened.")
    if kind == "user":
        account = find(session, subject)
        return account.name if account is not None else subject
    if kind == "address":
        try:
            return str(ipaddress.ip_address(subject))
        except ValueError as error:
            raise UnblockError(f"{subject!r} is not the address of a device, for example 10.1.2.3.") from error
    known = rules.groups if kind == "group" else rules.rooms
    if known is not None and subject not in known:
        if not known:
            raise UnblockError(f"The policy names no {kind}s; ask for a group, a person or a device's address.")
        raise UnblockError(f"There is no {kind} {subject!r} in the policy; it has {', '.join(sorted(known))}.")
    return subject


def _target(address: CanonicalUrl, scope: str) -> str:
    return {"exact": address.path_and_sent_query, "path": address.path, "host": "/"}[scope]


def _end_of(minutes: int | None, until: float | None, rules: UnblockRules, at: float) -> float:
    """Return when a grant that starts now ends; raises UnblockError for a length outside 1 minute to the policy's maximum."""
    if (minutes is None) == (until is None):
        raise UnblockError("Say either for how many minutes or until when.")
    end = at + 60 * minutes if minutes is not None else until
    assert end is not None
    if not end > at or (minutes is not None and minutes < 1):
        raise UnblockError("The end of the unblock lies in the past; ask again with a later one.")
    if end > at + 60 * rules.maximum_minutes:
        raise UnblockError(f"The policy allows at most {rules.maximum_minutes} minutes; choose a shorter time.", code="too-long")
    return end
