"""Undoing the content codings of an answer while it arrives, without ever holding all of it."""

import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from proxy.bodies import UnreadableError

_SLICE = 512
"""Bytes taken at a time, so that a compressed nothing can't unfold into more than some megabytes at once."""
_TRUSTED_BYTES = 16 * 2**20
_MOST_TIMES = 200
"""Beyond the first megabytes, an answer that unfolds to more than so many times its size is refused as a bomb."""
_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError)

type _Stage = Callable[[bytes], bytes]


class Unpacker:
    """Content codings of one streamed answer; raises `UnreadableError` for bytes that don't follow them."""

    def __init__(self, codings: str) -> None:
        """Unknown codings count as none, as browsers have it."""
        names = [part.strip().lower() for part in codings.split(",")]
        self._stages = [_STAGES[name]() for name in reversed(names) if name in _STAGES]
        self._taken = self._given = 0

    @property
    def active(self) -> bool:
        """True when the answer is coded at all."""
        return bool(self._stages)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what some bytes of the answer unfold to, piece by piece."""
        if not self._stages:
            yield data
            return
        for start in range(0, len(data), _SLICE):
            plain = data[start : start + _SLICE]
            self._taken += len(plain)
            try:
                for stage in self._stages:
                    plain = stage(plain)
            except _ERRORS as error:
                raise UnreadableError("damaged coding") from error
            self._given += len(plain)
            if self._given > _TRUSTED_BYTES and self._given > _MOST_TIMES * self._taken:
                raise UnreadableError("unfolds without end")
            if plain:
                yield plain


class _Zlib:
    """Gzip with all of its members, or deflate with and without its header (RFC 9110, 8.4.1.2)."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._stream = zlib.decompressobj(bits)
        self._begun = False

    def __call__(self, data: bytes) -> bytes:
        found = b""
        while data:
            try:
                found += self._stream.decompress(data)
            except zlib.error:
                if self._begun or self._bits != zlib.MAX_WBITS:
                    raise
                self._bits = -zlib.MAX_WBITS
                self._stream = zlib.decompressobj(self._bits)
                continue
            self._begun = True
            if not self._stream.eof:
                break
            data = self._stream.unused_data
            if data[:1] != b"\x1f":
                break
            self._stream = zlib.decompressobj(self._bits)
        return found


def _gzip() -> _Stage:
    return _Zlib(zlib.MAX_WBITS | 16)


def _deflate() -> _Stage:
    return _Zlib(zlib.MAX_WBITS)


def _brotli() -> _Stage:
    stream = brotli.Decompressor()

    def unpack(data: bytes) -> bytes:
        return bytes(stream.process(data))

    return unpack


class _Zstd:
    """Zstandard frames, one after another; 8 MB is the window that RFC 9659 allows on the web."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=2**23)
        self._stream = self._context.decompressobj()

    def __call__(self, data: bytes) -> bytes:
        found = b""
        while data:
            found += self._stream.decompress(data)
            if not self._stream.eof:
                break
            data = self._stream.unused_data
            self._stream = self._context.decompressobj()
        return found


_STAGES: dict[str, Callable[[], _Stage]] = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _Zstd}
