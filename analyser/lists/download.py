"""One download: conditional, bounded in size, time and redirects, whole or not at all."""

import contextlib
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import certifi
import httpx2

from analyser.lists.errors import FetchError
from analyser.lists.sources import check_address
from blocklists.errors import ListError

MOST_BYTES: Final = 512 << 20
"""Packed bytes of one list; what it unpacks to is bounded where it is read."""
SMALL_BYTES: Final = 1 << 20
"""Bytes of a checksum or signature file."""
MOST_SECONDS: Final = 900.0
REDIRECTS: Final = 5
_SILENCE = 30.0
_AGENT = "Schoolgate (school web gateway; fetches lists)"


type Tell = Callable[[int, int | None], None]


class Limits(NamedTuple):
    """How much and how long."""

    bytes: int = MOST_BYTES
    seconds: float = MOST_SECONDS
    redirects: int = REDIRECTS


class Validators(NamedTuple):
    """What the server said of the copy that is kept (RFC 9110, section 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a conditional request."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in found.items() if value}


USUAL: Final = Limits()
UNKNOWN: Final = Validators()


class Downloaded(NamedTuple):
    """A file that came whole."""

    bytes: int
    validators: Validators


def download(
    address: str,
    target: Path,
    validators: Validators = UNKNOWN,
    limits: Limits = USUAL,
    *,
    plain_http: bool = False,
    trusted: Path | None = None,
    tell: Tell | None = None,
) -> Downloaded | None:
    """Fetch an address into a file that does not exist yet; None when the copy with these validators is still the newest.

    The body is kept as it comes: packed files stay packed. `trusted` is a file of further authorities (PEM), as the
    policy's `gateway.trusted_ca`; `tell` hears the bytes so far, and of how many where the server says. Raises
    `FetchError`, and `OSError` where the disk refuses; the file is then gone.
    """
    until = time.monotonic() + limits.seconds
    headers = {"Accept-Encoding": "identity", "User-Agent": _AGENT, **validators.headers}
    try:
        with httpx2.Client(
            timeout=min(_SILENCE, limits.seconds), trust_env=False, follow_redirects=False, verify=_authorities(trusted)
        ) as client:  # fmt: skip
            for _ in range(limits.redirects + 1):
                with client.stream("GET", address, headers=headers) as answer:
                    if answer.status_code in (301, 302, 303, 307, 308):
                        address = _next(address, answer.headers.get("location", ""), plain_http)
                        continue
                    if answer.status_code == 304 and validators.headers:
                        return None
                    return _keep(answer, address, target, limits, until, tell)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchError(f"{address} can't be fetched ({_why(error)}); the list that is there stays.") from error
    raise FetchError(f"{address} is redirected more than {limits.redirects} times; correct the source's address.")


def _next(address: str, location: str, plain_http: bool) -> str:
    if not location:
        raise FetchError(f"{address} is redirected to nowhere; correct the source's address.")
    target = urljoin(address, location)
    try:
        check_address(target, plain_http=plain_http)
        # From the network to this machine: nobody but the technician may point there.
        if urlsplit(target).scheme == "http" and urlsplit(address).scheme == "https":
            raise FetchError(f"{address} is redirected to {target}, which is not encrypted; correct the source's address.")
    except FetchError:
        raise
    except ListError as error:
        raise FetchError(f"{address} is redirected to an address that can't be used: {error}") from error
    return target


def _authorities(trusted: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    if trusted is not None:
        try:
            context.load_verify_locations(trusted)
        except (OSError, ssl.SSLError) as error:
            raise FetchError(f"The certificate authorities in {trusted} can't be read ({error}); correct gateway.trusted_ca.") from error
    return context


def _keep(
    answer: httpx2.Response, address: str, target: Path, limits: Limits, until: float, tell: Tell | None
) -> Downloaded:  # fmt: skip
    if answer.status_code != 200:
        wait = answer.headers.get("retry-after", "")
        again = f" and asks to wait ({wait})" if wait and answer.status_code in (429, 503) else ""
        raise FetchError(f"{address} answers with status {answer.status_code}{again}; the list that is there stays.")
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise FetchError(f"{address} sends the list packed as {encoding}, which nobody asked for; correct the source's address.")
    length = answer.headers.get("content-length")
    if length is None and "chunked" not in answer.headers.get("transfer-encoding", "").lower() and answer.http_version == "HTTP/1.1":
        raise FetchError(f"{address} does not say how long the list is, so that a broken download would go unseen.")
    if length is not None and length.isdecimal() and int(length) > limits.bytes:
        raise FetchError(f"{address} has {int(length):,} bytes; a list may have {limits.bytes:,}.")
    taken = 0
    done = False
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in answer.iter_raw():  # as it comes: waiting for a part of some size would leave the clock unread
                taken += len(part)
                if taken > limits.bytes:
                    raise FetchError(f"{address} sends more than {limits.bytes:,} bytes; it was broken off.")
                if time.monotonic() > until:
                    raise FetchError(f"{address} took longer than {limits.seconds:.0f} s; it was broken off.")
                file.write(part)
                if tell is not None:
                    tell(taken, int(length) if length is not None and length.isdecimal() else None)
            file.flush()
            os.fsync(file.fileno())
        if length is not None and length.isdecimal() and taken != int(length):
            raise FetchError(f"{address} broke off after {taken:,} of {int(length):,} bytes; the list that is there stays.")
        if not taken:
            raise FetchError(f"{address} sent an empty file; the list that is there stays.")
        done = True
    finally:
        if not done:
            with contextlib.suppress(OSError):
                target.unlink()
    return Downloaded(taken, Validators(answer.headers.get("etag"), answer.headers.get("last-modified")))


def _why(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
