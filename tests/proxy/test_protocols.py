"""HTTP/2 and WebSocket through the gateway, against origins that speak nothing else."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from rules.state import Grant, State

HOSTS = ("allowed.test", "denied.test")


class Http2Origin:
    """Answers every HTTP/2 request with the same page, or with many bytes for `/big`."""

    def __init__(self) -> None:
        self.port = 0
        self.paths: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        waiting: dict[int, int] = {}
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    path = dict(event.headers)[":path"]
                    self.paths.append(path)
                    size = 30_000_000 if path == "/big" else 20
                    headers = [(":status", "200"), ("content-type", "application/octet-stream"), ("content-length", str(size))]
                    connection.send_headers(event.stream_id, headers)
                    waiting[event.stream_id] = size
            for stream, size in list(waiting.items()):
                left = size
                while left and (room := min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size, left)):
                    connection.send_data(stream, b"x" * room)
                    left -= room
                waiting[stream] = left
                if not left:
                    connection.end_stream(stream)
                    del waiting[stream]
            writer.write(connection.data_to_send())
            await writer.drain()
        writer.close()


@pytest.fixture
async def http2(origin: Any, origin_authority: trustme.CA) -> AsyncIterator[Http2Origin]:
    """An HTTP/2 origin, in place of the origin's secure port."""
    site = Http2Origin()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    origin_authority.issue_cert(*HOSTS, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    origin.https = server.sockets[0].getsockname()[1]
    yield site
    server.close()


async def test_http2_is_spoken_on_both_sides(http2: Http2Origin, running: Any) -> None:
    answer = await running.curl("https://allowed.test:S/two")
    assert (answer.status, answer.version, len(answer.body)) == (200, "HTTP/2", 20)
    assert http2.paths == ["/two"]
    assert (await running.event(path="/two")).bytes_out == 20


async def test_a_large_http2_download_arrives_whole(http2: Http2Origin, running: Any) -> None:
    answer = await running.curl("https://allowed.test:S/big")
    assert (answer.status, len(answer.body)) == (200, 30_000_000)


async def test_a_slow_http2_reader_does_not_fill_memory(http2: Http2Origin, running: Any) -> None:
    context = ssl.create_default_context(cafile=str(running.authority))
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="allowed.test")
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "https"), (":authority", "allowed.test"), (":path", "/big")], end_stream=True)
    writer.write(client.data_to_send())
    await asyncio.sleep(1.5)  # the client's window is 64 kB and stays shut
    side = next(iter(running.gateway.connections))
    buffered = sum(link.bytes_in for connection, link in side.links.items() if connection is not side.client)
    assert buffered < 20_000_000, "reading from the origin should have stopped"
    writer.close()


async def test_an_ended_grant_stops_an_open_http2_connection(http2: Http2Origin, running: Any) -> None:
    context = ssl.create_default_context(cafile=str(running.authority))
    context.set_alpn_protocols(["h2"])
    now = time.time()
    grant = Grant("g", "host", "denied.test", "/", "group", "pupils", now - 1, now + 3600)
    running.live.state = State.of([grant])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT denied.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="denied.test")
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    statuses = []
    for stream, state in ((1, running.live.state), (3, State())):
        running.live.state = state
        client.send_headers(
            stream, [(":method", "GET"), (":scheme", "https"), (":authority", "denied.test"), (":path", "/g")], end_stream=True
        )
        writer.write(client.data_to_send())
        ended = False
        while not ended:
            for event in client.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    statuses.append(dict(event.headers)[":status"])
                ended = ended or isinstance(event, h2.events.StreamEnded)
            writer.write(client.data_to_send())
    writer.close()
    assert statuses == ["200", "403"]


async def test_websockets_echo_and_their_history_is_not_kept(running: Any, least_growth: Any, origin_authority: trustme.CA) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    origin_authority.issue_cert(*HOSTS, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        policy = running.live.ruleset.policy
        ports = frozenset({*policy.safety.ports, port})
        safety = msgspec.structs.replace(policy.safety, ports=ports, connect_ports=ports)
        running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
        trust = ssl.create_default_context(cafile=str(running.authority))
        async with connect(f"wss://allowed.test:{port}/ws", ssl=trust, proxy=f"http://127.0.0.1:{running.port}") as socket:

            async def work() -> None:
                for number in range(1_000):
                    await socket.send(f"message {number} " + "x" * 1000)
                    assert str(await socket.recv()).startswith(f"message {number} ")

            assert await least_growth(work, 3) < 800_000, "messages kept would be a megabyte a round each way"
    event = await running.event(path="/ws")
    assert (event.status, event.action) == (101, "allow")
