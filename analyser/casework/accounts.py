"""Accounts: people who sign in to the console, to the gateway, or to both; no password exists that a person did not choose."""

import functools
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from analyser.casework import audit
from analyser.casework.clock import moment
from analyser.casework.columns import folded, keys_of
from analyser.casework.database import CaseworkDatabase
from analyser.casework.models import Account, ConsoleSession
from analyser.casework.people import ROLES, Actor
from rules.state import ProxyAccount

WRONG_GUESSES: Final = 10
LOCK_SECONDS: Final = 15 * 60
NAME_CHARACTERS: Final = 100
CONSOLE_PASSWORD: Final = 12
GATEWAY_PASSWORD: Final = 6
PASSWORD_CHARACTERS: Final = 1000
hasher = PasswordHasher()  # argon2id with the library's defaults: RFC 9106, low-memory profile


class AccountError(ValueError):
    """What was asked of an account can't be done; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Answer to a name and password: the account, or why not."""

    account: Account | None
    sentence: str = ""
    locked_until: float | None = None


def add(
    session: Session, actor: Actor, name: str, *, role: str | None = None, group: str | None = None, now: float | None = None
) -> Account:
    """Create an account without a password; it needs a console role, a gateway group, or both."""
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable() or ":" in name:
        raise AccountError(f"An account's name has 1 to {NAME_CHARACTERS} visible characters and no colon.")
    check_role(role)
    if role is None and not group:
        raise AccountError("An account needs a role for the console or a group for the gateway.")
    if find(session, name) is not None:
        raise AccountError(f"There is already an account named {name}; choose another name.")
    account = Account(
        name=name, name_key=keys_of(session).digest(name), role=role, group=group, disabled=False, wrong_guesses=0, created=moment(now)
    )  # fmt: skip
    session.add(account)
    session.flush()
    audit.append(session, actor.written, "account.add", name, {"role": role, "group": group}, now=now)
    return account


def check_role(role: str | None) -> None:
    """Raise AccountError for a role that does not exist."""
    if role is not None and role not in ROLES:
        raise AccountError(f"There is no role {role!r}; choose one of {', '.join(ROLES)}.")


def find(session: Session, name: str) -> Account | None:
    """Return the account of that name, whatever its case, or None."""
    return session.scalar(select(Account).where(Account.name_key == keys_of(session).digest(name)))


def every(session: Session) -> list[Account]:
    """Return all accounts, by name."""
    return sorted(session.scalars(select(Account)), key=lambda account: folded(account.name))


def any_administrator(session: Session) -> bool:
    """True when an administrator can sign in: exists, is enabled and has a password."""
    found = select(Account.id).where(Account.role == "administrator", Account.disabled.is_(False), Account.password_hash.is_not(None))
    return session.scalar(found.limit(1)) is not None


def change(
    session: Session, actor: Actor, account: Account, *, role: str | None, group: str | None, disabled: bool, now: float | None = None
) -> None:
    """Set role, group and whether it is disabled; open console sessions end, so that a lost right is lost at once."""
    check_role(role)
    if role is None and not group:
        raise AccountError("An account needs a role for the console or a group for the gateway.")
    account.role, account.group, account.disabled = role, group, disabled
    end_sessions(session, account)
    audit.append(session, actor.written, "account.change", account.name, {"role": role, "group": group, "disabled": disabled}, now=now)


def check_password(password: str, account: Account) -> None:
    """Raise AccountError for a password that is too short, too long or the name itself (length over complexity: NCSC)."""
    least = CONSOLE_PASSWORD if account.role is not None else GATEWAY_PASSWORD
    if not least <= len(password) <= PASSWORD_CHARACTERS:
        raise AccountError(
            f"A password has at least {least} and at most {PASSWORD_CHARACTERS} characters; three random words make a good one."
        )
    if folded(password) == folded(account.name) or len(set(password)) < 4:
        raise AccountError("That password is too easy to guess; three random words make a good one.")


def hashed(password: str) -> str:
    """Return the encoded Argon2 hash of a password: about 50 ms, so outside any transaction."""
    return hasher.hash(password)


def set_password(
    session: Session, actor: Actor, account: Account, password: str, *, prepared: str | None = None, now: float | None = None
) -> None:
    """Set a password; every console session of the account ends and a lock is lifted. `prepared` is `hashed(password)`."""
    check_password(password, account)
    account.password_hash = prepared or hashed(password)
    account.wrong_guesses, account.locked_until = 0, None
    end_sessions(session, account)
    audit.append(session, actor.written, "account.password", account.name, now=now)


def end_sessions(session: Session, account: Account) -> None:
    """Sign the account out of every browser."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.account_id == account.id))


def sign_in(database: CaseworkDatabase, name: str, password: str, *, now: float | None = None) -> SignIn:
    """Check a name and password; ten wrong guesses lock the account for 15 minutes.

    Each guess is counted before it is checked, so that guesses sent at the same moment can't pass the limit. The
    hash is computed outside any transaction (about 50 ms), also for a name that does not exist.
    """
    at = moment(now)
    wrong = SignIn(None, "The name or the password is wrong.")
    with database.session() as session:
        account = find(session, name)
        if account is not None and account.locked_until is not None and account.locked_until <= at:
            account.locked_until, account.wrong_guesses = None, 0
        locked = account is not None and account.wrong_guesses >= WRONG_GUESSES
        if account is not None and not locked:
            account.wrong_guesses += 1
        elif account is not None and account.locked_until is None:
            # The console was killed between the tenth guess and its answer: such a lock has to end, too.
            account.locked_until = at + LOCK_SECONDS
        stored = account.password_hash if account is not None and not account.disabled else None
        until = account.locked_until if account is not None else None
    matches = verify_hash(stored or _no_password(), password) and stored is not None
    if locked:
        return SignIn(None, "Too many wrong passwords for this account; it opens again after 15 minutes.", until or at + LOCK_SECONDS)
    if account is None:
        return wrong
    better = hashed(password) if matches and stored is not None and hasher.check_needs_rehash(stored) else None
    with database.session() as session:
        account = session.get_one(Account, account.id)
        if matches and account.password_hash == stored:
            account.wrong_guesses, account.locked_until = 0, None
            if better is not None:
                account.password_hash = better
            return SignIn(account)
        if account.wrong_guesses >= WRONG_GUESSES and account.locked_until is None:
            account.locked_until = at + LOCK_SECONDS
            audit.append(session, "gateway", "account.lock", account.name, {"until": account.locked_until}, now=now)
    return wrong


def verify_hash(stored: str, password: str) -> bool:
    """True when the password belongs to the encoded Argon2 hash."""
    try:
        return hasher.verify(stored, password)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError):
        return False


def proxy_accounts(session: Session) -> tuple[ProxyAccount, ...]:
    """Return who may sign in at the gateway, as its workers need it."""
    rows = session.scalars(
        select(Account).where(Account.group.is_not(None), Account.password_hash.is_not(None), Account.disabled.is_(False))
    )
    people = (ProxyAccount(row.name, row.password_hash, row.group) for row in rows if row.password_hash and row.group)
    return tuple(sorted(people, key=lambda account: account.name))


@functools.cache
def _no_password() -> str:
    """A hash that no password matches, so that an unknown name takes as long as a wrong password."""
    return hasher.hash("a password that nobody has \x00")
