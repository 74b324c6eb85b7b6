"""The origin where nginx is missing: uvloop, keep-alive, answers prepared in memory.

python python_origin.py HTTP_PORT HTTPS_PORT FOLDER
"""

import asyncio
import ssl
import sys
from pathlib import Path
from typing import cast

import uvloop

PLACE = b"0" * 31 + b"?"


class Site(asyncio.Protocol):
    """Answers every GET with the file of that name, or with the 10 kB page."""

    answers: dict[bytes, bytes]
    number = 0

    def __init__(self) -> None:
        self.pending = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each complete request head."""
        assert self.transport is not None
        heads = (self.pending + data).split(b"\r\n\r\n")
        self.pending = heads.pop()
        for head in heads:
            path = head.split(b" ", 2)[1]
            answer = self.answers.get(path) or self.answers[b"/10k.html"]
            if path.startswith(b"/unique-"):
                Site.number += 1
                answer = answer.replace(PLACE, b"%032d" % Site.number)
            self.transport.write(answer)


def load(site: Path) -> dict[bytes, bytes]:
    """Return each file of the site as a complete answer, by path."""
    answers = {}
    for file in site.iterdir():
        body = file.read_bytes().replace(b'<!--# echo var="request_id" -->', PLACE)
        media = b"text/html; charset=utf-8" if file.suffix == ".html" else b"application/octet-stream"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + media + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
        answers[b"/" + file.name.encode()] = head + body
    return answers


async def serve(http: int, https: int, folder: Path) -> None:
    """Serve until ended."""
    loop = asyncio.get_running_loop()
    Site.answers = load(folder / "site")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "origin.pem")
    await loop.create_server(Site, "127.0.0.1", http, backlog=1024)
    await loop.create_server(Site, "127.0.0.1", https, ssl=context, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])), loop_factory=uvloop.new_event_loop)
