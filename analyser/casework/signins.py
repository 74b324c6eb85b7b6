"""What people and programs show after the first time: one-time links, browser sessions, bearer tokens; only digests are kept."""

import hashlib
import secrets
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analyser.casework import accounts, audit
from analyser.casework.accounts import AccountError
from analyser.casework.clock import moment
from analyser.casework.database import CaseworkDatabase
from analyser.casework.models import Account, ConsoleSession, OneTimeLink, Token
from analyser.casework.people import Actor

LINK_SECONDS: Final = 72 * 3600
IDLE_SECONDS: Final = 30 * 60
ABSOLUTE_SECONDS: Final = 12 * 3600
_TOUCH_SECONDS: Final = 60
TOKEN_PREFIX: Final = "sgt_"  # noqa: S105  (lets secret scanners recognise one of ours)


def make_link(session: Session, actor: Actor, account: Account, *, now: float | None = None) -> str:
    """Return the secret of a link that sets the account's password once, within 72 hours; older links die."""
    at = moment(now)
    session.execute(delete(OneTimeLink).where(OneTimeLink.account_id == account.id))
    secret = secrets.token_urlsafe(32)
    session.add(OneTimeLink(digest=_digest(secret), account_id=account.id, expires=at + LINK_SECONDS, used=None))
    audit.append(session, actor.written, "account.link", account.name, {"expires": at + LINK_SECONDS}, now=now)
    return secret


def link_account(session: Session, secret: str, *, now: float | None = None) -> Account | None:
    """Return whose link it is, or None when it was used, has expired or never was."""
    link = session.get(OneTimeLink, _digest(secret))
    if link is None or link.used is not None or link.expires <= moment(now):
        return None
    account = session.get(Account, link.account_id)
    return None if account is None or account.disabled else account


def use_link(session: Session, secret: str, password: str, *, prepared: str | None = None, now: float | None = None) -> Account:
    """Set the password that a link's owner chose; raises AccountError, and then the link still works.

    `prepared` is `accounts.hashed(password)`, computed before the transaction.
    """
    account = link_account(session, secret, now=now)
    if account is None:
        raise AccountError("This link has been used or is too old; ask an administrator for a new one.")
    accounts.set_password(session, Actor("account", account.name), account, password, prepared=prepared, now=now)
    session.get_one(OneTimeLink, _digest(secret)).used = moment(now)
    return account


def open_session(session: Session, account: Account, *, now: float | None = None) -> str:
    """Return the cookie of a new browser session: 30 minutes idle, 12 hours at most."""
    at = moment(now)
    session.execute(
        delete(ConsoleSession).where((ConsoleSession.last_seen < at - IDLE_SECONDS) | (ConsoleSession.created < at - ABSOLUTE_SECONDS))
    )
    secret = secrets.token_urlsafe(32)
    session.add(ConsoleSession(digest=_digest(secret), account_id=account.id, created=at, last_seen=at))
    audit.append(session, account.name, "session.open", account.name, now=now)
    return secret


def session_account(database: CaseworkDatabase, secret: str, *, use: bool = True, now: float | None = None) -> Account | None:
    """Return who a cookie belongs to, or None when it has ended; `use` keeps it alive, written down once a minute."""
    at, digest = moment(now), _digest(secret)
    with database.reading() as session:
        row = session.get(ConsoleSession, digest)
        if row is None or at - row.last_seen > IDLE_SECONDS or at - row.created > ABSOLUTE_SECONDS:
            return None
        account, last_seen = row.account, row.last_seen
    if account.disabled:
        return None
    if use and at - last_seen > _TOUCH_SECONDS:
        with database.session() as session:
            touched = session.get(ConsoleSession, digest)
            if touched is None:
                return None
            touched.last_seen = at
    return account


def end_session(session: Session, secret: str, *, now: float | None = None) -> None:
    """Sign one browser out."""
    row = session.get(ConsoleSession, _digest(secret))
    if row is not None:
        audit.append(session, row.account.name, "session.end", row.account.name, now=now)
        session.delete(row)


def create_token(session: Session, actor: Actor, name: str, role: str, *, now: float | None = None) -> str:
    """Return a new bearer token, shown this once."""
    accounts.check_role(role)
    name = name.strip()
    if not name or len(name) > accounts.NAME_CHARACTERS or not name.isprintable() or ":" in name:
        raise AccountError(f"A token's name has 1 to {accounts.NAME_CHARACTERS} visible characters and no colon.")
    if session.scalar(select(Token).where(Token.name == name)) is not None:
        raise AccountError(f"There is already a token named {name}; choose another name, also when it was revoked.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    session.add(Token(name=name, role=role, digest=_digest(secret), created=moment(now), created_by=actor.written, revoked=None))
    session.flush()
    audit.append(session, actor.written, "token.create", f"token:{name}", {"role": role}, now=now)
    return secret


def token_for(session: Session, secret: str) -> Token | None:
    """Return the token that the secret belongs to, or None when it is unknown or revoked."""
    return session.scalar(select(Token).where(Token.digest == _digest(secret), Token.revoked.is_(None)))


def token_actor(token: Token) -> Actor:
    """Return the token as somebody who acts."""
    return Actor("token", token.name, maker=token.created_by)


def revoke_token(session: Session, actor: Actor, name: str, *, now: float | None = None) -> None:
    """End a token at once."""
    token = session.scalar(select(Token).where(Token.name == name.strip()))
    if token is None or token.revoked is not None:
        raise AccountError(f"There is no token in force named {name}.")
    token.revoked = moment(now)
    audit.append(session, actor.written, "token.revoke", f"token:{token.name}", now=now)


def _digest(secret: str) -> bytes:
    # A plain hash is enough: the secrets are 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
