"""`up`, and what it starts: `worker` and `console`; `init` for machines where systemd starts them."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from schoolgate import faults, firstrun, part, parts, terminal, wiring
from schoolgate.address import Address, hold, parse_address
from schoolgate.consoleoptions import ConsoleOptions, console_names
from schoolgate.errors import Problem
from schoolgate.notify import LINK, NotifySocket
from schoolgate.options import (
    DEFAULT,
    DEFAULT_CONSOLE,
    DEFAULT_LISTEN,
    Config,
    Console,
    ConsoleCertificate,
    ConsoleKey,
    ConsoleName,
    Listen,
    StartConfig,
    State,
    config_of,
    paths_of,
)  # fmt: skip
from schoolgate.paths import StatePaths
from schoolgate.supervisor import Supervisor, supervise

Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Gateway processes.", show_default="one for each core")]
MOST_WORKERS = 256


def up(
    state: State = DEFAULT,
    config: StartConfig = None,
    listen: Listen = DEFAULT_LISTEN,
    console: Console = DEFAULT_CONSOLE,
    workers: Workers = None,
    console_name: ConsoleName = None,
    console_cert: ConsoleCertificate = None,
    console_key: ConsoleKey = None,
) -> None:
    """Run the gateway and the console until they are told to stop.

    The first run makes the state folder, with a certificate authority, keys, a starter policy and starter lists, and prints a link
    with which the administrator sets a password. When everything is ready, one line on standard output says so:
    `ready proxy=http://HOST:PORT console=http://HOST:PORT ca=PATH`.
    """
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise Problem(f"--workers {workers} is not a number from 1 to {MOST_WORKERS}; leave it out for one worker for each core.")
    paths = paths_of(state)
    policy = config.expanduser().absolute() if config is not None else paths.policy
    with ExitStack() as stack:
        proxy, console_address = _addresses(stack, listen, console)
        options = ConsoleOptions(console_names(console_name), _file(console_cert), _file(console_key))
        options.check()
        if options.needs_inside(console_address):
            held, inside = hold(Address("127.0.0.1", 0), "--console")
            stack.enter_context(held)
            options = replace(options, inside=inside)
        firstrun.check_folder(paths)
        stack.enter_context(_only_one(paths))
        firstrun.prepare(paths, policy, terminal.say, terminal.warn)
        firstrun.note_config(paths, policy)
        firstrun.forget_last_run(paths)
        hear = stack.enter_context(NotifySocket(paths.notify_socket))
        count = workers or os.process_cpu_count() or 1
        every = [parts.console(paths.root, policy, console_address, proxy, options)]
        own_pages = options.inside or console_address.reachable
        every += [parts.worker(number, paths.root, proxy, own_pages) for number in range(1, count + 1)]

        plain = not (options.https or console_address.loopback)

        def ready(words: dict[str, str]) -> None:
            _welcome(paths, proxy, options.people_url(console_address), count, words.get(LINK) or None, open_plain=plain)

        def record(part: str, sentence: str) -> None:
            faults.write(paths.spool, part, sentence)

        code = supervise(lambda: Supervisor(every, hear, terminal.warn, ready, record))
    terminal.say("Stopped." if code == 0 else "Stopped, but not cleanly.")
    raise typer.Exit(code)


def init(
    state: State = DEFAULT, config: StartConfig = None, console: Console = DEFAULT_CONSOLE, console_name: ConsoleName = None,
    console_cert: ConsoleCertificate = None, console_key: ConsoleKey = None,
) -> None:  # fmt: skip
    """Make or complete the state folder without starting anything, for installations that systemd runs."""
    paths = paths_of(state)
    policy = config.expanduser().absolute() if config is not None else paths.policy
    options = ConsoleOptions(console_names(console_name), _file(console_cert), _file(console_key))
    options.check()
    address = parse_address(console, "--console")
    firstrun.check_folder(paths)
    with _only_one(paths):
        firstrun.prepare(paths, policy, terminal.say, terminal.warn)
        firstrun.note_config(paths, policy)
        link = wiring.first_administrator_link(paths, options.people_url(address))
    if link is not None:
        terminal.say_strong(f"Set the administrator's password, once the console runs: {link}")


def worker(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of this worker, as events and files bear it.")],
    state: State = DEFAULT,
    listen: Listen = DEFAULT_LISTEN,
    console: Console = DEFAULT_CONSOLE,
) -> None:
    """Run one gateway worker; the systemd units use this."""
    raise typer.Exit(part.run_worker(paths_of(state), name, listen, console))


def console(
    state: State = DEFAULT,
    config: Config = None,
    console: Console = DEFAULT_CONSOLE,
    proxy: Annotated[str, typer.Option("--proxy", metavar="HOST:PORT", help="Address of the gateway, for the PAC file.")] = DEFAULT_LISTEN,
    console_name: ConsoleName = None,
    console_cert: ConsoleCertificate = None,
    console_key: ConsoleKey = None,
    inside: Annotated[
        str | None,
        typer.Option("--inside", metavar="HOST:PORT", help="Loopback address for workers and commands, needed where --console is another."),
    ] = None,
) -> None:
    """Run the console: event store, detectors, pages and API; the systemd unit uses this."""
    paths = paths_of(state)
    loopback = parse_address(inside, "--inside") if inside is not None else None
    options = ConsoleOptions(console_names(console_name), _file(console_cert), _file(console_key), loopback)
    raise typer.Exit(part.run_console(paths, config_of(paths, config), console, proxy, options))


def _addresses(stack: ExitStack, listen: str, console: str) -> tuple[Address, Address]:
    """Hold both ports until the end; returns the gateway's and the console's address with their ports in numbers."""
    wanted, beside = parse_address(listen, "--listen"), parse_address(console, "--console")
    if wanted.overlaps(beside):
        raise Problem(f"--listen {wanted} and --console {beside} are one port; give the console a port of its own.")
    held_proxy, proxy = hold(wanted, "--listen")
    stack.enter_context(held_proxy)
    held_console, console_address = hold(beside, "--console")
    stack.enter_context(held_console)
    return proxy, console_address


def _file(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path is not None else None


@contextmanager
def _only_one(paths: StatePaths) -> Iterator[None]:
    """Hold the state folder's lock, so that two copies never work in one folder."""
    for folder in (paths.root, paths.run):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with paths.up_lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise Problem(f"Schoolgate already runs with the state folder {paths.root} (process {pid}); stop it first.") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _welcome(paths: StatePaths, proxy: Address, console: str, count: int, link: str | None, *, open_plain: bool) -> None:
    terminal.say_strong(f"Schoolgate runs: {count} worker{'s' if count > 1 else ''} and the console.")
    terminal.say(f"  gateway      {proxy.url}   (set it as the browsers' proxy for HTTP and HTTPS)")
    terminal.say(f"  console      {console}")
    terminal.say(f"  certificate  {paths.ca_certificate}   (devices must trust it)")
    if proxy.loopback:
        terminal.say("  Only this machine can reach the gateway; for the whole school start it with --listen 0.0.0.0:8080.")
    if open_plain:
        terminal.warn("  The console speaks plain HTTP to other machines: passwords cross the network readable; give it --console-cert.")
    if link is not None:
        terminal.warn(f"  Set the administrator's password here, once, within three days: {link}")
    terminal.out(f"ready proxy={proxy.url} console={console} ca={paths.ca_certificate}")
    sys.stdout.flush()
