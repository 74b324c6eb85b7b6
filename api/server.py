"""Serves the console until it is told to stop: event streams end, answers under way finish, nothing is cut."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

GRACE_SECONDS = 8


class ConsoleServer(uvicorn.Server):
    """Uvicorn with our own stop: it returns to its caller instead of raising the signal again."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    def stop(self) -> None:
        """End streams and stop; safe to call twice."""
        self._app.state.console.closing.set()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; the caller closes what it opened afterwards."""
        loop = asyncio.get_running_loop()
        taken = []
        for number in (signal.SIGTERM, signal.SIGINT):
            # Outside the main thread (tests) signals belong to somebody else.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.stop)
                taken.append(number)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)


def make_server(app: FastAPI, ready: Callable[[], None]) -> ConsoleServer:
    """Prepare a server; `await server.serve(sockets=[listener])` runs it, `server.stop()` ends it."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=True, proxy_headers=False, lifespan="off",
        timeout_keep_alive=30, timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=1000, ws="none",
        h11_max_incomplete_event_size=32 * 1024,
    )  # fmt: skip
    return ConsoleServer(config, app, ready)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


async def serve(app: FastAPI, host: str, port: int, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once connections are accepted. Raises OSError for an address in use."""
    with contextlib.closing(listen(host, port)) as listener:
        await make_server(app, ready).serve(sockets=[listener])
