"""Who stands behind a request that the gateway forwards to its own public pages."""

import base64
import binascii
import hashlib
import hmac
import time

import msgspec
from starlette.requests import Request

from analyser.casework.people import Actor
from api.console import console_of
from api.hosts import Door

HEADER = "X-Schoolgate-Subject"
FRESH_SECONDS = 60.0


class ForwardedSubject(msgspec.Struct, frozen=True):
    """The subject as a worker signed it."""

    address: str
    time: float
    user: str | None = None
    group: str | None = None
    room: str | None = None
    source: str | None = None
    gateway: str | None = None
    """Address at which the client reached the gateway."""

    @property
    def name(self) -> str:
        """What block tokens are bound to: the user, or the device's address when nobody is named."""
        return self.user or self.address

    @property
    def actor(self) -> Actor:
        """The subject as somebody who acts."""
        return Actor("user", self.user) if self.user else Actor("address", self.address)


def subject_of(request: Request) -> ForwardedSubject | None:
    """Return the subject of a request that came through the gateway, or None when it did not."""
    if request.state.door is not Door.OWN_HOST:
        return None
    return read_subject(request.headers.get(HEADER, ""), console_of(request).settings.gateway_key, time.time())


def read_subject(header: str, key: bytes, now: float) -> ForwardedSubject | None:
    """Verify `<base64url JSON>.<hex HMAC-SHA256 of that text>`; None when forged, malformed or older than a minute."""
    payload, dot, mac = header.partition(".")
    expected = hmac.new(key, payload.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    if not dot or not hmac.compare_digest(expected.encode(), mac.encode("utf-8", "surrogatepass")):
        return None
    try:
        subject = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=ForwardedSubject)
    except (binascii.Error, ValueError):
        return None
    return subject if abs(now - subject.time) <= FRESH_SECONDS else None
