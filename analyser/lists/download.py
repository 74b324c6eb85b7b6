"""One download: conditional, bounded in size, time and redirects, whole or not at all."""

import contextlib
import io
import os
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, NamedTuple
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


class Way(NamedTuple):
    """How a publisher is asked."""

    limits: Limits = Limits()
    plain_http: bool = False
    """True where somebody said that http without TLS will do."""
    trusted: Path | None = None
    """A file of further authorities (PEM), as the policy's `gateway.trusted_ca`."""
    tell: Tell | None = None
    """Hears the bytes so far, and of how many where the server says."""
    credentials: Mapping[str, str] = MappingProxyType({})
    """Headers that say who asks; sent to the server of the address and to no other."""


USUAL: Final = Limits()
UNKNOWN: Final = Validators()


class Downloaded(NamedTuple):
    """A file that came whole."""

    bytes: int
    validators: Validators


def download(address: str, target: Path, validators: Validators, way: Way) -> Downloaded | None:
    """Fetch an address into a file that does not exist yet; None when the copy with these validators is still the newest.

    The body is kept as it comes: packed files stay packed. Raises `FetchError`, and `OSError` where the disk refuses; the
    file is then gone.
    """
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    found = None
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = download_into(file, address, validators, way)
            file.flush()
            os.fsync(file.fileno())
            return found
    except BaseException:
        found = None
        raise
    finally:
        if found is None:
            with contextlib.suppress(OSError):
                target.unlink()


def download_small(address: str, way: Way) -> bytes:
    """Fetch a small file, such as a signature, into memory; raises `FetchError`."""
    body = io.BytesIO()
    download_into(body, address, UNKNOWN, way._replace(limits=way.limits._replace(bytes=SMALL_BYTES), tell=None))
    return body.getvalue()


def download_into(file: BinaryIO, address: str, validators: Validators, way: Way) -> Downloaded | None:
    """Write what an address holds into a file; None when the copy with these validators is still the newest.

    Raises `FetchError`; part of the body may then be written. No message holds a word of the body.
    """
    until = time.monotonic() + way.limits.seconds
    headers = {"Accept-Encoding": "identity", "User-Agent": _AGENT, **validators.headers}
    asked, shown = address, address
    try:
        with httpx2.Client(
            timeout=min(_SILENCE, way.limits.seconds), trust_env=False, follow_redirects=False, verify=_authorities(way.trusted)
        ) as client:  # fmt: skip
            for _ in range(way.limits.redirects + 1):
                own = way.credentials if same_server(address, asked) else {}
                with client.stream("GET", address, headers=headers | dict(own)) as answer:
                    if answer.status_code in (301, 302, 303, 307, 308):
                        address = _next(address, answer.headers.get("location", ""), way.plain_http)
                        shown = _without_query(address)
                        continue
                    if answer.status_code == 304 and validators.headers:
                        return None
                    return _keep(answer, shown, file, way, until)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise FetchError(f"{shown} can't be fetched ({_why(error)}); the list that is there stays.") from error
    raise FetchError(f"{shown} is redirected more than {way.limits.redirects} times; correct the source's address.")


def same_server(first: str, second: str) -> bool:
    """True for two addresses of one scheme, host and port."""
    one, other = urlsplit(first), urlsplit(second)
    return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)


def _without_query(address: str) -> str:
    """Return an address as reports may show it: where a publisher leads us, a signature may stand in the query that opens its list."""
    return address.partition("?")[0]


def _next(address: str, location: str, plain_http: bool) -> str:
    shown = _without_query(address)
    if not location:
        raise FetchError(f"{shown} is redirected to nowhere; correct the source's address.")
    target = urljoin(address, location)
    leads = _without_query(target)
    try:
        check_address(leads, plain_http=plain_http)
    except ListError as error:
        raise FetchError(f"{shown} is redirected to an address that can't be used: {error}") from error
    # From the network to this machine: nobody but the technician may point there.
    if urlsplit(target).scheme == "http" and urlsplit(address).scheme == "https":
        raise FetchError(f"{shown} is redirected to {leads}, which is not encrypted; correct the source's address.")
    return target


def _authorities(trusted: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    if trusted is not None:
        try:
            context.load_verify_locations(trusted)
        except (OSError, ssl.SSLError) as error:
            raise FetchError(f"The certificate authorities in {trusted} can't be read ({error}); correct gateway.trusted_ca.") from error
    return context


def _keep(answer: httpx2.Response, address: str, file: BinaryIO, way: Way, until: float) -> Downloaded:
    limits = way.limits
    if answer.status_code in (401, 403):
        raise FetchError(f"{address} answers with status {answer.status_code}: it does not know who asks; see to --credentials.")
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
    for part in answer.iter_raw():  # as it comes: waiting for a part of some size would leave the clock unread
        taken += len(part)
        if taken > limits.bytes:
            raise FetchError(f"{address} sends more than {limits.bytes:,} bytes; it was broken off.")
        if time.monotonic() > until:
            raise FetchError(f"{address} took longer than {limits.seconds:.0f} s; it was broken off.")
        file.write(part)
        if way.tell is not None:
            way.tell(taken, int(length) if length is not None and length.isdecimal() else None)
    if length is not None and length.isdecimal() and taken != int(length):
        raise FetchError(f"{address} broke off after {taken:,} of {int(length):,} bytes; the list that is there stays.")
    if not taken:
        raise FetchError(f"{address} sent an empty file; the list that is there stays.")
    return Downloaded(taken, Validators(answer.headers.get("etag"), answer.headers.get("last-modified")))


def _why(error: Exception) -> str:
    if isinstance(error, httpx2.RemoteProtocolError) and error.args and "b'" in str(error):
        return "its answer is not HTTP"  # the library quotes what came, which may be a piece of a sealed list
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
