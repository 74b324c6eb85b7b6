"""The console's process: event store and detectors, with pages and API around them, in one event loop."""

import asyncio
import gc
import os
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvicorn

from analyser.lists.schedule import keep_fresh
from analyser.service import Analyser, AnalyserSettings
from api.app import create_app
from api.server import ConsoleServer, make_server
from api.settings import ConsoleSettings
from schoolgate import admin, notify, refresh
from schoolgate.address import Address, listen_shared
from schoolgate.consoleoptions import ConsoleOptions
from schoolgate.errors import Problem
from schoolgate.firstrun import read_key, write_private
from schoolgate.paths import StatePaths
from schoolgate.storelock import store_lock

LOCK_PATIENCE = 20.0
"""Seconds that the console waits for a command that has the event store open, or for its predecessor to end."""


def run(paths: StatePaths, config: Path, address: Address, proxy: Address, options: ConsoleOptions) -> int:
    """Serve until SIGTERM or SIGINT, then take in what the workers left in the spool; returns the exit code."""
    gc.freeze()  # what was loaded until now stays
    gc.enable()
    options.check()
    with ExitStack() as stack:
        if not stack.enter_context(store_lock(paths, patience=LOCK_PATIENCE)):
            raise Problem(f"Another console already runs with the state folder {paths.root}; stop it first.")
        places = [address] if options.inside is None else [address, options.inside]
        listeners = [stack.enter_context(listen_shared(place, "--console")) for place in places]
        asyncio.run(_serve(paths, config, address, proxy, options, listeners))
    return 0


async def _serve(
    paths: StatePaths, config: Path, address: Address, proxy: Address, options: ConsoleOptions, listeners: list[socket.socket]
) -> None:
    analyser = Analyser(_analyser_settings(paths, config))
    await analyser.start()
    try:
        # "Every interface" is no address for a PAC file; the console's name leads to this machine too.
        gateway = options.names[0] if proxy.unspecified and options.names else proxy.host
        settings = ConsoleSettings(
            host=address.host, port=address.port, proxy_host=gateway, proxy_port=proxy.port, run_folder=paths.run,
            ca_certificate=paths.ca_certificate, gateway_key=read_key(paths.gateway_key), names=frozenset(options.names),
            https=options.https,
        )  # fmt: skip
        app = create_app(analyser, settings)
        waiting = len(listeners)

        def ready() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting == 0:
                _announce(paths, address, options, analyser)

        # Only the first one is for people: the other is for workers and commands of this machine, and always plain.
        servers = [make_server(app, ready) for _ in listeners]
        if options.certificate is not None and options.key is not None:
            _speak_https(servers[0], options.certificate, options.key)
        refreshing = asyncio.create_task(keep_fresh(analyser.casework, refresh.command(paths, config)))
        try:
            await _all(servers, listeners)
        finally:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
        paths.operator_token.unlink(missing_ok=True)
        paths.console_file.unlink(missing_ok=True)
    finally:
        await analyser.stop()


async def _all(servers: list[ConsoleServer], listeners: list[socket.socket]) -> None:
    """Serve on every listener; when one server ends, for whatever reason, so do the others."""

    async def one(server: ConsoleServer, listener: socket.socket) -> None:
        try:
            await server.serve(sockets=[listener])
        finally:
            for other in servers:
                other.stop()

    async with asyncio.TaskGroup() as group:
        for server, listener in zip(servers, listeners, strict=True):
            group.create_task(one(server, listener))


def _speak_https(server: uvicorn.Server, certificate: Path, key: Path) -> None:
    server.config.ssl_certfile, server.config.ssl_keyfile = str(certificate), str(key)


def _announce(paths: StatePaths, address: Address, options: ConsoleOptions, analyser: Analyser) -> None:
    """Say that all is ready: to the commands of this machine, with a token that lives as long as this process, and to the supervisor."""
    write_private(paths.operator_token, secrets.token_urlsafe(32) + "\n")
    places = {"url": (options.inside or address).reachable.url, "people": options.people_url(address)}
    write_private(paths.console_file, msgspec.json.encode(places).decode() + "\n")
    word = "READY=1"
    if os.environ.pop(notify.FIRST_START, "") == "1":
        link = admin.first_administrator_link(analyser.casework, options.people_url(address))
        word += f"\n{notify.LINK}={link or ''}"
    notify.tell(word)


def _analyser_settings(paths: StatePaths, config: Path) -> AnalyserSettings:
    return AnalyserSettings(
        policy_file=config, lists=paths.lists, sealed=paths.sealed, rulesets=paths.rulesets, spool=paths.spool, snapshot=paths.snapshot,
        run=paths.run, events=paths.events, events_key=read_key(paths.events_key), casework=str(paths.casework),
        casework_key=read_key(paths.casework_key),
    )  # fmt: skip
