"""Is a fetched file the one that its publisher offers? Checksums as `sha256sum` writes them, Ed25519 signatures bare or by minisign."""

import base64
import binascii
import hashlib
import re
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from analyser.lists.errors import FetchError, SourceError

_HEX = re.compile(r"\b[0-9a-fA-F]{32,128}\b")
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}


class PublicKey(NamedTuple):
    """A publisher's key; `number` is minisign's key number, empty for a bare key."""

    key: Ed25519PublicKey
    number: bytes


def public_key(text: str) -> PublicKey:
    """Read a key: 32 bytes in hexadecimal or base64 (RFC 8032), or minisign's 42 bytes; raises `SourceError`."""
    raw = _bytes_of(text)
    if len(raw) == 42 and raw[:2] == b"Ed":
        return PublicKey(Ed25519PublicKey.from_public_bytes(raw[10:]), raw[2:10])
    if len(raw) != 32:
        raise SourceError("The public key is not an Ed25519 key: 32 bytes as hexadecimal or base64, or a minisign key that begins with RW.")
    return PublicKey(Ed25519PublicKey.from_public_bytes(raw), b"")


def check_digest(file: BinaryIO, name: str, listing: str) -> str:
    """Compare a file with the publisher's list of digests; returns the kind of digest, raises `FetchError`.

    The line that ends in the file's name counts, or the only digest there is. Known by length: MD5 finds accidents
    only, SHA-1 and longer ones are named for what they are.
    """
    named, every = [], []
    for line in listing.splitlines():
        for match in _HEX.finditer(line):
            if len(match[0]) in _BY_LENGTH:
                every.append(match[0])
                words = line.replace(match[0], " ").replace("*", " ").replace("(", " ").replace(")", " ").split()
                if any(word.rpartition("/")[2] == name for word in words):
                    named.append(match[0])
    wanted = named or (every if len(set(every)) == 1 else [])
    if not wanted:
        raise FetchError(f"The publisher's file of checksums has none for {name}; correct --checksum, or leave it out.")
    kind = _BY_LENGTH[len(wanted[0])]
    file.seek(0)
    found = hashlib.new(kind, file.read()).hexdigest()
    if found != wanted[0].lower():
        raise FetchError(f"{name} is not the file that its publisher offers: its {kind.upper()} differs; fetch it again later.")
    return kind


def check_signature(file: BinaryIO, signature: bytes, key_text: str) -> None:
    """Check an Ed25519 signature of a file; raises `FetchError`."""
    key = public_key(key_text)
    refusal = FetchError("The list is not signed by its publisher's key, or was changed on the way; it was thrown away.")
    raw = _signature_bytes(signature)
    file.seek(0)
    data = file.read()
    if len(raw) == 74:
        if key.number and raw[2:10] != key.number:
            raise refusal
        if raw[:2] == b"ED":
            data = hashlib.blake2b(data).digest()
        elif raw[:2] != b"Ed":
            raise refusal
        raw = raw[10:]
    try:
        key.key.verify(raw, data)
    except InvalidSignature:
        raise refusal from None


def _signature_bytes(data: bytes) -> bytes:
    """Return 64 bytes of a bare signature or 74 of minisign's; a minisign file has them on its second line."""
    if len(data) in (64, 74):
        return data
    for line in data.decode("ascii", "replace").splitlines():
        raw = _bytes_of(line)
        if len(raw) in (64, 74):
            return raw
    raise FetchError("The publisher's signature can't be read: it is neither 64 bytes of Ed25519 nor a minisign file.")


def _bytes_of(text: str) -> bytes:
    text = text.strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
