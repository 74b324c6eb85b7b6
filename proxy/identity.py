"""Who is asking: proxy sign-in by name and password, in microseconds after the first time."""

import asyncio
import base64
import binascii
import hashlib
import os
import time
from collections import OrderedDict
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rules.state import ProxyAccount, State

CACHE_ENTRIES = 8192
WRONG_SECONDS = 30.0
"""For so long the same wrong guess is refused without computing it again."""
GUESSES = 10
LOCK_SECONDS = 600.0
"""After ten wrong guesses for one name from one address, no guess from there counts for so long."""
ADDRESS_GUESSES = 40
ADDRESS_SECONDS = 60.0
"""Wrong guesses for whatever names that one address may make in so many seconds; the rest is refused uncomputed."""
LONGEST_HEADER = 1024


class Credentials(NamedTuple):
    """What a `Proxy-Authorization: Basic` header says (RFC 7617)."""

    name: str
    password: str


def parse_basic(header: bytes) -> Credentials | None:
    """Read the header's value; None for anything but well-formed Basic credentials."""
    if len(header) > LONGEST_HEADER or header[:6].lower() != b"basic ":
        return None
    try:
        name, colon, password = base64.b64decode(header[6:].strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(name, password) if colon and name else None


class Identity:
    """Checks credentials against the accounts of the state in force."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        # Never leaves this process, so the cached digests are worth nothing to anybody else.
        self._key = os.urandom(32)
        self._nobody: ProxyAccount | None = None
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._guesses: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._noted: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        self._slots = asyncio.Semaphore(2)

    def known(self, credentials: Credentials, address: str, state: State) -> ProxyAccount | bool | None:
        """Return the account, False for wrong credentials, or None when only `verify` can tell."""
        account = state.accounts.get(credentials.name)
        digest = self._digest(credentials, account)
        if account is not None and digest in self._right:
            return account
        now = time.monotonic()
        if self._wrong.get(digest, 0.0) > now or self._locked(credentials.name, address, now):
            return False
        return None

    async def verify(self, credentials: Credentials, address: str, state: State) -> ProxyAccount | None:
        """Compare with the account's Argon2 hash in a thread; None when wrong or locked out.

        A name without an account costs the same time, so that nobody can tell the names that exist.
        """
        async with self._slots:
            answer = self.known(credentials, address, state)
            if answer is not None:
                return answer if isinstance(answer, ProxyAccount) else None
            account = state.accounts.get(credentials.name)
            digest = self._digest(credentials, account)
            right = await asyncio.to_thread(self._matches, account, credentials.password)
        if right and account is not None:
            _remember(self._right, digest, None)
            self._guesses.pop((credentials.name, address), None)
            return account
        now = time.monotonic()
        _remember(self._wrong, digest, now + WRONG_SECONDS)
        # Lengthened by each guess for a name; the address's own minute runs from its first guess.
        self._count((credentials.name, address), now, LOCK_SECONDS, longer=True)
        self._count(("", address), now, ADDRESS_SECONDS, longer=False)
        return None

    def worth_noting(self, credentials: Credentials | None, address: str) -> bool:
        """Return whether a failed sign-in is another one than those just before: programs repeat theirs with every request."""
        now = time.monotonic()
        # An address that guesses without end gets one more note, not one for each guess.
        guess = b"" if credentials is None else b"*" if self._throttled(address, now) else self._digest(credentials, None)
        key = (address, guess)
        if self._noted.get(key, 0.0) > now:
            return False
        _remember(self._noted, key, now + (WRONG_SECONDS if guess not in (b"", b"*") else LOCK_SECONDS))
        return True

    def _count(self, key: tuple[str, str], now: float, seconds: float, *, longer: bool) -> None:
        count, until = self._guesses.get(key, (0, 0.0))
        current = until > now
        _remember(self._guesses, key, (count + 1 if current else 1, until if current and not longer else now + seconds))

    def _locked(self, name: str, address: str, now: float) -> bool:
        count, until = self._guesses.get((name, address), (0, 0.0))
        return (count >= GUESSES and until > now) or self._throttled(address, now)

    def _throttled(self, address: str, now: float) -> bool:
        count, until = self._guesses.get(("", address), (0, 0.0))
        return count >= ADDRESS_GUESSES and until > now

    def _matches(self, account: ProxyAccount | None, password: str) -> bool:
        if account is None:
            if self._nobody is None:
                self._nobody = ProxyAccount("", self._hasher.hash(os.urandom(16).hex()), "")
            account = self._nobody
        try:
            return self._hasher.verify(account.password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def _digest(self, credentials: Credentials, account: ProxyAccount | None) -> bytes:
        """The account's hash is part of it: a changed password makes the old entry worthless."""
        parts = (credentials.name, account.password_hash if account is not None else "", credentials.password)
        text = b"".join(len(part).to_bytes(4) + part for part in (part.encode("utf-8", "surrogatepass") for part in parts))
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()


def _remember[K, V](store: OrderedDict[K, V], key: K, value: V) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > CACHE_ENTRIES:
        store.popitem(last=False)
