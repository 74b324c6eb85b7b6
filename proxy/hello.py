"""The ClientHello of a TLS connection: the two fields that decide, read without building the rest.

Layout: RFC 8446 section 4.1.2, RFC 6066 section 3 (server name), RFC 7301 section 3.1 (ALPN).
"""

from typing import NamedTuple

RECORD_HEADER = 5
LONGEST_HELLO = 65_536
_SERVER_NAME, _ALPN, _ECH = 0, 16, 0xFE0D


class Hello(NamedTuple):
    """What a client says about where it wants to go."""

    sni: str | None
    alpn: tuple[bytes, ...]
    encrypted: bool = False
    """True when it carries an encrypted ClientHello (or the noise that looks like one)."""

    @property
    def alpn_protocols(self) -> list[bytes]:
        """The offers, under mitmproxy's name for them."""
        return list(self.alpn)


def parse(data: bytes | bytearray) -> Hello | None:
    """Read a ClientHello from the first bytes of a connection; None while bytes are missing.

    Raises `ValueError` for anything that is not a ClientHello, that lies about a length, or that is absurdly long.
    """
    body = _handshake(data)
    if body is None:
        return None
    try:
        return _fields(body)
    except IndexError as error:
        raise ValueError("the ClientHello ends too early") from error


def _handshake(data: bytes | bytearray) -> bytes | None:
    """Join the records of the first handshake message and return its body."""
    message, offset = bytearray(), 0
    while True:
        if len(message) >= 4:
            length = int.from_bytes(message[1:4])
            if message[0] != 1 or length > LONGEST_HELLO:
                raise ValueError("the first message is not a ClientHello")
            if len(message) >= length + 4:
                return bytes(message[4 : length + 4])
        if len(data) < offset + RECORD_HEADER:
            return None
        size = int.from_bytes(data[offset + 3 : offset + 5])
        if data[offset] != 0x16 or data[offset + 1] != 3 or not size:
            raise ValueError("the connection does not start with TLS")
        if len(data) < offset + RECORD_HEADER + size:
            if offset + size > 2 * LONGEST_HELLO:
                raise ValueError("the ClientHello is too long")
            return None
        message += data[offset + RECORD_HEADER : offset + RECORD_HEADER + size]
        offset += RECORD_HEADER + size


def _fields(body: bytes) -> Hello:
    at = 34  # legacy version and random
    at += 1 + body[at]  # session id
    at += 2 + _number(body, at)  # cipher suites
    at += 1 + body[at]  # compression methods
    sni: str | None = None
    alpn: tuple[bytes, ...] = ()
    encrypted = False
    if at >= len(body):
        return Hello(None, ())
    end = at + 2 + _number(body, at)
    if end > len(body):
        raise ValueError("the ClientHello's extensions end outside of it")
    at += 2
    while at + 4 <= end:
        kind, size = _number(body, at), _number(body, at + 2)
        value = body[at + 4 : at + 4 + size]
        if at + 4 + size > end:
            raise ValueError("an extension of the ClientHello ends outside of it")
        if kind == _SERVER_NAME:
            if sni is not None:
                # Passed on unread, it would be the site's choice which of the two counts (RFC 8446, 4.2: one of each kind).
                raise ValueError("the ClientHello names its server twice")
            sni = _server_name(value)
        elif kind == _ALPN:
            alpn = _protocols(value)
        elif kind == _ECH:
            encrypted = True
        at += 4 + size
    return Hello(sni, alpn, encrypted)


def _server_name(value: bytes) -> str | None:
    found, at = None, 2
    while at + 3 <= len(value):
        kind, size = value[at], _number(value, at + 1)
        name = value[at + 3 : at + 3 + size]
        if kind == 0:
            if len(name) != size or not name or b"\0" in name or found is not None:
                raise ValueError("the server name of the ClientHello is damaged")
            # Names are ASCII on the wire (RFC 6066); anything else is not a host that we could judge.
            found = name.decode("ascii")
        at += 3 + size
    return found


def _protocols(value: bytes) -> tuple[bytes, ...]:
    found, at = [], 2
    while at < len(value):
        size = value[at]
        found.append(value[at + 1 : at + 1 + size])
        at += 1 + size
    return tuple(found)


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
