"""Encrypted columns and keyed digests: the casework database read without its key tells no name and no search term."""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

KEY_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"schoolgate casework column 1"


class CaseworkKeyError(ValueError):
    """The key does not open the casework database; the message is one sentence for a person."""


class CaseworkKeys:
    """The keys of one casework database, each derived from its one secret (HKDF-SHA256, RFC 5869)."""

    __slots__ = ("_audit", "_cipher", "_digest")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise CaseworkKeyError(
                f"The casework key has {len(secret)} bytes instead of {KEY_BYTES}; restore keys/casework.key from a backup."
            )
        self._cipher = AESGCM(_derive(secret, b"columns"))
        self._digest = _derive(secret, b"digests")
        self._audit = _derive(secret, b"audit")

    def encrypt(self, text: str) -> bytes:
        """Return nonce and AES-256-GCM ciphertext of the text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode("utf-8", "surrogatepass"), _PURPOSE)

    def decrypt(self, stored: bytes) -> str:
        """Return the text; raises CaseworkKeyError when the key is another one or the value was changed."""
        try:
            plain = self._cipher.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], _PURPOSE)
        except (InvalidTag, ValueError) as error:
            raise CaseworkKeyError(
                "A value in the casework database can't be decrypted: the key in keys/casework.key is not the one it was written with."
            ) from error
        return plain.decode("utf-8", "surrogatepass")

    def digest(self, text: str) -> bytes:
        """Return the keyed digest of a name, equal for all its spellings in case and Unicode form."""
        return hashlib.blake2b(folded(text).encode("utf-8", "surrogatepass"), key=self._digest, digest_size=32).digest()

    def chain_digest(self, data: bytes) -> bytes:
        """Return HMAC-SHA256 for the audit chain: nobody without the key can make a chain that verifies."""
        return hmac.digest(self._audit, data, "sha256")


class EncryptedText(TypeDecorator[str]):
    """Text that is encrypted on its way into the database; equal values are stored differently, so search by digest."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Encrypt on the way in."""
        return None if value is None else _keys_of_dialect(dialect).encrypt(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Decrypt on the way out."""
        return None if value is None else _keys_of_dialect(dialect).decrypt(bytes(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | None]:
        """Return what decrypts a stored value; text where bytes should stand was put there by somebody else."""
        del coltype
        keys = _keys_of_dialect(dialect)

        def read(value: Any) -> str | None:
            if value is None:
                return None
            if not isinstance(value, (bytes, bytearray, memoryview)):
                raise CaseworkKeyError("A value in the casework database is not encrypted: it was changed by another program.")
            return keys.decrypt(bytes(value))

        return read


def folded(name: str) -> str:
    """Return the form in which two names are compared: NFKC, case folded, no spaces around."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def keys_of(session: Session) -> CaseworkKeys:
    """Return the keys of the database that the session belongs to."""
    keys = session.info["casework_keys"]
    assert isinstance(keys, CaseworkKeys), "sessions come from CaseworkDatabase"
    return keys


def attach_keys(dialect: Dialect, keys: CaseworkKeys) -> None:
    """Let the encrypted columns of one engine use these keys; each engine has a dialect object of its own."""
    dialect.__dict__["schoolgate_casework_keys"] = keys


def _keys_of_dialect(dialect: Dialect) -> CaseworkKeys:
    keys = dialect.__dict__.get("schoolgate_casework_keys")
    if not isinstance(keys, CaseworkKeys):
        raise CaseworkKeyError("The casework database was opened without its key; open it through CaseworkDatabase.")
    return keys


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"schoolgate casework " + purpose).derive(secret)
