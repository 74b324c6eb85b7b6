"""The gateway between curl and an origin: what passes, what is stopped, what is written down."""

import asyncio
import base64
import gzip
import ssl
import time
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from argon2 import PasswordHasher

from proxy.spool import Spool
from rules.state import Grant, ProxyAccount, State

PAGE = ("-H", "Accept: text/html", "-H", "Sec-Fetch-Dest: document")
BAD_PAGE = b"<!doctype html><title>t</title><p>Here you learn how to hurt myself today.</p>"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_allowed_page_passes_and_makes_one_event(running: Any, scheme: str) -> None:
    answer = await running.curl(f"{scheme}://allowed.test{':H' if scheme == 'http' else ':S'}/hello?secret=1", *PAGE)
    assert (answer.status, b"Hello from the origin" in answer.body) == (200, True)
    event = await running.event(path="/hello")
    assert (event.action, event.reason, event.host, event.status, event.page) == ("allow", "default", "allowed.test", 200, True)
    assert event.bytes_out == len(answer.body)
    assert "secret" not in repr(event)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_blocked_host_gets_our_page_and_is_never_contacted(running: Any, scheme: str) -> None:
    answer = await running.curl(f"{scheme}://denied.test{':H' if scheme == 'http' else ':S'}/x", *PAGE)
    assert answer.status == 403
    assert b"denied.test" in answer.body
    assert b'name="token"' in answer.body
    assert running.origin.connections == 0
    assert (await running.event(path="/x")).reason == "school-deny"


async def test_parts_of_pages_get_small_typed_answers(running: Any) -> None:
    for wanted, media_type in (("image", "image/gif"), ("script", "text/javascript"), ("style", "text/css"), ("empty", "application/json")):
        answer = await running.curl("http://denied.test:H/x", "-H", f"Sec-Fetch-Dest: {wanted}")
        assert answer.status == 403
        assert answer.headers["content-type"].startswith(media_type)
        assert len(answer.body) < 200


async def test_a_sealed_page_shows_no_address_and_the_event_only_its_digest(running: Any) -> None:
    answer = await running.curl("http://iwf.sealed.test/some/where?q=secretword", *PAGE)
    assert answer.status == 403
    assert b"sealed.test" not in answer.body
    assert b"<form" not in answer.body
    event = await running.event(reason="sealed-list")
    assert "sealed.test" not in repr(event)
    assert event.url_digest


async def test_an_exception_in_a_hook_answers_503_and_the_origin_is_not_contacted(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("proxy.asking.decide", broken)
    monkeypatch.setattr("proxy.tunnels.decide", broken)
    for url in ("http://allowed.test:H/a", "https://allowed.test:S/b"):
        answer = await running.curl(url, *PAGE)
        assert answer.status == 503
    assert running.origin.connections == 0
    event = await running.event(path="/a")
    assert (event.action, event.reason) == ("error", "fault")
    assert running.addon.health.faults >= 2


async def test_without_a_ruleset_everything_is_refused(running: Any) -> None:
    running.live.fault = "There is no ruleset."
    assert (await running.curl("http://allowed.test:H/a")).status == 503
    assert (await running.curl("https://allowed.test:S/a")).status != 200
    assert running.origin.connections == 0
    assert any(event.fault == "There is no ruleset." for event in running.spool.events)


async def test_a_fault_while_a_page_is_weighed_answers_503(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("proxy.answering.visible_text", broken)
    answer = await running.curl("http://allowed.test:H/a", *PAGE)
    assert answer.status == 503
    assert b"Hello from the origin" not in answer.body


async def test_a_full_event_queue_refuses_new_requests_before_anything_goes_upstream(running: Any) -> None:
    running.spool.is_full = True
    assert (await running.curl("http://allowed.test:H/a")).status == 503
    assert running.origin.connections == 0


@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
async def test_a_blocked_upload_of_5_mb_is_answered_within_a_second(running: Any, tmp_path: Path, expect: str) -> None:
    (tmp_path / "body").write_bytes(bytes(5_000_000))
    started = time.monotonic()
    answer = await running.curl("https://denied.test:S/up", "--data-binary", f"@{tmp_path / 'body'}", "-H", expect)
    assert answer.status == 403
    assert time.monotonic() - started < 2


async def test_an_allowed_upload_streams_through(running: Any, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(bytes(5_000_000))
    answer = await running.curl("https://allowed.test:S/echo", "--data-binary", f"@{tmp_path / 'body'}", "-H", "Content-Type: video/mp4")
    assert (answer.status, b'"body": 5000000' in answer.body) == (200, True)


async def test_a_form_longer_than_its_limit_is_weighed_at_its_beginning_and_streams_on(running: Any, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"text=" + b"a" * 150_000)
    (tmp_path / "bad").write_bytes(b"text=how+to+hurt+myself&more=" + b"a" * 150_000)
    answer = await running.curl("http://allowed.test:H/echo", "--data-binary", f"@{tmp_path / 'good'}", "-H", "Expect:")
    assert (answer.status, b'"body": 150005' in answer.body) == (200, True)
    answer = await running.curl("http://allowed.test:H/bad", "--data-binary", f"@{tmp_path / 'bad'}", "-H", "Expect:")
    assert answer.status == 403
    assert running.origin.hits["allowed.test/bad"] == 0


async def test_words_in_a_form_are_weighed_before_anything_goes_upstream(running: Any) -> None:
    answer = await running.curl("https://allowed.test:S/post", "--data", "message=how+to+hurt+myself&password=topsecret99", *PAGE)
    assert answer.status == 403
    assert b"0800 1111" in answer.body
    assert answer.body.index(b"you are not alone") < answer.body.index(b"0800 1111") < answer.body.index(b"This page is blocked</h2>")
    assert running.origin.hits["allowed.test/post"] == 0
    event = await running.event(path="/post")
    assert (event.reason, event.level, event.matches) == ("typed-text", 4, ("how to hurt myself",))
    assert "topsecret99" not in repr(event)


async def test_words_on_a_page_are_weighed_whatever_its_coding(running: Any) -> None:
    plain = BAD_PAGE + b"<p>filler</p>" * 50
    codings = {"identity": plain, "gzip": gzip.compress(plain), "br": brotli.compress(plain), "zstd": zstandard.compress(plain)}
    for coding, body in codings.items():
        running.origin.pages[f"/{coding}"] = ({"Content-Encoding": coding}, body)
        answer = await running.curl(f"https://allowed.test:S/{coding}", *PAGE)
        assert answer.status == 403, coding
        event = await running.event(path=f"/{coding}")
        assert (event.reason, event.level) == ("page-text", 4)
        assert "hurt myself" in event.excerpt


async def test_a_page_longer_than_its_limit_is_weighed_at_its_beginning(running: Any) -> None:
    running.origin.pages["/long"] = ({}, b"<!doctype html>" + b"<p>word</p>" * 200_000)
    running.origin.pages["/bad"] = ({}, BAD_PAGE + b"<p>word</p>" * 200_000)
    answer = await running.curl("http://allowed.test:H/long", *PAGE)
    assert (answer.status, len(answer.body)) == (200, len(running.origin.pages["/long"][1]))
    assert (await running.curl("http://allowed.test:H/bad", *PAGE)).status == 403


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_decompression_bomb_is_decided_and_memory_stays_bounded(running: Any, coding: str, least_growth: Any) -> None:
    bomb = bytes(200_000_000)
    packed = {"gzip": gzip.compress, "br": lambda data: brotli.compress(data, quality=1), "zstd": zstandard.compress}[coding](bomb)
    del bomb
    running.origin.pages["/bomb"] = ({"Content-Encoding": coding}, packed)

    async def work() -> None:
        running.spool.events.clear()
        answer = await running.curl("http://allowed.test:H/bomb", "-o", "/dev/null", *PAGE)
        assert answer.exit_code == 0
        await running.event(path="/bomb", status=200)

    assert await least_growth(work, 2) < 80_000_000


async def test_names_that_disagree_are_blocked_and_written_down(running: Any) -> None:
    for url in ("http://allowed.test:H/m", "https://allowed.test:S/m"):
        running.spool.events.clear()
        answer = await running.curl(url, "-H", "Host: other.test", *PAGE)
        assert answer.status == 403
        assert (await running.event(path="/m")).reason == "host-mismatch"
    assert running.origin.hits["other.test/m"] == 0


async def test_a_spliced_connection_is_not_decrypted_and_makes_an_event(running: Any, origin_pem: Path) -> None:
    answer = await running.curl("https://spliced.test:S/s", "--cacert", str(origin_pem))
    assert answer.status == 200
    event = await running.event(inspected=False)
    assert (event.host, event.path, event.method) == ("spliced.test", "/", "CONNECT") or event.path == ""
    assert event.bytes_out > 500


async def test_a_closed_port_refuses_the_tunnel(running: Any) -> None:
    assert (await running.curl("https://allowed.test:22/")).exit_code == 56
    assert (await running.event(method="CONNECT")).reason == "unsafe-port"


async def test_private_addresses_are_refused_also_when_a_name_leads_there(running: Any, tmp_path: Path) -> None:
    for url in ("http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://0x7f.1:9/"):
        assert (await running.curl(url)).status == 403, url
    running.gateway.upstreams.rules = running.gateway.upstreams.rules._replace(hosts={"rebind.test": "192.168.7.7"})
    for url, path in (("http://rebind.test:H/p", "/p"), ("https://rebind.test:S/q", "/q")):
        answer = await running.curl(url, *PAGE)
        assert answer.status == 403
        assert b"private network" in answer.body
        assert b"<form" not in answer.body, "nobody could open it, so nobody is asked to"
        event = await running.event(path=path)
        assert (event.reason, event.status) == ("private-address", 403)
    (tmp_path / "body").write_bytes(bytes(300_000))
    upload = ("--data-binary", f"@{tmp_path / 'body'}", "-H", "Content-Type: video/mp4", "-H", "Expect:")
    assert (await running.curl("http://rebind.test:H/up", *upload)).status == 403
    assert (await running.event(path="/up")).reason == "private-address"


async def test_headers_of_ours_are_stripped_upstream_and_alt_svc_downstream(running: Any) -> None:
    running.origin.pages["/alt"] = ({"Alt-Svc": 'h3=":443"', "Content-Security-Policy": "default-src 'self'"}, b"x")
    answer = await running.curl(
        "http://allowed.test:H/echo", "-H", "X-Schoolgate-Subject: forged", "-H", "YouTube-Restrict: Off",
        "-H", "Accept-Encoding: dcb, gzip",
        user="nobody:wrong",
    )  # fmt: skip
    for word in (b"schoolgate", b"proxy-authorization", b"youtube-restrict", b"dcb"):
        assert word not in answer.body.lower()
    answer = await running.curl("http://allowed.test:H/alt")
    assert "alt-svc" not in answer.headers
    assert answer.headers["content-security-policy"] == "default-src 'self'"


async def test_sign_in_names_the_user_and_group(running: Any) -> None:
    running.live.state = State.of(
        accounts=[ProxyAccount("mrs-smith", PasswordHasher(time_cost=1, memory_cost=1024).hash("right"), "staff")]
    )
    for url, path in (("http://allowed.test:H/one", "/one"), ("https://allowed.test:S/two", "/two")):
        await running.curl(url, user="mrs-smith:right")
        event = await running.event(path=path)
        assert (event.user, event.group, event.identity_source) == ("mrs-smith", "staff", "proxy-auth")
    await running.curl("http://allowed.test:H/three", user="mrs-smith:wrong")
    assert (await running.event(path="/three")).group == "pupils"


async def test_own_pages_come_from_the_console_with_a_signed_subject(running: Any) -> None:
    for url in ("http://schoolgate.internal/echo", "https://schoolgate.internal/echo"):
        answer = await running.curl(url, "-H", "X-Schoolgate-Subject: forged")
        assert answer.status == 200
        header = running.origin.heads[-1]["x-schoolgate-subject"]
        text = header.partition(".")[0]
        assert b'"group":"pupils"' in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_grant_opens_and_closes_on_an_open_connection(running: Any) -> None:
    now = time.time()
    grant = Grant("g", "host", "denied.test", "/", "group", "pupils", now - 1, now + 3600)
    assert (await running.curl("https://denied.test:S/")).status == 403
    running.live.state = State.of([grant])
    assert (await running.curl("https://denied.test:S/")).status == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    statuses = []
    for state in (State.of([grant]), State()):
        running.live.state = state
        writer.write(f"GET http://denied.test:{running.origin.http}/g HTTP/1.1\r\nHost: denied.test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        statuses.append(head.split()[1])
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length"))
        await reader.readexactly(int(length.partition(":")[2]))
    writer.close()
    assert statuses == ["200", "403"]


async def test_upstream_certificates_are_verified(running: Any) -> None:
    answer = await running.curl(f"https://schoolless.test:{running.origin.https}/")
    assert answer.status == 502
    running.gateway.upstreams.rules = running.gateway.upstreams.rules._replace(hosts={"wrong.test": "127.0.0.1"})
    answer = await running.curl("https://wrong.test:S/", *PAGE)
    assert answer.status == 502
    assert running.origin.hits["wrong.test/"] == 0


async def test_upstream_tls_sessions_are_resumed_and_still_belong_to_one_name(running: Any) -> None:
    for _ in range(3):
        assert (await running.curl("https://allowed.test:S/r")).status == 200
    assert running.origin.resumed == 2
    running.gateway.upstreams.rules = running.gateway.upstreams.rules._replace(hosts={"wrong.test": "127.0.0.1"})
    assert (await running.curl("https://wrong.test:S/")).status == 502


async def test_server_sent_events_arrive_while_the_answer_is_still_going_on(running: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET http://allowed.test:{running.origin.http}/sse HTTP/1.1\r\nHost: allowed.test\r\n\r\n".encode())
    async with asyncio.timeout(0.7):
        await reader.readuntil(b"data: one")
    writer.close()


async def test_one_connection_with_many_upstream_connections_stays_small(running: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    request = (
        f"GET http://allowed.test:{running.origin.http}/silent HTTP/1.1\r\nHost: allowed.test\r\nSec-Fetch-Dest: image\r\n\r\n".encode()
    )
    for _ in range(150):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert " 200 " in head
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
        while len(next(iter(running.gateway.connections)).links) > 1:
            await asyncio.sleep(0.001)  # the origin closes without a word; the gateway has to hear of it first
    assert running.origin.connections >= 150
    side = next(iter(running.gateway.connections))
    assert len(side.layer.context.layers) < 10
    assert len(side.links) <= 2
    remembered = [layer for layer in side.layer.context.layers if hasattr(layer, "connections")]
    assert all(len(layer.connections) <= 20 for layer in remembered)
    writer.close()


async def test_an_idle_client_is_closed_and_its_descriptor_given_back(running: Any) -> None:
    running.gateway.idle_seconds = 0.2
    running.gateway._close_idle()
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    async with asyncio.timeout(3):
        assert await reader.read() == b""
    writer.close()
    assert not running.gateway.connections


async def test_garbage_inside_a_tunnel_is_never_relayed(running: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert b"SSH" not in answer
    assert running.origin.connections == 0
    writer.close()


def test_events_are_closed_segments_and_nothing_queued_is_lost(tmp_path: Path) -> None:
    from proxy.health import Health
    from proxy.records import Recorder

    assert Health(tmp_path, "w").requests == 0
    spool = Spool(tmp_path / "spool", "worker-1")
    spool.start()
    recorder = Recorder("worker-1", b"k" * 32)
    for number in range(5_000):
        spool.put(recorder.fault(f"fault {number}"))
    spool.close()
    lines = [line for file in sorted((tmp_path / "spool").glob("*.ndjson")) for line in file.read_text().splitlines()]
    assert len(lines) == 5_000
    assert not list((tmp_path / "spool").glob("*.part"))


async def test_without_a_ruleset_a_tunnel_ends_in_a_page_that_says_so_and_the_next_one_works(running: Any) -> None:
    running.live.fault = "There is no ruleset."
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"CONNECT allowed.test:{running.origin.https} HTTP/1.1\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    running.live.fault = ""
    await writer.start_tls(ssl.create_default_context(cafile=str(running.authority)), server_hostname="allowed.test")
    writer.write(b"GET /a HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"filter has a problem" in answer
    running.live.fault = "There is no ruleset."
    answer = await running.curl("https://allowed.test:S/b", *PAGE)
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert b"filter has a problem" in answer.body
    assert running.origin.connections == 0
    running.live.fault = ""
    assert (await running.curl("https://allowed.test:S/c", *PAGE)).status == 200
