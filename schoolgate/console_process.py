"""The console's process: event store and detectors, with pages and API around them, in one event loop."""

import asyncio
import secrets
import socket
from pathlib import Path

import msgspec

from analyser.service import Analyser, AnalyserSettings
from api.app import create_app
from api.server import make_server
from api.settings import ConsoleSettings
from schoolgate import notify
from schoolgate.address import Address, listen_shared
from schoolgate.ask import store_lock
from schoolgate.errors import Problem
from schoolgate.firstrun import read_key, write_private
from schoolgate.paths import StatePaths

LOCK_PATIENCE = 20.0
"""Seconds that the console waits for a command that has the event store open, or for its predecessor to end."""


def run(paths: StatePaths, config: Path, address: Address, proxy: Address) -> int:
    """Serve until SIGTERM or SIGINT, then take in what the workers left in the spool; returns the exit code."""
    with store_lock(paths, patience=LOCK_PATIENCE) as mine, listen_shared(address, "--console") as listener:
        if not mine:
            raise Problem(f"Another console already runs with the state folder {paths.root}; stop it first.")
        asyncio.run(_serve(paths, config, address, proxy, listener))
    return 0


async def _serve(paths: StatePaths, config: Path, address: Address, proxy: Address, listener: socket.socket) -> None:
    analyser = Analyser(_analyser_settings(paths, config))
    await analyser.start()
    try:
        settings = ConsoleSettings(
            host=address.host, port=address.port, proxy_host=proxy.host, proxy_port=proxy.port, run_folder=paths.run,
            ca_certificate=paths.ca_certificate, gateway_key=read_key(paths.gateway_key),
        )  # fmt: skip

        def ready() -> None:
            _announce(paths, address)
            notify.tell("READY=1")

        await make_server(create_app(analyser, settings), ready).serve(sockets=[listener])
        paths.operator_token.unlink(missing_ok=True)
        paths.console_file.unlink(missing_ok=True)
    finally:
        await analyser.stop()


def _announce(paths: StatePaths, address: Address) -> None:
    """Tell commands of this machine where the console answers, and give them a token that lives as long as this process."""
    write_private(paths.operator_token, secrets.token_urlsafe(32) + "\n")
    write_private(paths.console_file, msgspec.json.encode({"url": address.reachable.url}).decode() + "\n")


def _analyser_settings(paths: StatePaths, config: Path) -> AnalyserSettings:
    return AnalyserSettings(
        policy_file=config, lists=paths.lists, sealed=paths.sealed, rulesets=paths.rulesets, spool=paths.spool, snapshot=paths.snapshot,
        run=paths.run, events=paths.events, events_key=read_key(paths.events_key), casework=str(paths.casework),
        casework_key=read_key(paths.casework_key),
    )  # fmt: skip
