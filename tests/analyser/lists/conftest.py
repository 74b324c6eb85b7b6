"""Fixtures of the tests of a list's life: a web server on loopback that behaves well or badly, and a library."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from analyser.casework.people import Actor
from blocklists.library import Library


class Publisher:
    """A web server on a free port; `pages` maps a path to a function that answers."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                publisher.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                publisher.pages.get(self.path, lambda h: publisher.send(h, b"", 404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer whole, with these headers."""
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def offer(self, path: str, body: bytes, etag: str = '"one"') -> str:
        """Offer a file that knows conditional requests; returns its address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if handler.headers.get("If-None-Match") == etag:
                handler.send_response(304)
                handler.end_headers()
                return
            self.send(handler, body, ETag=etag)

        self.pages[path] = answer
        return self.url + path


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """A publisher of lists on loopback."""
    made = Publisher()
    yield made
    made.stop()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A library with one list of 200 hosts."""
    made = Library(tmp_path / "lists")
    path = tmp_path / "first.txt"
    path.write_text("".join(f"bad{n}.example.net\n" for n in range(200)))
    made.load("mine", path, "domains", "gambling")
    made.compile()
    return made


@pytest.fixture
def ann() -> Actor:
    """The technician."""
    return Actor("os", "ann")


@pytest.fixture
def ben() -> Actor:
    """Somebody else."""
    return Actor("account", "ben")
