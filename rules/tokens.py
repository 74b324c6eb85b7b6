"""Tokens that tie a form on a block page to a block that really happened."""

import base64
import binascii
import hashlib
import hmac

import msgspec

from rules.decision import Action

LIFETIME = 3600.0
"""Seconds for which a block page's form can be sent."""
_CONTEXT = b"schoolgate block token 1\0"


class BlockClaim(msgspec.Struct, frozen=True):
    """What a verified token says."""

    action: Action
    until: float
    """Seconds since the epoch, UTC, at which the token ends."""


def sign(key: bytes, url: str, subject: str, action: Action, now: float) -> str:
    """Return a token for one block of one address for one subject (HMAC-SHA256, base64url).

    `subject` is any text that names who was stopped, for example user or client address; the form's handler has to
    give the same text to `verify`.
    """
    until = int(now + LIFETIME)
    claim = f"{action.value}.{until}"
    return f"{claim}.{_mac(key, claim, url, subject)}"


def verify(key: bytes, token: str, url: str, subject: str, now: float) -> BlockClaim | None:
    """Return what the token claims, or None when it is forged, for another block, or too old."""
    claim, _, mac = token.rpartition(".")
    try:
        expected = _mac(key, claim, url, subject)
        given = mac.encode("ascii")
        name, _, until_text = claim.partition(".")
        action, until = Action(name), int(until_text)
    except (ValueError, UnicodeError, binascii.Error):
        return None
    if not hmac.compare_digest(expected.encode("ascii"), given) or not until - LIFETIME - 60 <= now < until:
        return None
    return BlockClaim(action, float(until))


def _mac(key: bytes, claim: str, url: str, subject: str) -> str:
    parts = (claim, url, subject)
    # Lengths first: no two different triples may read the same.
    message = _CONTEXT + b"".join(len(data).to_bytes(8) + data for data in (part.encode("utf-8", "surrogatepass") for part in parts))
    return base64.urlsafe_b64encode(hmac.new(key, message, hashlib.sha256).digest()).rstrip(b"=").decode("ascii")
