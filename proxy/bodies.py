"""Reading bodies that rules want to see, within limits: nothing is decoded further than its cap."""

import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from rules.page import SNIFFED, looks_binary

_STEP = 65_536
_NO_CODINGS = frozenset({"none", "binary", "7bit", "8bit", "utf-8", "utf8", "aws-chunked", "amz-1.0"})
"""Names that programs give as a content coding without coding anything."""
_SMALL_STEP = 1024
_BLOCK = 4096
_GZIP_MAGIC = b"\x1f\x8b"
_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError)


class UnreadableError(ValueError):
    """The body's coding is unknown or its bytes are damaged."""


def decode(body: bytes, codings: str, cap: int) -> bytes:
    """Undo the content codings and return at most `cap` bytes; a truncated body gives what it holds.

    Raises `UnreadableError` for a coding that we don't know or bytes that don't follow it.
    """
    for coding in reversed([part.strip().lower() for part in codings.split(",") if part.strip()]):
        decoder = _DECODERS.get(coding)
        if decoder is None:
            raise UnreadableError(f"unknown content coding {coding[:20]}")
        try:
            body = decoder(body, cap)
        except _ERRORS as error:
            raise UnreadableError(f"damaged {coding} body") from error
    return body[:cap]


def readable(body: bytes, codings: str, cap: int) -> bytes:
    """Undo the content codings like a browser that makes the best of it; returns about `cap` bytes at most and never raises.

    A coding that nobody knows counts as none. Of a damaged body comes what it held up to the damage, and then the body
    itself: browsers show the one or the other.
    """
    try:
        return decode(body, codings, cap)
    except UnreadableError:
        pass
    for coding in reversed([part.strip().lower() for part in codings.split(",")]):
        if coding in _DECODERS:
            try:
                body = _DECODERS[coding](body, cap)
            except _ERRORS:
                body = _salvaged(_PIECES[coding], body, cap) + b"\n" + body
    return body[: 2 * cap]


def unreadable(body: bytes, codings: str) -> bool:
    """True for a body in a coding that nobody but its site knows, so that its words can't be read; text under an odd name can be."""
    names = {part.strip().lower() for part in codings.split(",") if part.strip()}
    return not names <= (_DECODERS.keys() | _NO_CODINGS) and looks_binary(body[:SNIFFED])


def _salvaged(pieces: Callable[[bytes], Iterator[bytes]], body: bytes, cap: int) -> bytes:
    """Return what comes out of a damaged body before the damage."""
    found: list[bytes] = []
    size = 0
    try:
        for piece in pieces(body):
            found.append(piece)
            size += len(piece)
            if size >= cap:
                break
    except _ERRORS:
        pass
    return b"".join(found)[:cap]


def _inflated(body: bytes, bits: int) -> Iterator[bytes]:
    """Yield what zlib makes of a damaged stream, in blocks, and byte by byte in the block with the damage."""
    at = 0
    while True:
        stream = zlib.decompressobj(bits)
        while at < len(body) and not stream.eof:
            block = body[at : at + _BLOCK]
            before = stream.copy()
            try:
                yield stream.decompress(block)
            except zlib.error:
                for number in range(len(block)):
                    yield before.decompress(block[number : number + 1])
            at += len(block) - len(stream.unused_data)
        if body[at : at + 2] != _GZIP_MAGIC:
            return


def _gzip_pieces(body: bytes) -> Iterator[bytes]:
    return _inflated(body, zlib.MAX_WBITS | 16)


def _deflate_pieces(body: bytes) -> Iterator[bytes]:
    try:
        zlib.decompressobj().decompress(body[:2])
    except zlib.error:
        return _inflated(body, -zlib.MAX_WBITS)
    return _inflated(body, zlib.MAX_WBITS)


def _brotli_pieces(body: bytes) -> Iterator[bytes]:
    stream = brotli.Decompressor()
    piece = stream.process(body, output_buffer_limit=_SMALL_STEP)
    while piece:
        yield piece
        piece = stream.process(b"", output_buffer_limit=_SMALL_STEP)


def _zstd_pieces(body: bytes) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=2**23).stream_reader(body, read_across_frames=True)
    while piece := reader.read(_SMALL_STEP):
        yield piece


def _same_pieces(body: bytes) -> Iterator[bytes]:
    yield body


def _gzip(body: bytes, cap: int) -> bytes:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    found = stream.decompress(body, cap)
    if not stream.eof or not stream.unused_data.startswith(_GZIP_MAGIC):
        return found
    # Browsers read all members of a gzip file; text after the first one must not hide from us. In blocks, for zlib copies
    # what is left of its input at the end of each member.
    parts, size, at = [found], len(found), len(body) - len(stream.unused_data)
    while size < cap and body[at : at + 2] == _GZIP_MAGIC:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while at < len(body) and size < cap and not stream.eof:
            block = body[at : at + _BLOCK]
            parts.append(stream.decompress(block, cap - size))
            size += len(parts[-1])
            at += len(block) - len(stream.unused_data)
    return b"".join(parts)


def _deflate(body: bytes, cap: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, cap)
    except zlib.error:
        # Many servers send the raw stream under this name (RFC 9110, 8.4.1.2).
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, cap)


def _brotli(body: bytes, cap: int) -> bytes:
    stream = brotli.Decompressor()
    parts = [stream.process(body, output_buffer_limit=min(cap, _STEP))]
    size = len(parts[0])
    while size < cap and not stream.is_finished():
        part = stream.process(b"", output_buffer_limit=min(cap - size, _STEP))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _zstd(body: bytes, cap: int) -> bytes:
    # 8 MB is the window that RFC 9659 allows on the web.
    reader = zstandard.ZstdDecompressor(max_window_size=2**23).stream_reader(body, read_across_frames=True)
    parts: list[bytes] = []
    size = 0
    while size < cap:
        part = reader.read(min(cap - size, _STEP))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _same(body: bytes, cap: int) -> bytes:
    return body[:cap]


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd, "identity": _same,
}  # fmt: skip

_PIECES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip_pieces, "x-gzip": _gzip_pieces, "deflate": _deflate_pieces, "br": _brotli_pieces, "zstd": _zstd_pieces,
    "identity": _same_pieces,
}  # fmt: skip


class Counter:
    """Passes chunks of a streamed body on and counts their bytes."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def __call__(self, chunk: bytes) -> bytes:
        """Count one chunk."""
        self.size += len(chunk)
        return chunk
