"""Upstream connections that a site closed without a word."""

import asyncio
import ssl
import time
from typing import Any

import pytest


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str, body: bytes = b"") -> int:
    writer.write(request.encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
    return int(head.split()[1])


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_idempotent_request_on_a_connection_that_just_closed_is_asked_again(running: Any, method: str) -> None:
    running.origin.answers_per_connection = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    body = b"" if method == "GET" else b'{"text": "good day"}'
    head = (
        f"{method} http://allowed.test:{running.origin.http}/echo HTTP/1.1\r\nHost: allowed.test\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nSec-Fetch-Dest: image\r\n\r\n"
    )
    assert [await ask(reader, writer, head, body) for _ in range(5)] == [200] * 5
    writer.close()
    assert running.origin.hits["allowed.test/echo"] == 5
    await asyncio.sleep(0.05)
    assert [event.status for event in running.spool.events] == [200] * 5


async def test_a_closed_connection_is_replaced_inside_a_tunnel_too(running: Any) -> None:
    running.origin.answers_per_connection = 1
    context = ssl.create_default_context(cafile=str(running.authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(context, server_hostname="allowed.test")
    head = f"GET /echo HTTP/1.1\r\nHost: allowed.test:{running.origin.https}\r\nSec-Fetch-Dest: image\r\n\r\n"
    assert [await ask(reader, writer, head) for _ in range(4)] == [200] * 4
    writer.close()
    assert running.origin.hits["allowed.test/echo"] == 4


async def test_a_request_that_changes_something_is_never_repeated(running: Any) -> None:
    running.origin.answers_per_connection = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    start = f"http://allowed.test:{running.origin.http}/echo HTTP/1.1\r\nHost: allowed.test\r\n"
    assert await ask(reader, writer, f"GET {start}\r\n") == 200
    writer.write(f"POST {start}Content-Length: 2\r\n\r\nhi".encode())
    assert b" 502 " in await reader.readline()
    writer.close()
    assert running.origin.hits["allowed.test/echo"] == 1


async def test_a_new_connection_that_closes_is_not_tried_for_ever(running: Any) -> None:
    running.origin.answers_per_connection = 0
    started = time.monotonic()
    assert (await running.curl("http://allowed.test:H/x")).status == 502
    assert running.origin.connections == 1
    assert time.monotonic() - started < 5


@pytest.mark.slow
async def test_5000_requests_on_one_connection_to_a_site_that_always_closes_stay_flat(running: Any, least_growth: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    request = f"GET http://allowed.test:{running.origin.http}/silent HTTP/1.1\r\nHost: allowed.test\r\nSec-Fetch-Dest: image\r\n\r\n"

    async def one() -> None:
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))

    times: list[float] = []

    async def work() -> None:
        for _ in range(1_000):
            if reader.at_eof():
                raise AssertionError(f"the gateway closed the connection after {len(times)} requests")
            started = time.perf_counter()
            await one()
            times.append(time.perf_counter() - started)
            running.spool.events.clear()
            running.origin.heads.clear()

    assert await least_growth(work, 5) < 2_000_000, "a flow that is kept is some 20 kB"
    writer.close()
    first, last = sorted(times[500:1_500])[500], sorted(times[-1_000:])[500]
    assert last < 1.6 * first
