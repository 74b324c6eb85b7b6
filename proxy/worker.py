"""One gateway worker from start to end."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import certifi
import structlog
import uvloop

from proxy import blockpage
from proxy.addon import GatewayAddon
from proxy.certificates import Authority
from proxy.checks import UnsafeSettingError, check_environment, check_key, check_options, check_trust
from proxy.health import Health
from proxy.install import install
from proxy.live import Live
from proxy.master import Gateway
from proxy.records import Recorder
from proxy.settings import WorkerSettings
from proxy.spool import Spool
from proxy.tls import UpstreamTls
from proxy.upstream import UpstreamRules, Upstreams
from proxy.watch import Watcher
from rules.ruleset import Ruleset

log = structlog.get_logger()

HEALTH_SECONDS = 1.0
MOST_DESCRIPTORS = 1_048_576
SWITCH_SECONDS = 0.001


def run_worker(settings: WorkerSettings) -> None:
    """Serve until SIGTERM or SIGINT; raises an error with one sentence when it may not or can't start."""
    check_options()
    check_environment()
    check_key(settings.ca / "ca.key")
    check_key(settings.keys / "gateway.key")
    check_trust(settings.trusted_ca or Path(certifi.where()))
    authority = Authority.load(settings.ca)
    key = bytes.fromhex((settings.keys / "gateway.key").read_text(encoding="ascii").strip())
    install(blockpage.error_page)
    _raise_descriptors()
    settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    uvloop.run(Worker(settings, authority, key).run())


class Worker:
    """The parts of one worker, wired."""

    def __init__(self, settings: WorkerSettings, authority: Authority, key: bytes) -> None:
        self.settings = settings
        self.live = Live()
        self.health = Health(settings.run, settings.name)
        self.spool = Spool(settings.spool, settings.name)
        self.recorder = Recorder(settings.name, key)
        console = (settings.console_host, settings.console_port)
        self.upstreams = Upstreams(console=console)
        self._trusted_policy: tuple[str, float] = ("", 0.0)
        self.addon = GatewayAddon(self.live, self.spool, self.health, self.recorder, authority, UpstreamTls(self._trust("")), key, console)
        self.watcher = Watcher(self.live, settings.rulesets, settings.snapshot, self._ruleset_changed, self._fault)
        self.gateway: Gateway | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Start every part, serve, stop every part."""
        loop = self._loop = asyncio.get_running_loop()
        # A thread that reads a ruleset gives way to requests after this, not after five times as long.
        sys.setswitchinterval(SWITCH_SECONDS)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self.spool.start()
        try:
            # Before the port is open: a worker that serves has its rules, or knows that it has none.
            self.watcher.start()
            gateway = self.gateway = Gateway(self.addon, self.upstreams, self.settings.idle_seconds)
            if self.live.ruleset is not None:
                self._apply(self.live.ruleset)
            await gateway.listen(self.settings.listen_host, self.settings.listen_port)
            health = loop.create_task(self._keep_health(gateway))
            # What lives from here on lives long: taking it out of the collector's sight makes each run of it cheap.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            _tell_ready()
            await stop.wait()
            _tell("STOPPING=1")
            await gateway.stop(self.settings.drain_seconds)
            health.cancel()
        finally:
            self.watcher.stop()
            self.spool.close()
            self.health.remove()

    async def _keep_health(self, gateway: Gateway) -> None:
        while True:
            with contextlib.suppress(OSError):
                ruleset = self.live.ruleset
                facts = self.health.facts(
                    ruleset=ruleset.version if ruleset is not None else 0, connections=len(gateway.connections),
                    waiting=self.spool.waiting, fault=self.live.fault,
                )  # fmt: skip
                # In a thread: a busy disk takes tenths of a second for one small file, and everybody would wait.
                await asyncio.to_thread(self.health.write, facts)
            await asyncio.sleep(HEALTH_SECONDS)

    def _trust(self, extra: str) -> tuple[Path, ...]:
        base = self.settings.trusted_ca or Path(certifi.where())
        return (base, Path(extra)) if extra else (base,)

    def _ruleset_changed(self, ruleset: Ruleset) -> None:
        """Called in the watcher's thread."""
        if self._loop is not None and self.gateway is not None:
            self._loop.call_soon_threadsafe(self._apply, ruleset)

    def _apply(self, ruleset: Ruleset) -> None:
        """Hand the policy's settings for connections to the parts that use them."""
        policy = ruleset.policy
        self.upstreams.use(UpstreamRules(policy.safety.permits_address, policy.gateway.hosts))
        if self.gateway is not None:
            self.gateway.idle_seconds = min(self.settings.idle_seconds, policy.gateway.idle_seconds)
            self.gateway.header_seconds = policy.gateway.header_seconds
            self.gateway.max_connections = policy.gateway.max_connections
        extra = policy.gateway.trusted_ca
        try:
            stamp = (extra, Path(extra).stat().st_mtime if extra else 0.0)
            if stamp != self._trusted_policy:
                if extra:
                    check_trust(Path(extra))
                self.addon.upstream_tls = UpstreamTls(self._trust(extra))
                self._trusted_policy = stamp
        except (OSError, UnsafeSettingError) as error:
            # The authorities that held before still hold: sites that need the new ones fail, nothing gets weaker.
            self._fault(f"gateway.trusted_ca: {error}")

    def _fault(self, sentence: str) -> None:
        self.health.faults += 1
        ruleset = self.live.ruleset
        self.spool.put(self.recorder.fault(sentence, ruleset.policy.site if ruleset is not None else ""))


def _raise_descriptors() -> None:
    """Take as many descriptors as the system allows: every connection is one, and one or more upstream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, MOST_DESCRIPTORS) if hard != resource.RLIM_INFINITY else MOST_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell_ready() -> None:
    _tell("READY=1")


def _tell(message: str) -> None:
    """Tell whoever started us, in systemd's protocol (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(message.encode())
