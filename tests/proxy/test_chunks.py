"""Bodies in chunks: read whole however they arrive, as few pieces as possible, nothing before damage lost."""

import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from proxy.http_sides import WithoutTrailers


def read(reader: WithoutTrailers, buffer: ReceiveBuffer) -> list[h11.Data | h11.EndOfMessage]:
    """Return what the reader makes of the buffer, as mitmproxy asks it: until there is nothing more, or the end."""
    found: list[h11.Data | h11.EndOfMessage] = []
    while (event := reader(buffer)) is not None:
        found.append(event)
        if isinstance(event, h11.EndOfMessage):
            break
    return found


def chunked(pieces: list[bytes]) -> bytes:
    """Return a body in chunks, with a trailer."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nExpires: never\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 60), max_size=12))
def test_a_body_is_the_same_however_its_bytes_arrive(pieces: list[bytes], steps: list[int]) -> None:
    body, reader, buffer = chunked(pieces), WithoutTrailers(), ReceiveBuffer()
    found: list[h11.Data | h11.EndOfMessage] = []
    for step in [*steps, len(body)]:
        buffer += body[:step]
        body = body[step:]
        new = read(reader, buffer)
        assert sum(isinstance(event, h11.Data) for event in new) <= 1
        found += new
        if new and isinstance(new[-1], h11.EndOfMessage):
            break
    *data, end = found
    assert isinstance(end, h11.EndOfMessage)
    assert not end.headers
    assert b"".join(event.data for event in data if isinstance(event, h11.Data)) == b"".join(pieces)


def test_what_stands_behind_a_body_is_left_in_the_buffer() -> None:
    reader, buffer = WithoutTrailers(), ReceiveBuffer()
    buffer += chunked([b"one", b"two"]) + b"HTTP/1.1 200 OK\r\n"
    data, end = read(reader, buffer)
    assert (data.data, type(end)) == (b"onetwo", h11.EndOfMessage)
    assert bytes(buffer) == b"HTTP/1.1 200 OK\r\n"


def test_chunks_before_damage_are_handed_on_and_the_damage_is_an_error_each_time() -> None:
    reader, buffer = WithoutTrailers(), ReceiveBuffer()
    buffer += b"3\r\none\r\n3\r\ntwo\r\nzz\r\n"
    data = reader(buffer)
    assert data is not None
    assert data.data == b"onetwo"
    for _ in range(2):
        with pytest.raises(h11.ProtocolError):
            reader(buffer)


def test_a_body_that_breaks_off_is_an_error() -> None:
    reader, buffer = WithoutTrailers(), ReceiveBuffer()
    buffer += b"3\r\none\r\n5\r\ntw"
    assert read(reader, buffer)
    with pytest.raises(h11.RemoteProtocolError):
        reader.read_eof()
