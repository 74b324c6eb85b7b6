"""Requests that are one thing to the gateway and another to a site, and bytes without end that a client makes the gateway hold."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import trustme

from proxy import core
from proxy.upstream import UpstreamRules
from rules.state import Grant, State

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


async def ask(running: Any, text: str | bytes, *, most: int = 100_000) -> bytes:
    """Send bytes to the gateway and return what comes back until it falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(text if isinstance(text, bytes) else text.encode("latin-1"))
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while len(found) < most and (data := await asyncio.wait_for(reader.read(65_536), 2 if not found else 0.3)):
            found += data
    writer.close()
    return found


def head(running: Any, more: str = "", *, line: str = "GET", path: str = "/x", host: str = "allowed.test") -> str:
    return f"{line} http://{host}:{running.origin.http}{path} HTTP/1.1\r\nHost: {host}:{running.origin.http}\r\n{more}\r\n"


@pytest.mark.parametrize(
    "more",
    ["X-A: b\rHost: denied.test\r\n", "X-A: b\0c\r\n", "X-A: b\r\n Host: denied.test\r\n",
     "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: deflate, chunked\r\n"],
)  # fmt: skip
async def test_a_header_that_some_sites_read_as_two_is_refused(running: Any, more: str) -> None:
    assert (await ask(running, head(running, more) + "0\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert not running.origin.hits


async def test_a_tunnel_with_two_hosts_is_refused_and_no_fault(running: Any) -> None:
    text = f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\nHost: allowed.test\r\nHost: denied.test\r\n\r\n"
    assert (await ask(running, text)).startswith(b"HTTP/1.1 400 ")
    assert not running.addon.health.faults


@pytest.mark.parametrize(
    "path",
    ["/secret%2f..%2flesson", "/secret/..%2flesson", "/secret/%2e%2e/lesson", "/secret/.%2e/lesson", "/secret/../lesson",
     "/secret%252f..%252flesson", "/secret%25%32%66..%2flesson", "/secret\\..\\lesson", "/lesson/..;/secret", "/lesson/..%5csecret",
     "/x/..;a=b/..;a=b/lesson"],
)  # fmt: skip
async def test_what_opens_one_path_opens_no_other_under_its_name(running: Any, path: str) -> None:
    """To some servers an escaped slash is a part of a name and ".." a name like any other, to others they lead up."""
    running.live.state = State.of([Grant("g", "path", "denied.test", "/lesson", "group", "pupils", 0, 2**40)])
    assert (await ask(running, head(running, path="/lesson/1", host="denied.test"))).startswith(b"HTTP/1.1 200 ")
    running.origin.hits.clear()
    assert (await ask(running, head(running, path=path, host="denied.test"))).startswith(b"HTTP/1.1 400 ")
    assert not running.origin.hits
    assert (await running.event(host="")).reason == "bad-url"


@pytest.mark.parametrize(
    "path", ["/a..b/c", "/v1..v2", "/...", "/x/.../y", "/caf%C3%A9%20..", "/wiki/%2525", "/a%2fb/%5Csum", "/x?y=/../z"]
)
async def test_dots_that_lead_nowhere_pass(running: Any, path: str) -> None:
    assert (await ask(running, head(running, path=path))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("more", ["", "Content-Type: text/plain\r\n"])
async def test_trailers_are_dropped_and_break_nothing(running: Any, more: str) -> None:
    text = head(running, more + "Transfer-Encoding: chunked\r\n", line="POST")
    # The origin of these tests reads no chunks, but answers.
    assert (await ask(running, text + "3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert not running.gateway.faults


async def test_an_answer_with_trailers_arrives(running: Any, port_of: Callable[..., Any]) -> None:
    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
        writer.close()

    answer = await running.curl(f"http://allowed.test:{await port_of(site)}/")
    assert (answer.status, answer.body, running.gateway.faults) == (200, b"hello", 0)


async def test_empty_lines_before_a_request_count_for_nothing(running: Any) -> None:
    assert (await ask(running, "\r\n\r\n" + head(running))).startswith(b"HTTP/1.1 200 ")


# --- bytes without end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "more"),
    [("0\r\n", "X-A: bbbbbbbbbbbbbbbb\r\n"), ("1;", "a"), ("1\r\na\r\n0;", "a")],
    ids=["trailers", "a chunk's header", "the last chunk's header"],
)
async def test_chunks_whose_ends_never_come_end_the_connection(running: Any, start: str, more: str) -> None:
    await _endless(running, head(running, "Transfer-Encoding: chunked\r\n", line="POST") + start, more)


async def test_requests_that_pile_up_behind_a_slow_answer_end_the_connection(running: Any) -> None:
    await _endless(running, head(running, path="/slow"), "GET /x HTTP/1.1\r\n")


async def _endless(running: Any, start: str, more: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(start.encode())
    block = more.encode() * (65_536 // len(more))
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 32 * 2**20:
            writer.write(block)
            await asyncio.wait_for(writer.drain(), 5)
            sent += len(block)
    assert sent < 32 * 2**20
    writer.close()
    del reader
    assert not running.gateway.faults


async def test_an_upload_waits_outside_while_its_site_is_being_reached(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()
    connect = running.gateway.upstreams.connect

    async def slowly(address: tuple[str, int], protocol: asyncio.Protocol) -> None:
        await reached.wait()
        await connect(address, protocol)

    monkeypatch.setattr(running.gateway.upstreams, "connect", slowly)
    size = 64 * 2**20
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(head(running, f"Content-Type: image/png\r\nContent-Length: {size}\r\n", line="POST", path="/echo").encode())
    sending = asyncio.ensure_future(_send(writer, size))
    await asyncio.sleep(1.0)
    (side,) = running.gateway.connections
    assert side.bytes_in < (core.MOST_WAITING + 8) * 2**18
    reached.set()
    await asyncio.wait_for(sending, 20)
    assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()
    assert running.origin.hits["allowed.test/echo"] == 1


async def _send(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(size // 65_536):
        writer.write(bytes(65_536))
        await writer.drain()


# --- HTTP/2 ---------------------------------------------------------------------------------------------------------


class Http2:
    """One HTTP/2 connection inside a tunnel; checks nothing of what it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self.reader, self.writer, self.authority = reader, writer, authority
        config = h2.config.H2Configuration(header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()

    async def ask(
        self, method: str, path: str, fields: dict[str, str], body: bytes | None = None, trailers: dict[str, str] | None = None
    ) -> str:
        """Send a request, its body as DATA and trailers behind it, and return the status."""
        number = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.connection.send_headers(number, [*pseudo, *fields.items()], end_stream=body is None)
        if body is not None:
            self.connection.send_data(number, body, end_stream=trailers is None)
        if trailers is not None:
            self.connection.send_headers(number, list(trailers.items()), end_stream=True)
        self.writer.write(self.connection.data_to_send())
        return await self._status()

    async def upload(self, path: str, size: int) -> str:
        """Send a body of that size and return the status."""
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.connection.send_headers(1, [*pseudo, ("content-type", "image/png"), ("content-length", str(size))])
        self.writer.write(self.connection.data_to_send())
        # The gateway opens its windows at once.
        self.connection.receive_data(await self.reader.read(65_536))
        for sent in range(0, size, 16_384):
            self.connection.send_data(1, bytes(16_384), end_stream=sent + 16_384 >= size)
            self.writer.write(self.connection.data_to_send())
            await self.writer.drain()
        return await self._status()

    async def _status(self) -> str:
        while data := await asyncio.wait_for(self.reader.read(65_536), 20):
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    answer: dict[Any, Any] = dict(event.headers)
                    return str(answer[b":status"].decode())
                if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return "reset"
            self.writer.write(self.connection.data_to_send())
        return "closed"


@pytest.fixture
async def port_of(running: Any) -> AsyncIterator[Callable[..., Any]]:
    """Start a site of a test's own, on a port that the policy opens."""
    servers = []

    async def start(handler: Any, context: ssl.SSLContext | None = None) -> int:
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        policy = running.live.ruleset.policy
        ports = frozenset({*policy.safety.ports, port})
        safety = msgspec.structs.replace(policy.safety, ports=ports, connect_ports=ports)
        running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
        return port

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def own(running: Any) -> AsyncIterator[Http2]:
    """HTTP/2 to the gateway's own host: its console speaks HTTP/1, and here it is the tests' origin."""
    context = ssl.create_default_context(cafile=str(running.authority))
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"CONNECT schoolgate.internal:443 HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="schoolgate.internal")
    yield Http2(reader, writer, "schoolgate.internal")
    writer.close()


async def test_an_http2_body_without_a_length_is_no_second_request(running: Any, own: Http2) -> None:
    second = b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await own.ask("GET", "/first", {}, second)
    await asyncio.sleep(0.2)
    assert "transfer-encoding" in running.origin.heads[0]
    assert "localhost/second" not in running.origin.hits


async def test_an_http2_length_without_a_body_is_refused(running: Any, own: Http2) -> None:
    assert await own.ask("GET", "/first", {"content-length": "50"}) == "400"
    assert not running.origin.hits


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1", "GET /x", "", "G(T"])
async def test_an_http2_method_that_is_none_is_refused(running: Any, own: Http2, method: str) -> None:
    assert await own.ask(method, "/first", {}) in ("400", "reset", "closed")
    assert not running.origin.hits


async def test_http2_trailers_on_the_way_to_http1_break_nothing(running: Any, own: Http2) -> None:
    assert await own.ask("POST", "/echo", {"content-length": "3"}, b"abc", {"x-sum": "1"}) == "200"
    assert not running.gateway.faults


@pytest.mark.parametrize("method", ["GET", "DELETE", "SEARCH"])
async def test_words_in_an_http2_body_that_no_header_spoke_of_are_weighed(running: Any, site: "Site", method: str) -> None:
    """In HTTP/2 any request may have a body, with or without a length."""
    assert await site.client.ask(method, "/a", {"content-type": "text/plain"}, b"how to hurt myself") == "403"
    assert await site.client.ask(method, "/a", {"content-type": "text/plain"}, b"how to bake bread") == "200"
    assert await site.client.ask(method, "/a", {"content-type": "image/png"}, b"x" * 20_000) == "200"
    assert site.bodies == [b"how to bake bread", b"x" * 20_000]


async def test_an_upload_to_a_site_that_takes_it_slowly_waits_outside(running: Any, site: "Site") -> None:
    size = 32 * 2**20
    site.reads.clear()
    sending = asyncio.ensure_future(site.client.upload("/up", size))
    await asyncio.sleep(2)
    (side,) = running.gateway.connections
    assert side.bytes_in < 12 * 2**20
    site.reads.set()
    assert await asyncio.wait_for(sending, 30) == "200"
    assert [len(body) for body in site.bodies] == [size]


class Site:
    """A site that speaks HTTP/2, and a client that has a connection to it through the gateway."""

    client: Http2

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer 200 to every request once its body is there."""
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        server.initiate_connection()
        bodies: dict[int, bytearray] = {}
        while True:
            writer.write(server.data_to_send())
            if not (data := await reader.read(65_536)):
                writer.close()
                return
            for event in server.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    bodies[event.stream_id] = bytearray()
                elif isinstance(event, h2.events.DataReceived):
                    await self.reads.wait()
                    bodies[event.stream_id] += event.data
                    server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.bodies.append(bytes(bodies.pop(event.stream_id)))
                    server.send_headers(event.stream_id, [(":status", "200")], end_stream=True)


@pytest.fixture
async def site(running: Any, origin_authority: trustme.CA, port_of: Callable[..., Any]) -> AsyncIterator[Site]:
    """A running site, and a connection to it."""
    found = Site()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    origin_authority.issue_cert("allowed.test", key_type=trustme.KeyType.ECDSA).configure_cert(theirs)
    theirs.set_alpn_protocols(["h2"])
    target = f"allowed.test:{await port_of(found.serve, theirs)}"
    ours = ssl.create_default_context(cafile=str(running.authority))
    ours.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(ours, server_hostname="allowed.test")
    found.client = Http2(reader, writer, target)
    yield found
    writer.close()


# --- what nobody is to read -----------------------------------------------------------------------------------------


async def test_the_name_of_a_sealed_host_is_not_kept_when_a_device_refuses_our_certificate(running: Any) -> None:
    for host in ("iwf.sealed-test.test", "allowed.test"):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(f"CONNECT {host}:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            await writer.start_tls(ssl.create_default_context(), server_hostname=host)
        writer.close()
    await asyncio.sleep(0.2)
    assert list(running.addon.health.facts(ruleset=1, connections=0, waiting=0, fault="")["pinned"]) == ["allowed.test"]


@pytest.mark.parametrize("term", ["iwf.sealed-test.test", "https://iwf.sealed-test.test/a/b", "sealed-pages.test/one/page.html"])
async def test_a_sealed_address_that_is_typed_into_a_search_is_not_written_down(running: Any, term: str) -> None:
    """Browsers send what is typed as an address to the search engine, for suggestions."""
    target = f"http://www.google.com:{running.origin.http}/complete/search?q="
    running.gateway.upstreams.use(UpstreamRules(lambda _host, _address: True, {"www.google.com": "127.0.0.1"}))
    await ask(running, f"GET {target}{term} HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
    await ask(running, f"GET {target}other.test HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
    assert [event.search for event in running.spool.events] == ["", "other.test"]
