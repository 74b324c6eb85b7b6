"""A compiled file, open: its header is checked, its keys and values are mapped (`blocklists.layout` says what stands where)."""

import mmap
from pathlib import Path
from typing import Self

import msgspec
import xxhash

from blocklists.errors import IndexDamagedError
from blocklists.layout import HEADER, MAGIC, READABLE, Meta, body_offset

_STEP = 1 << 20


class MappedTable:
    """The keys and values of a compiled file, shared with all processes that map it."""

    def __init__(self, buffer: mmap.mmap | bytes, name: str) -> None:
        """Read the header of a whole file; raises `IndexDamagedError`. `name` is its path, for messages and `verify`."""
        self._buffer = buffer
        self._name = name
        if len(buffer) < HEADER.size:
            raise IndexDamagedError(f"{name} is too short for a compiled list; compile the lists again.")
        magic, version, meta_bytes, self.homes, slots, self.count, self._body_hash, header_hash = HEADER.unpack_from(buffer)
        if magic != MAGIC or version not in READABLE:
            raise IndexDamagedError(f"{name} is not a compiled list of this version; compile the lists again.")
        meta = bytes(buffer[HEADER.size : HEADER.size + meta_bytes])
        if xxhash.xxh3_64_intdigest(bytes(buffer[: HEADER.size - 8]) + meta) != header_hash:
            raise IndexDamagedError(f"{name} is damaged: its header does not match its checksum; compile the lists again.")
        try:
            self.meta = msgspec.json.decode(meta, type=Meta)
        except msgspec.MsgspecError as error:
            raise IndexDamagedError(f"{name} is damaged: its header can't be read; compile the lists again.") from error
        self._body = body_offset(meta_bytes)
        if len(buffer) != self._body + slots * 12:
            raise IndexDamagedError(f"{name} is cut short or too long; compile the lists again.")
        view = memoryview(buffer)
        self.keys = view[self._body : self._body + slots * 8].cast("Q")
        self.values = view[self._body + slots * 8 :].cast("I")
        self._views = (self.keys, self.values, view)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file; raises `IndexDamagedError` for any whose header or size `compile` did not write as it is."""
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise IndexDamagedError(f"{path} can't be opened ({error}); compile the lists again.") from error
        return cls(mapped, str(path))

    def verify(self) -> None:
        """Compare keys and values with their checksum; raises `IndexDamagedError`. About 0.05 s for 160 MB."""
        if self._digest() != self._body_hash:
            raise IndexDamagedError(f"{self._name} is damaged: its entries do not match their checksum; compile the lists again.")

    def check(self) -> None:
        """Raise `IndexDamagedError` when the file has another size than it had: to read behind its end would end the process."""
        if isinstance(self._buffer, mmap.mmap) and self._buffer.size() != len(self._buffer):
            raise IndexDamagedError(f"{self._name} was cut short or written over while it was in use; compile the lists again.")

    def close(self) -> None:
        """Unmap the file."""
        for view in self._views:
            view.release()
        if isinstance(self._buffer, mmap.mmap):
            self._buffer.close()

    def _digest(self) -> bytes:
        digest = xxhash.xxh3_128()
        if isinstance(self._buffer, bytes):
            digest.update(self._buffer[self._body :])
            return digest.digest()
        # Read, not mapped: pages touched through the map would count as this worker's memory.
        part = memoryview(bytearray(_STEP))
        try:
            with Path(self._name).open("rb", buffering=0) as file:
                file.seek(self._body)
                while size := file.readinto(part):
                    digest.update(part[:size])
        except OSError as error:
            raise IndexDamagedError(f"{self._name} can't be read ({error}); compile the lists again.") from error
        return digest.digest()
