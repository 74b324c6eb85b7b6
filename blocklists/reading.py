"""Lines of list files as they come: any line end, encoding, BOM or size, in bounded memory."""

import codecs
import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blocklists.errors import ListError

MAX_LINE = 8_192
"""Longest line in characters; no address that a browser opens from a list is longer."""
MAX_BYTES = 1 << 30
"""Most bytes of one list after decompression: about 50 million domains."""
MAX_EXTENDED = 1 << 16
_CHUNK = 1 << 18
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Line(NamedTuple):
    """One line without its end; `fault` says why its text can't be used."""

    number: int
    text: str
    fault: str | None = None


class CarefulTarInfo(tarfile.TarInfo):
    """A member of an archive whose extended headers stay small: `tarfile` reads them as a whole, however long they say they are."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED and self.size > MAX_EXTENDED:
            raise tarfile.ReadError(f"an extended header is longer than {MAX_EXTENDED:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


def open_archive(path: Path) -> tarfile.TarFile:
    """Open a tar archive, packed or not, as a stream; raises `tarfile.TarError` and `OSError` for anything else."""
    try:
        return tarfile.open(path, "r|*", tarinfo=CarefulTarInfo)
    except TypeError as error:  # what `tarfile` makes of a gzip header that stops half-way
        raise tarfile.ReadError("the file stops inside its header") from error


_WATCH: ContextVar[Callable[[int], None] | None] = ContextVar("watch", default=None)


@contextmanager
def watched(tell: Callable[[int], None]) -> Iterator[None]:
    """Tell how many bytes of lists are read, unpacked, part by part, for the length of a block."""
    token = _WATCH.set(tell)
    try:
        yield
    finally:
        _WATCH.reset(token)


def is_archive(path: Path) -> bool:
    """True for a tar archive, packed or not."""
    try:
        open_archive(path).close()
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError):
        return False
    return True


class Source:
    """A file that is hashed, decompressed and counted while it is read."""

    def __init__(self, stream: BinaryIO, name: str, limit: int = MAX_BYTES) -> None:
        self.name = name
        self._limit = limit
        self._taken = 0
        self._given_back = b""
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
        try:
            packed = buffered.peek(2)[:2] == b"\x1f\x8b"
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise ListError(f"{name} can't be read to its end ({error}); fetch it again.") from error
        self._stream: BinaryIO = gzip.GzipFile(fileobj=buffered) if packed else buffered  # type: ignore[assignment]

    @property
    def left(self) -> int:
        """Bytes that may still be read."""
        return self._limit - self._taken

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; raises `ListError` for damage and for more bytes than a list may have."""
        if self._given_back:
            data, self._given_back = self._given_back, b""
            return data
        try:
            data = self._stream.read(size)
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise ListError(f"{self.name} can't be read to its end ({error}); fetch it again.") from error
        self._taken += len(data)
        if (tell := _WATCH.get()) is not None:
            tell(len(data))
        if self._taken > self._limit:
            raise ListError(f"{self.name} holds more than {self._limit:,} bytes when unpacked; split it.")
        return data

    def give_back(self, data: bytes) -> None:
        """Let the next `read` return these bytes, however many."""
        self._given_back = data + self._given_back


def read_lines(source: Source, before: int = 0) -> Iterator[Line]:
    """Yield the lines of a text file: UTF-8, UTF-16 with or without BOM, or Latin-1 where a part is not UTF-8.

    `before` lines stood ahead of what is left to read.
    """
    decode, rest = _decoder(source)
    number = before
    skipping = False
    while True:
        data = source.read(_CHUNK)
        text = rest + decode(data, not data)
        if not data and not text:
            break
        text = text.replace("\r\n", "\n")
        # A "\r" at the very end may be half of a "\r\n": it waits for the next part.
        cut = text.rfind("\n") + 1 if data else len(text)
        if not cut and "\r" in text[:-1]:
            cut = text.rfind("\r", 0, -1) + 1
        lines, rest = text[:cut], text[cut:]
        if "\r" in lines:
            lines = lines.replace("\r", "\n")
        for line in lines.removesuffix("\n").split("\n") if lines else ():
            number += 1
            if skipping or len(line) > MAX_LINE:
                yield Line(number, line[:80], f"the line is longer than {MAX_LINE:,} characters")
                skipping = False
            elif "\0" in line:
                yield Line(number, line[:80], "the line holds NUL bytes")
            else:
                yield Line(number, line)
        if len(rest) > MAX_LINE:
            rest, skipping = rest[:80], True
        if not data:
            break


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files in the order of their names."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    for file in files:
        if file != path:
            digest.update(f"{file.relative_to(path)}\0".encode(errors="surrogateescape"))
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest() if file != path else b"")
            if file == path:
                return hashlib.file_digest(stream, "sha256").hexdigest()
    return digest.hexdigest()


class _Utf8OrLatin1:
    """Decode UTF-8, and line by line as Latin-1 what is not."""

    def __init__(self) -> None:
        self._held = b""

    def __call__(self, data: bytes, final: bool) -> str:
        data = self._held + data
        # Cut at a line end, so that no character is split between two parts.
        cut = len(data) if final or len(data) > 4 * _CHUNK else data.rfind(b"\n") + 1
        self._held, data = data[cut:], data[:cut]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "".join(map(decode_line, data.splitlines(keepends=True)))


def decode_line(line: bytes) -> str:
    """Return a line's text: UTF-8, or Latin-1 where it is not."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _decoder(source: Source) -> tuple[Callable[[bytes, bool], str], str]:
    """Return what decodes the parts of this file (the second argument: the last part), and its first text."""
    head = source.read(4096)
    bom, encoding = _encoding(head)
    head = head[len(bom) :]
    decode = codecs.getincrementaldecoder(encoding)("replace").decode if encoding else _Utf8OrLatin1()
    return decode, decode(head, False)


def is_utf16(head: bytes) -> bool:
    """True for the beginning of a file in UTF-16, with or without BOM."""
    return bool(_encoding(head)[1])


def _encoding(head: bytes) -> tuple[bytes, str]:
    marks = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
    return next((mark for mark in marks if head.startswith(mark[0])), (b"", _guessed_utf16(head[: len(head) // 2 * 2])))


def _guessed_utf16(head: bytes) -> str:
    """Name UTF-16 without BOM by its NUL bytes: ASCII text has one in every second place."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 4 and odd > len(head) * 0.4 and even == 0:
        return "utf-16-le"
    if len(head) >= 4 and even > len(head) * 0.4 and odd == 0:
        return "utf-16-be"
    return ""
