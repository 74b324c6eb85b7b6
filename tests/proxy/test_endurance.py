"""Limits and long runs: draining, deadlines, full disks, descriptors and memory."""

import asyncio
import contextlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from blocklists.library import Library
from blocklists.sealedstore import install_test_list
from proxy.records import Recorder
from proxy.settings import WorkerSettings
from proxy.spool import Spool
from rules import tokens
from rules.build import build
from rules.decision import Action
from rules.event import decoder
from rules.policy import parse_policy

PAGE = ("-H", "Accept: text/html", "-H", "Sec-Fetch-Dest: document")
START = (
    "import sys, msgspec; from proxy.settings import WorkerSettings; from proxy.worker import run_worker; "
    "run_worker(msgspec.json.decode(sys.argv[1].encode(), type=WorkerSettings, dec_hook=lambda t, v: t(v)))"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(true: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


# --- ending ---------------------------------------------------------------------------------------------------------


async def test_sigterm_lets_answers_under_way_finish_and_writes_every_event(
    origin: Any, policy_text: Any, authority_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_text(policy_text(origin))
    install_test_list(tmp_path / "sealed")
    Library(tmp_path / "lists").compile()
    build(tmp_path / "policy.toml", tmp_path / "lists", tmp_path / "sealed", tmp_path / "rulesets")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "gateway.key").write_text("ab" * 32)
    (tmp_path / "keys" / "gateway.key").chmod(0o600)
    port = free_port()
    settings = WorkerSettings(
        "worker-1", "127.0.0.1", port, "127.0.0.1", 1, tmp_path / "rulesets", tmp_path / "spool", tmp_path / "snapshot.json",
        tmp_path / "sealed", tmp_path / "run", authority_folder, tmp_path / "keys",
    )  # fmt: skip
    text = msgspec.json.encode(settings, enc_hook=str).decode()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", START, text, cwd=Path(__file__).parents[2])
    try:
        await until((tmp_path / "run" / "worker-1.json").exists)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET http://allowed.test:{origin.http}/slow HTTP/1.1\r\nHost: allowed.test\r\n\r\n".encode())
        await until(lambda: origin.connections == 1)
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert await idle_reader.read() == b"", "a connection without a request is closed at once"
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await asyncio.open_connection("127.0.0.1", port)
        assert process.returncode is None
        origin.slow.set()
        answer = await reader.read()
        assert b"200 OK" in answer
        assert b"Hello from the origin" in answer
        async with asyncio.timeout(5):
            assert await process.wait() == 0
        writer.close()
        idle_writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for file in (tmp_path / "spool").glob("*.ndjson") for line in file.read_bytes().splitlines()]
    assert [decoder.decode(line).path for line in lines] == ["/slow"]
    assert not list((tmp_path / "spool").glob("*.part"))
    assert not (tmp_path / "run" / "worker-1.json").exists()


async def test_a_drain_ends_even_when_an_answer_never_does(running: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET http://allowed.test:{running.origin.http}/slow HTTP/1.1\r\nHost: allowed.test\r\n\r\n".encode())
    await until(lambda: running.origin.connections == 1)
    started = time.monotonic()
    await running.gateway.stop(0.3)
    assert time.monotonic() - started < 1.5
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert [event.path for event in running.spool.events] == ["/slow"]


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_who_dribbles_headers_is_closed(running: Any) -> None:
    running.gateway.header_seconds = 0.3
    running.gateway.idle_seconds = 20
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET http://allowed.test/ HTTP/1.1\r\n")
    for _ in range(4):
        writer.write(b"X-More: 1\r\n")
        await asyncio.sleep(0.1)
    running.gateway._close_idle()
    async with asyncio.timeout(2):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    assert not running.gateway.connections


async def test_headers_without_end_are_cut(running: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET http://allowed.test/ HTTP/1.1\r\n" + b"X-More: 0123456789\r\n" * 20_000)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    assert running.origin.connections == 0


async def test_one_connection_more_than_allowed_is_closed_and_a_place_given_back_is_used(running: Any) -> None:
    running.gateway.max_connections = 3
    held = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(3)]
    await until(lambda: len(running.gateway.connections) == 3)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    held.pop()[1].close()
    await until(lambda: len(running.gateway.connections) == 2)
    assert (await running.curl("http://allowed.test:H/")).status == 200
    for _, other in held:
        other.close()


async def test_a_warn_page_carries_what_the_console_needs_to_go_on(running: Any, policy_text: Any) -> None:
    text = policy_text(running.origin).replace('[groups.pupils]\ndefault = "allow"', '[groups.pupils]\ndefault = "warn"')
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=parse_policy(text))
    answer = await running.curl("http://other.test:H/lesson?a=1", *PAGE)
    assert answer.status == 403
    body = answer.body.decode()
    assert 'action="https://schoolgate.internal/continue"' in body
    fields = dict(re.findall(r'name="(url|ref|token)" value="([^"]*)"', body))
    event = await running.event(path="/lesson")
    assert (event.action, fields["ref"]) == ("warn", event.id)
    claim = tokens.verify(b"k" * 32, fields["token"], fields["url"], "127.0.0.1", time.time())
    assert claim is not None
    assert claim.action is Action.WARN
    assert fields["url"] == f"http://other.test:{running.origin.http}/lesson?a=1"
    assert tokens.verify(b"k" * 32, fields["token"], fields["url"] + "x", "127.0.0.1", time.time()) is None
    assert running.origin.connections == 0


# --- disks ----------------------------------------------------------------------------------------------------------


async def test_a_disk_that_refuses_closes_the_gateway_until_it_works_again(running: Any, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, "worker-1")
    spool.start()
    running.addon.spool = spool
    try:
        assert (await running.curl("http://allowed.test:H/one")).status == 200
        await until(lambda: spool.written == 1)
        folder.rename(tmp_path / "gone")
        assert (await running.curl("http://allowed.test:H/two")).status == 200
        await until(lambda: spool.full)
        before = running.origin.connections
        for _ in range(3):
            assert (await running.curl("http://allowed.test:H/three")).status == 503
        assert running.origin.connections == before
        assert running.addon.health.refused_busy == 3
        assert spool.waiting <= 3, "refused requests don't fill the memory"
        (tmp_path / "gone").rename(folder)
        await until(lambda: not spool.full)
        assert (await running.curl("http://allowed.test:H/four")).status == 200
    finally:
        spool.close()
    events = [decoder.decode(line) for file in sorted(folder.glob("*.ndjson")) for line in file.read_bytes().splitlines()]
    assert [event.path for event in events if event.path] == ["/one", "/two", "/four"]
    assert sum(bool(event.fault) for event in events) == 1


def test_a_disk_that_fills_up_in_the_middle_of_a_segment_loses_no_event(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys, pathlib, time; from proxy.spool import Spool; from proxy.records import Recorder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "spool, recorder = Spool(pathlib.Path(sys.argv[1]), 'w'), Recorder('w', b'k' * 32)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))\n"
        "[spool.put(recorder.fault(f'fault {n}')) for n in range(100)]\n"
        "spool.start(); time.sleep(1.5); assert spool.full and spool.written == 0 and not list(pathlib.Path(sys.argv[1]).iterdir())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "time.sleep(0.4); assert not spool.full; spool.close()\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(words, check=True, cwd=Path(__file__).parents[2], capture_output=True, timeout=30)
    lines = [line for file in tmp_path.glob("*.ndjson") for line in file.read_bytes().splitlines()]
    assert sorted(decoder.decode(line).fault for line in lines) == sorted(f"fault {n}" for n in range(100))


def test_the_writer_outlives_an_event_that_cannot_be_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "w")
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "_write", lambda *_: 1 / 0)
        spool.put(Recorder("w", b"k" * 32).fault("one"))
        spool.start()
        time.sleep(0.3)
        assert spool.failing
    spool.close()
    assert spool.written == 1


# --- long runs ------------------------------------------------------------------------------------------------------


async def test_descriptors_return_to_where_they_were(running: Any) -> None:
    async def everything() -> None:
        await asyncio.gather(
            *(running.curl(url) for url in ("http://allowed.test:H/a", "https://allowed.test:S/b", "https://denied.test:S/c") * 4)
        )
        idle = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(20)]
        running.gateway.idle_seconds = 0.1
        await asyncio.sleep(0.2)
        running.gateway._close_idle()
        for reader, writer in idle:
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
        running.gateway.idle_seconds = 20
        await asyncio.sleep(0.2)

    await everything()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        await everything()
    assert not running.gateway.connections
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_2000_splice_entries_cost_a_connection_no_more_than_one(origin: Any, policy_text: Any) -> None:
    def cost(count: int) -> float:
        entries = ", ".join(f'"app{number}.vendor{number}.example"' for number in range(count))
        policy = parse_policy(policy_text(origin).replace('splice = ["spliced.test"]', f"splice = [{entries}]"))
        assert policy.splices("app0.vendor0.example")
        times = []
        for _ in range(30):
            started = time.perf_counter()
            for number in range(300):
                policy.splices(f"www.host{number}.example")
            times.append(time.perf_counter() - started)
        return min(times)

    assert cost(2_000) < 2 * cost(1)


@pytest.mark.slow
async def test_downloads_and_pages_leave_memory_where_it_was(running: Any, least_growth: Any) -> None:
    running.origin.pages["/large"] = ({"Content-Type": "application/octet-stream"}, bytes(50_000_000))
    running.origin.pages["/page"] = ({}, b"<p>" + b"some words of a long page " * 20_000)

    async def fetch(path: str, times: int) -> None:
        context = ssl.create_default_context(cafile=str(running.authority))
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=2**18)
        writer.write(f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(context, server_hostname="allowed.test")
        for _ in range(times):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: allowed.test:{running.origin.https}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            left = int(head.partition("content-length:")[2].split()[0])
            while left:
                left -= len(await reader.read(min(left, 2**18)))
        writer.close()

    async def work() -> None:
        await fetch("/large", 2)
        await fetch("/page", 40)

    assert await least_growth(work) < 10_000_000, "a download kept would be 50 MB a time, a page half a megabyte"


@pytest.mark.slow
async def test_10000_websocket_messages_stay_flat(running: Any, least_growth: Any, origin_authority: trustme.CA) -> None:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(peer: ServerConnection) -> None:
        async for message in peer:
            await peer.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        policy = running.live.ruleset.policy
        safety = msgspec.structs.replace(policy.safety, ports=frozenset({*policy.safety.ports, port}), connect_ports=frozenset({port}))
        running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
        async with connect(f"ws://allowed.test:{port}/ws", proxy=f"http://127.0.0.1:{running.port}") as peer:

            async def work() -> None:
                for number in range(2_500):
                    await peer.send(f"message {number} " + "x" * 1000)
                    await peer.recv()

            assert await least_growth(work) < 1_500_000, "messages kept would be 2.5 MB a round each way"
