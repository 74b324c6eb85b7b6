"""Lists of digests: SHA-256 of Safe Browsing expressions, whole or the first bytes of them.

Source: developers.google.com/safe-browsing/v4/urls-hashing. An expression is host suffix and path prefix.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Entry, Item, Refused
from blocklists.formats.interface import Format, Options, content, lines_of
from blocklists.reading import Line

SHORTEST = 8
"""Bytes of a prefix that may block by itself: shorter ones mean "ask the publisher for the whole digest"."""
_DIGEST = re.compile("[0-9a-fA-F]{64}")
_HEX = re.compile("(?:[0-9a-fA-F]{2}){4,32}")
_SEPARATORS = re.compile(r"[\s,;:]+")


def read_sha256(lines: Iterable[Line]) -> Iterator[Item]:
    """Read SHA-256 digests of Safe Browsing expressions, 64 hexadecimal digits, first on their line."""
    for line in lines:
        text = content(line.text).partition(",")[0].strip().strip('"')
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text and _DIGEST.fullmatch(text):
            yield Entry(line.number, "hash", text.lower())
        elif text:
            yield Refused(line.number, text, "this is not a SHA-256 digest of 64 hexadecimal digits")


def read_prefixes(lines: Iterable[Line]) -> Iterator[Item]:
    """Read digests or their first bytes, 4 to 32, in hexadecimal digits or base64, first on their line."""
    for line in lines:
        words = _SEPARATORS.split(content(line.text).strip("\"' "), maxsplit=1)
        text = words[0].strip("\"'")
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif text:
            digest = _prefix_of(text)
            if digest is None:
                yield Refused(line.number, text, "this is no digest of 4 to 32 bytes in hexadecimal digits or base64")
            elif len(digest) < SHORTEST:
                yield Refused(
                    line.number, text, f"a prefix of {len(digest)} bytes would block innocent addresses; {SHORTEST} are the least"
                )
            else:
                yield Entry(line.number, "hash", digest.hex())


def _prefix_of(text: str) -> bytes | None:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if 4 <= len(digest) <= 32 else None


def _read_sha256(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_sha256(lines_of(path))


def _read_prefixes(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_prefixes(lines_of(path))


SHA256 = Format("sha256", "SHA-256 digests of Safe Browsing expressions", _read_sha256, text_only=False)
SAFEBROWSING = Format("safebrowsing", "digests and prefixes of digests, as Safe Browsing has them", _read_prefixes, text_only=False)
