"""Readiness, in systemd's protocol: a process sends `READY=1` to the socket that $NOTIFY_SOCKET names.

The same message serves our own supervisor and systemd, so a part does not know which of them started it
(protocol: sd_notify(3)).
"""

import asyncio
import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import Self

VARIABLE = "NOTIFY_SOCKET"
FIRST_START = "SCHOOLGATE_FIRST_START"
"""Set to 1 for the console's first start by the supervisor: it makes the link for the first administrator and sends it with READY."""
LINK = "X_SCHOOLGATE_LINK"
"""Name of the line of a message that holds that link."""
_CREDENTIALS = struct.Struct("3i")
_LONGEST_PATH = 100
"""A Unix socket's path holds 108 bytes with its terminator; a little less, to be safe."""


def tell(message: str) -> bool:
    """Send one message to whoever started this process; returns False when nobody listens."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.connect(address)
            out.sendall(message.encode())
    except OSError:
        return False
    return True


class NotifySocket:
    """Hears what the supervisor's children say, and which process said it (the kernel vouches for the number)."""

    def __init__(self, path: Path) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if len(os.fsencode(path)) > _LONGEST_PATH:
            self._folder = tempfile.TemporaryDirectory(prefix="schoolgate-")
            path = Path(self._folder.name) / "notify.sock"
        path.unlink(missing_ok=True)
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))
        path.chmod(0o600)

    async def heard(self) -> tuple[int, dict[str, str]]:
        """Wait for one message; returns the sender's process number and its `NAME=value` lines."""
        while True:
            found = self._receive()
            if found is not None:
                return found
            loop, readable = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._socket, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._socket)

    def _receive(self) -> tuple[int, dict[str, str]] | None:
        try:
            data, extra, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
        except BlockingIOError:
            return None
        pid = 0
        for level, kind, value in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0]
        lines = data.decode("utf-8", "replace").splitlines()
        return pid, dict(line.split("=", 1) for line in lines if "=" in line)

    def close(self) -> None:
        """Stop listening and take the socket's file away."""
        self._socket.close()
        self.path.unlink(missing_ok=True)
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
