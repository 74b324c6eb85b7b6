"""`up`, and what it starts: `worker` and `console`; `init` for machines where systemd starts them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from schoolgate import firstrun, lifeline, parts, terminal, wiring
from schoolgate.address import Address, hold, parse_address
from schoolgate.errors import Problem
from schoolgate.notify import NotifySocket
from schoolgate.options import DEFAULT, DEFAULT_CONSOLE, DEFAULT_LISTEN, Config, Console, Listen, StartConfig, State, config_of, paths_of
from schoolgate.paths import StatePaths
from schoolgate.supervisor import Supervisor, supervise

Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, max=256, help="Gateway processes.", show_default="one for each core")
]


def up(
    state: State = DEFAULT,
    config: StartConfig = None,
    listen: Listen = DEFAULT_LISTEN,
    console: Console = DEFAULT_CONSOLE,
    workers: Workers = None,
) -> None:
    """Run the gateway and the console until they are told to stop.

    The first run makes the state folder, with a certificate authority, keys, a starter policy and starter lists, and prints a link
    with which the administrator sets a password. When everything is ready, one line on standard output says so:
    `ready proxy=http://HOST:PORT console=http://HOST:PORT ca=PATH`.
    """
    paths = paths_of(state)
    policy = config.expanduser().absolute() if config is not None else paths.policy
    with ExitStack() as stack:
        held_proxy, proxy = hold(parse_address(listen, "--listen"), "--listen")
        stack.enter_context(held_proxy)
        held_console, console_address = hold(parse_address(console, "--console"), "--console")
        stack.enter_context(held_console)
        firstrun.check_folder(paths)
        stack.enter_context(_only_one(paths))
        firstrun.prepare(paths, policy, terminal.say, terminal.warn)
        firstrun.note_config(paths, policy)
        firstrun.forget_last_run(paths)
        link = wiring.first_administrator_link(paths, console_address.reachable)
        hear = stack.enter_context(NotifySocket(paths.notify_socket))
        count = workers or os.process_cpu_count() or 1
        every = [parts.console(paths.root, policy, console_address, proxy)]
        every += [parts.worker(number, paths.root, proxy, console_address.reachable) for number in range(1, count + 1)]

        def ready() -> None:
            _welcome(paths, proxy, console_address, count, link)

        code = supervise(lambda: Supervisor(every, hear, terminal.warn, ready))
    terminal.say("Stopped." if code == 0 else "Stopped, but not cleanly.")
    raise typer.Exit(code)


def init(state: State = DEFAULT, config: StartConfig = None, console: Console = DEFAULT_CONSOLE) -> None:
    """Make or complete the state folder without starting anything, for installations that systemd runs."""
    paths = paths_of(state)
    policy = config.expanduser().absolute() if config is not None else paths.policy
    firstrun.check_folder(paths)
    with _only_one(paths):
        firstrun.prepare(paths, policy, terminal.say, terminal.warn)
        firstrun.note_config(paths, policy)
        link = wiring.first_administrator_link(paths, parse_address(console, "--console").reachable)
    if link is not None:
        terminal.say_strong(f"Set the administrator's password, once the console runs: {link}")


def worker(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of this worker, as events and files bear it.")],
    state: State = DEFAULT,
    listen: Listen = DEFAULT_LISTEN,
    console: Console = DEFAULT_CONSOLE,
) -> None:
    """Run one gateway worker; the supervisor and the systemd units use this."""
    lifeline.follow_supervisor()
    paths = firstrun.existing(paths_of(state))
    if not name or not all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name) or len(name) > 40:
        raise Problem(f"--name {name!r} may have up to 40 letters, digits, - and _ only, since files are named after it.")
    raise typer.Exit(wiring.run_worker(paths, name, parse_address(listen, "--listen"), parse_address(console, "--console")))


def console(
    state: State = DEFAULT,
    config: Config = None,
    console: Console = DEFAULT_CONSOLE,
    proxy: Annotated[str, typer.Option("--proxy", metavar="HOST:PORT", help="Address of the gateway, for the PAC file.")] = DEFAULT_LISTEN,
) -> None:
    """Run the console: event store, detectors, pages and API; the supervisor and the systemd unit use this."""
    lifeline.follow_supervisor()
    paths = firstrun.existing(paths_of(state))
    policy = config_of(paths, config)
    address, gateway = parse_address(console, "--console"), parse_address(proxy, "--proxy")
    raise typer.Exit(wiring.run_console(paths, policy, address, gateway))


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


def _welcome(paths: StatePaths, proxy: Address, console: Address, count: int, link: str | None) -> None:
    terminal.say_strong(f"Schoolgate runs: {count} worker{'s' if count > 1 else ''} and the console.")
    terminal.say(f"  gateway      {proxy.url}   (set it as the browsers' proxy for HTTP and HTTPS)")
    terminal.say(f"  console      {console.url}")
    terminal.say(f"  certificate  {paths.ca_certificate}   (devices must trust it)")
    if proxy.loopback:
        terminal.say("  Only this machine can reach the gateway; for the whole school start it with --listen 0.0.0.0:8080.")
    if link is not None:
        terminal.warn(f"  Set the administrator's password here, once, within three days: {link}")
    terminal.out(f"ready proxy={proxy.url} console={console.url} ca={paths.ca_certificate}")
