"""A gateway in this process, an origin with its own authority, and curl between them."""

import asyncio
import json
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from blocklists.sealed import SealedLists
from blocklists.sealedstore import install_test_list
from proxy import blockpage
from proxy.addon import GatewayAddon
from proxy.certificates import Authority, create_authority
from proxy.health import Health
from proxy.install import install
from proxy.live import Live
from proxy.master import Gateway
from proxy.records import Recorder
from proxy.spool import Spool
from proxy.tls import UpstreamTls
from proxy.upstream import UpstreamRules, Upstreams
from rules.event import Event
from rules.policy import parse_policy
from rules.ruleset import Ruleset
from rules.state import State

HOSTS = ("allowed.test", "denied.test", "other.test", "spliced.test", "skipped.test")

POLICY = """
version = 1
[school]
name = "Canal Road Primary"
[gateway]
ports = [80, 443, @PORTS@]
connect_ports = [443, @PORTS@]
private_targets = ["127.0.0.1"]
splice = ["spliced.test"]
[gateway.hosts]
@HOSTS@
[limits]
form_bytes = 65536
page_bytes = 1048576
[text]
skip_hosts = ["skipped.test"]
[categories.self-harm]
title = "Self-harm"
theme = "self-harm"
level = 4
[categories.gambling]
title = "Gambling"
[categories.games]
title = "Games"
[groups.pupils]
default = "allow"
other_categories = "block"
[groups.pupils.actions]
self-harm = "block"
games = "warn"
[groups.staff]
users = ["mrs-smith"]
default = "allow"
other_categories = "log"
[[deny]]
entries = ["denied.test"]
reason = "tests"
[keywords]
starter = false
[[keyword_sets]]
category = "self-harm"
level = 4
weight = 200
words = ["how to hurt myself"]
"""


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    install(blockpage.error_page)


@pytest.fixture(scope="session")
def authority_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The school's certificate authority."""
    folder = tmp_path_factory.mktemp("ca") / "ca"
    create_authority(folder, "Canal Road Primary")
    return folder


@pytest.fixture(scope="session")
def origin_authority() -> trustme.CA:
    """The authority of the origin's certificate."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="session")
def origin_pem(origin_authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The origin's authority as a file."""
    path = tmp_path_factory.mktemp("origin") / "ca.pem"
    origin_authority.cert_pem.write_to_path(str(path))
    return path


class SpoolList(Spool):
    """Keeps events in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_full = False

    @property
    def full(self) -> bool:
        return self.is_full

    def put(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Answer:
    """What curl saw."""

    status: int
    version: str
    headers: dict[str, str]
    body: bytes
    exit_code: int


@dataclass
class Origin:
    """An HTTP/1.1 site for every test host: answers by path, counts connections and requests."""

    http: int = 0
    https: int = 0
    connections: int = 0
    resumed: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    heads: list[dict[str, str]] = field(default_factory=list)
    pages: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)
    answers_per_connection: int = 1_000_000
    """After so many answers the next request on a connection is read and the connection closed without a word."""
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to let answers to `/slow` go."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until the client leaves."""
        self.connections += 1
        tls = writer.get_extra_info("ssl_object")
        if tls is not None and tls.session_reused:
            self.resumed += 1
        try:
            for _ in range(self.answers_per_connection):
                if not await self._answer(reader, writer):
                    return
            await reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split()[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if path == "/slow":
            await self.slow.wait()
        self.hits[headers.get("host", "").partition(":")[0] + path.partition("?")[0]] += 1
        self.heads.append(headers)
        extra, content = self.pages.get(path.partition("?")[0], ({}, b"<!doctype html><title>t</title><p>Hello from the origin."))
        if path == "/echo":
            extra, content = {"Content-Type": "application/json"}, json.dumps({"headers": headers, "body": len(body)}).encode()
        elif path == "/sse":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: one\n\n")
            await writer.drain()
            await asyncio.sleep(1.0)
            return False
        lines = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(content)), **extra}
        writer.write(("HTTP/1.1 200 OK\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode() + content)
        await writer.drain()
        return path != "/silent"


@pytest.fixture
async def origin(origin_authority: trustme.CA) -> AsyncIterator[Origin]:
    """A running origin."""
    site = Origin()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    origin_authority.issue_cert(*HOSTS, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    plain = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    secure = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    site.http, site.https = plain.sockets[0].getsockname()[1], secure.sockets[0].getsockname()[1]
    yield site
    plain.close()
    secure.close()


@dataclass
class Running:
    """A gateway under test."""

    port: int
    gateway: Gateway
    addon: GatewayAddon
    live: Live
    spool: SpoolList
    origin: Origin
    authority: Path

    async def curl(self, url: str, *arguments: str, user: str = "") -> Answer:
        """Ask through the gateway; `:H` and `:S` in the URL stand for the origin's ports."""
        url = url.replace(":H", f":{self.origin.http}").replace(":S", f":{self.origin.https}")
        words = [
            "curl", "-sS", "-i", "--suppress-connect-headers", "--noproxy", "", "-m", "20", "--cacert", str(self.authority),
            "--proxy", f"http://{user + '@' if user else ''}127.0.0.1:{self.port}", *arguments, url,
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return _parse(output, process.returncode or 0)

    async def event(self, **wanted: object) -> Event:
        """The one event with these fields, once it is there."""
        for _ in range(100):
            found = [event for event in self.spool.events if all(getattr(event, name) == value for name, value in wanted.items())]
            if found:
                assert len(found) == 1, found
                return found[0]
            await asyncio.sleep(0.02)
        raise AssertionError(f"no event with {wanted} among {self.spool.events}")


def _parse(output: bytes, exit_code: int) -> Answer:
    head, _, body = output.partition(b"\r\n\r\n")
    while b" 100 " in head.partition(b"\r\n")[0] + b" ":
        head, _, body = body.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Answer(int(parts[1]) if len(parts) > 1 else 0, parts[0] if parts else "", headers, body, exit_code)


type MakePolicy = Callable[[Origin], str]


@pytest.fixture
def policy_text() -> MakePolicy:
    """The policy of the tests, for an origin's ports."""

    def make(origin: Origin) -> str:
        hosts = "\n".join(f'"{host}" = "127.0.0.1"' for host in HOSTS)
        return POLICY.replace("@PORTS@", f"{origin.http}, {origin.https}").replace("@HOSTS@", hosts)

    return make


@pytest.fixture
async def running(
    origin: Origin, authority_folder: Path, origin_pem: Path, tmp_path: Path, policy_text: MakePolicy
) -> AsyncIterator[Running]:
    """A gateway that serves."""
    install_test_list(tmp_path / "sealed")
    ruleset = Ruleset.of(parse_policy(policy_text(origin)), SealedLists.open(tmp_path / "sealed"))
    live = Live(ruleset, State(), "")
    spool = SpoolList()
    upstreams = Upstreams(UpstreamRules(ruleset.policy.safety.permits_address, ruleset.policy.gateway.hosts))
    addon = GatewayAddon(
        live, spool, Health(tmp_path, "worker-1"), Recorder("worker-1", b"k" * 32), Authority.load(authority_folder),
        UpstreamTls((origin_pem,)), b"k" * 32, ("127.0.0.1", origin.http),
    )  # fmt: skip
    gateway = Gateway(addon, upstreams, idle_seconds=20)
    port = await gateway.listen("127.0.0.1", 0)
    yield Running(port, gateway, addon, live, spool, origin, authority_folder / "ca.crt")
    await gateway.stop(0)


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def least_growth() -> Callable[..., Awaitable[int]]:
    """Return what measures, over equal rounds of work, by how many bytes memory grew in the round with the least growth.

    What leaks does so in every round. What an allocator takes for good, or the rest of a long test run sets free, comes once.
    """

    async def measure(work: Callable[[], Awaitable[object]], rounds: int = 4) -> int:
        grown = []
        for _ in range(rounds):
            before = resident()
            await work()
            grown.append(resident() - before)
        return min(grown)

    return measure
