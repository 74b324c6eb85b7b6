"""Ways in which a page or a form could get past the words that are looked for, and requests that are judged as something else."""

import asyncio
import gzip
import random
import ssl
import time
import zlib
from typing import Any

import brotli
import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import zstandard
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from proxy import bodies
from rules.policy import parse_policy
from rules.state import Grant, State

PAGE = ("-H", "Sec-Fetch-Dest: document", "-H", "Accept: text/html")
BAD = b"<!doctype html><title>x</title><p>" + b"how to hurt myself " * 20
LONG = BAD + b"<p>" + bytes(range(97, 123)) * 4000
PACKED = gzip.compress(LONG)
BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "damaged sum at the end": ({"Content-Encoding": "gzip"}, PACKED[:-8] + bytes(4) + PACKED[-4:]),
    "damage inside": ({"Content-Encoding": "gzip"}, PACKED[:200] + b"\xff" * 50 + PACKED[250:]),
    "damaged deflate": ({"Content-Encoding": "deflate"}, zlib.compress(LONG)[:-4] + bytes(4)),
    "unknown coding": ({"Content-Encoding": "none"}, BAD),
    "unknown coding beside a known one": ({"Content-Encoding": "gzip, foo"}, PACKED),
    "no type": ({"Content-Type": ""}, BAD),
    "any type": ({"Content-Type": "*/*"}, BAD),
    "a type that is none": ({"Content-Type": "html"}, BAD),
    "two types": ({"Content-Type": "image/png\r\nContent-Type: text/html"}, BAD),
    "two types in one field": ({"Content-Type": "text/html, image/png"}, BAD),
    "a type with a word behind it": ({"Content-Type": "text/html x"}, BAD),
    "two codings in two fields": ({"Content-Encoding": "identity\r\nContent-Encoding: gzip"}, PACKED),
    "XML": ({"Content-Type": "text/xml"}, b"<a><![CDATA[" + b"how to hurt myself " * 20 + b"]]></a>"),
    "an entity of XML": ({"Content-Type": "text/xml"}, b"<!DOCTYPE a [<!ENTITY b '" + b"how to hurt myself " * 20 + b"'>]><a>&b;</a>"),
    "XHTML": ({"Content-Type": "application/xhtml+xml"}, b"<html><script/><p>" + b"how to hurt myself " * 20 + b"</p></html>"),
    "SVG": ({"Content-Type": "image/svg+xml"}, b"<svg><text>" + b"how to hurt myself " * 20 + b"</text></svg>"),
    "SVG in HTML": ({}, b"<p><svg><text>" + b"how to hurt myself " * 20 + b"</text></svg>"),
    "template": ({}, b"<div><template shadowrootmode=open>" + b"how to hurt myself " * 20 + b"</template></div>"),
    "page in an attribute": ({}, b"<iframe srcdoc='<p>" + b"how to hurt myself " * 20 + b"'></iframe>"),
    "style sheet as a page": ({"Content-Type": "text/css"}, b"how to hurt myself " * 20),
    "punycode": ({"Content-Type": "text/html; charset=punycode"}, BAD),
    "UTF-16 in a page of ASCII": ({}, b"<meta charset=utf-16>" + BAD),
    "UTF-16 in the header": ({"Content-Type": "text/html; charset=utf-16"}, BAD.decode().encode("utf-16-le")),
    "UTF-16 in an XML declaration": ({"Content-Type": "text/xml"}, ("<?xml version='1.0'?>" + BAD.decode()).encode("utf-16-be")),
    "several parts": ({"Content-Type": "multipart/x-mixed-replace; boundary=b"}, b"--b\r\nContent-Type: text/html\r\n\r\n" + BAD),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_a_page_that_is_sent_in_an_odd_way_is_weighed(running: Any, name: str) -> None:
    running.origin.pages["/odd"] = BODIES[name]
    answer = await running.curl("http://allowed.test:H/odd", *PAGE)
    assert answer.status == 403, answer
    assert (await running.event(path="/odd")).reason == "page-text"


async def test_what_is_no_page_is_not_held(running: Any) -> None:
    running.origin.pages["/binary"] = ({"Content-Type": ""}, b"\x89PNG\r\n\x1a\n\0\0" + bytes(3_000_000))
    answer = await running.curl("http://allowed.test:H/binary", *PAGE)
    assert (answer.status, len(answer.body)) == (200, 3_000_010)
    running.origin.pages["/script"] = ({"Content-Type": "text/javascript"}, b"'how to hurt myself';" * 20)
    assert (await running.curl("http://allowed.test:H/script", "-H", "Sec-Fetch-Dest: script")).status == 200


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_a_damaged_body_gives_what_it_held_in_little_time(coding: str, pack: Any) -> None:
    noise = random.Random(7).randbytes(300_000).hex().encode()
    whole = pack(b"begin " + noise)
    middle = len(whole) // 2
    started = time.perf_counter()
    found = bodies.readable(whole[:middle] + b"\xff\0" * 40 + whole[middle + 80 :], coding, 2**20)
    assert time.perf_counter() - started < 1
    assert found.startswith(b"begin " + noise[:100_000])
    assert bodies.readable(whole, coding, 2**20) == b"begin " + noise


def test_many_members_of_a_gzip_file_are_read_in_proportion() -> None:
    many = gzip.compress(b"a") * 40_000
    started = time.perf_counter()
    assert bodies.readable(many, "gzip", 2**20) == b"a" * 40_000
    # With damage behind them, too: what they held comes first.
    assert bodies.readable(many + b"\x1f\x8b damage", "gzip", 2**20).startswith(b"a" * 40_000)
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("status", [b"99", b"-5"])
async def test_a_page_with_a_status_that_is_none_is_weighed(running: Any, status: bytes) -> None:
    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %s X\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status, len(BAD)) + BAD)
        writer.close()

    server = await asyncio.start_server(site, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _open_port(running, port)
    assert (await running.curl(f"http://allowed.test:{port}/", *PAGE)).body.count(b"hurt") == 0
    server.close()


async def test_a_field_of_an_answer_holds_no_other_field(running: Any) -> None:
    running.origin.pages["/fields"] = ({"X-A": 'b\rAlt-Svc: h3=":443"\rContent-Type: text/html', "Content-Type": "image/png"}, BAD)
    answer = await running.curl("http://allowed.test:H/fields", *PAGE)
    assert "\r" not in str(answer.headers)
    assert "alt-svc" not in answer.headers
    assert answer.headers["content-type"] == "image/png"


async def test_a_part_of_a_page_is_never_asked_for_and_one_that_comes_is_weighed(running: Any) -> None:
    await running.curl("http://allowed.test:H/echo", *PAGE, "-H", "Range: bytes=0-10", "-H", 'If-Range: "x"')
    assert not {"range", "if-range"} & set(running.origin.heads[-1])
    await running.curl("http://allowed.test:H/echo", "-H", "Sec-Fetch-Dest: video", "-H", "Range: bytes=0-10")
    assert running.origin.heads[-1]["range"] == "bytes=0-10"


@pytest.mark.parametrize(
    "header",
    [
        ("Content-Encoding: foo",),
        ("Content-Encoding: gzip",),
        ("Content-Type: image/png", "Content-Type: application/x-www-form-urlencoded"),
    ],
)
async def test_a_form_with_odd_headers_is_read(running: Any, header: tuple[str, ...]) -> None:
    kind = () if len(header) > 1 else ("Content-Type: application/x-www-form-urlencoded",)
    text = "text=how+to+hurt+myself"
    lines = "".join(f"{line}\r\n" for line in (*header, *kind))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    head = (
        f"POST http://allowed.test:{running.origin.http}/form HTTP/1.1\r\nHost: allowed.test\r\n{lines}Content-Length: {len(text)}\r\n\r\n"
    )
    writer.write((head + text).encode())
    assert b" 403 " in await reader.readuntil(b"\r\n")
    writer.close()
    assert not running.origin.hits


@pytest.mark.parametrize("path", ["/x#/../secret", "/x%#", "secret", "https://paths.test/secret", "/a b", "/a\tb"])
async def test_a_path_that_is_sent_as_something_else_than_judged_is_refused(running: Any, path: str) -> None:
    context = ssl.create_default_context(cafile=str(running.authority))
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    # For a denied host nobody upstream is asked which protocol it speaks.
    writer.write(f"CONNECT denied.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="denied.test")
    config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":scheme", "https"), (":authority", "denied.test"), (":path", path)], end_stream=True)
    writer.write(client.data_to_send())
    status = ""
    while not status:
        for event in client.receive_data(await asyncio.wait_for(reader.read(65536), 5)):
            if isinstance(event, h2.events.ResponseReceived):
                fields: dict[Any, Any] = dict(event.headers)
                status = fields[":status"]
            if isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                status = "reset"
    writer.close()
    assert status in ("400", "reset")


async def test_no_upgrade_to_http2_without_tls_leaves_the_gateway(running: Any) -> None:
    await running.curl("http://allowed.test:H/echo", "-H", "Connection: Upgrade", "-H", "Upgrade: h2c, foo")
    assert "upgrade" not in running.origin.heads[-1]


async def test_interim_answers_are_not_the_answer(running: Any) -> None:
    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Cont")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"inue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(BAD) + BAD)
        writer.close()

    server = await asyncio.start_server(site, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _open_port(running, port)
    assert (await running.curl(f"http://allowed.test:{port}/", *PAGE)).status == 403
    assert (await running.curl(f"http://allowed.test:{port}/", "-H", "Sec-Fetch-Dest: image")).body == BAD
    server.close()


async def test_a_client_holds_no_more_than_its_share_of_connections(running: Any) -> None:
    running.gateway.max_per_client = 5
    pairs = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(8)]
    await asyncio.sleep(0.1)
    assert len(running.gateway.connections) == 5
    for _, writer in pairs:
        writer.close()
    await asyncio.sleep(0.1)
    assert not running.gateway.by_client
    assert (await running.curl("http://allowed.test:H/a")).status == 200


@pytest.mark.parametrize("ending", ["clock", "snapshot", "rules"])
async def test_a_websocket_does_not_outlive_what_opened_it(running: Any, policy_text: Any, ending: str) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _open_port(running, port)
        now = time.time()
        until = now + 1.5 if ending == "clock" else now + 3600
        if ending != "rules":
            running.live.state = State.of([Grant("g", "host", "denied.test", "/", "group", "pupils", now - 1, until)])
        host = "denied.test" if ending != "rules" else "allowed.test"
        async with connect(f"ws://{host}:{port}/ws", proxy=f"http://127.0.0.1:{running.port}") as socket:
            await socket.send("a")
            assert await socket.recv() == "a"
            if ending == "snapshot":
                running.live.state = State()
            elif ending == "rules":
                policy = parse_policy(
                    policy_text(running.origin).replace('entries = ["denied.test"', 'entries = ["denied.test", "allowed.test"')
                )
                policy = msgspec.structs.replace(policy, safety=running.live.ruleset.policy.safety)
                running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=policy)
            started = time.time()
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert time.time() - (until if ending == "clock" else started) < 1
    assert (await running.event(method="MESSAGE")).action == "block"


async def test_a_spliced_connection_does_not_outlive_its_rule_and_a_divided_site_is_read(running: Any, policy_text: Any) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT spliced.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="spliced.test")
    policy = parse_policy(
        policy_text(running.origin).replace('entries = ["denied.test"', 'entries = ["denied.test", "spliced.test/secret"')
    )
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=policy)
    assert (await running.curl("https://spliced.test:S/secret", *PAGE)).status == 403
    assert (await running.curl("https://spliced.test:S/open", *PAGE)).status == 200
    policy = parse_policy(policy_text(running.origin).replace('entries = ["denied.test"', 'entries = ["denied.test", "spliced.test"'))
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=policy)
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


def _open_port(running: Any, port: int) -> None:
    policy = running.live.ruleset.policy
    ports = frozenset({*policy.safety.ports, port})
    safety = msgspec.structs.replace(policy.safety, ports=ports, connect_ports=ports)
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
