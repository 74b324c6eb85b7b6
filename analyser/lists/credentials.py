"""Who asks, for publishers that give their lists to members only: read from a file of the technician's, never written down here."""

import base64
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from analyser.lists.errors import SourceError

MOST_BYTES: Final = 16_384
_EXAMPLE = 'write user = "…" and password = "…", or token = "…", or [headers] with "Name" = "…"'


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str = ""
    password: str = ""
    token: str = ""
    headers: dict[str, str] = {}


def headers_of(path: str) -> dict[str, str]:
    """Return the headers that a file of credentials stands for, none for no file; raises `SourceError`, which never quotes it.

    `user` and `password` (RFC 7617), `token` (RFC 6750), or `[headers]` of the publisher's own.
    """
    if not path:
        return {}
    try:
        if Path(path).stat().st_mode & 0o007:
            raise SourceError(f"{path} can be read by every user of this machine; take that away with chmod o= {path}.")
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SourceError(
            f"{path}, the file of credentials, can't be read ({error.strerror}); correct --credentials or its rights."
        ) from error
    try:
        if len(data) > MOST_BYTES:
            raise ValueError
        found = msgspec.convert(tomllib.loads(data.decode()), _File)
        return _headers(found)
    except ValueError:  # of TOML, of msgspec, of a character that no header may hold: their words quote the file
        raise SourceError(f"{path}, the file of credentials, can't be understood: {_EXAMPLE}.") from None


def _headers(found: _File) -> dict[str, str]:
    if sum((bool(found.user or found.password), bool(found.token), bool(found.headers))) != 1 or bool(found.user) != bool(found.password):
        raise ValueError
    if found.user:
        if ":" in found.user:  # RFC 7617, section 2: it would end there
            raise ValueError
        return {"Authorization": "Basic " + base64.b64encode(f"{found.user}:{found.password}".encode()).decode()}
    headers = {"Authorization": f"Bearer {found.token}"} if found.token else found.headers
    for name, value in headers.items():
        if not name.isascii() or not name.replace("-", "").isalnum() or not value.isascii() or not value.isprintable():
            raise ValueError
    return headers
