"""What people type: long forms, prompts for AI assistants, and WebSocket messages."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from blocklists.url import canonicalise
from rules.assistants import ASSISTANTS
from rules.forms import typed_texts
from rules.keywords import KeywordMatcher
from rules.keywords.sets import parse_keyword_file
from rules.videos import _shows_videos

BAD = "please tell me how to hurt myself tonight"


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "application/graphql+json"])
async def test_a_padded_form_is_weighed_before_anything_goes_upstream(running: Any, tmp_path: Path, kind: str, coding: str) -> None:
    padding = "a" * 3_000_000
    body = json.dumps({"t": BAD, "more": padding}) if "json" in kind else f"t={BAD.replace(' ', '+')}&more={padding}"
    (tmp_path / "body").write_text(body)
    more = ("-H", "Transfer-Encoding: chunked") if coding == "chunked" else ()
    answer = await running.curl(
        "http://allowed.test:H/form", "--data-binary", f"@{tmp_path / 'body'}", "-H", f"Content-Type: {kind}", "-H", "Expect:", *more
    )
    assert answer.status == 403
    assert running.origin.connections == 0
    assert (await running.event(path="/form")).reason == "typed-text"


async def test_an_upload_of_a_form_type_streams_on_after_its_beginning_was_weighed(running: Any, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"t=good+day&more=" + b"a" * 20_000_000)
    answer = await running.curl("https://allowed.test:S/echo", "--data-binary", f"@{tmp_path / 'body'}", "-H", "Expect:")
    assert (answer.status, b'"body": 20000016' in answer.body) == (200, True)
    assert (await running.event(path="/echo")).bytes_in == 20_000_016


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://chatgpt.com/backend-api/conversation", True), ("https://eu.chatgpt.com/", True), ("https://api.openai.com/v1/x", True),
        ("https://notchatgpt.com/", False), ("https://chatgpt.com.evil.test/", False), ("https://x.com/i/grok", True),
        ("https://x.com/i/grok/share/1", True), ("https://x.com/i/grokking", False), ("https://x.com/home", False),
    ],
)  # fmt: skip
def test_hosts_and_paths_of_assistants_are_told_from_others(url: str, expected: bool) -> None:
    assert ASSISTANTS.covers(canonicalise(url)) is expected


def test_every_assistant_of_the_reference_list_is_known(shared_data: Path) -> None:
    for line in (shared_data / "conformance" / "matomo_AIAssistants.yml").read_text().splitlines():
        if line.startswith("  - "):
            assert ASSISTANTS.covers(canonicalise(f"https://{line[4:].strip()}")), line


def test_a_prompt_in_an_address_is_found_at_assistants_only() -> None:
    assert ASSISTANTS.prompt_of(canonicalise("https://chatgpt.com/?q=how+to+fly%3F&model=x")) == "how to fly?"
    assert ASSISTANTS.prompt_of(canonicalise("https://example.org/?q=how+to+fly")) is None


def test_text_for_an_assistant_is_a_prompt() -> None:
    body = json.dumps({"messages": [{"content": {"parts": [BAD]}}]}).encode()
    assert [(text.text, text.context) for text in typed_texts(body, "application/json", prompt=True)] == [(BAD, "prompt")]


async def test_a_prompt_is_weighed_as_one(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ASSISTANTS), "covers", lambda _, url: url.host == "allowed.test")
    body = json.dumps({"prompt": BAD})
    answer = await running.curl("http://allowed.test:H/chat", "--data-binary", body, "-H", "Content-Type: application/json")
    assert answer.status == 403
    event = await running.event(path="/chat")
    assert event.matches == ("how to hurt myself",)
    assert (await running.curl("http://allowed.test:H/ask?q=how+to+hurt+myself")).status == 403


async def test_a_form_in_a_coding_that_nobody_knows_is_refused(running: Any, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(bytes(range(256)) * 4)
    packed = ("--data-binary", f"@{tmp_path / 'body'}", "-H", "Content-Type: application/json", "-H", "Content-Encoding: secret-lz")
    assert (await running.curl("http://allowed.test:H/packed", *packed)).status == 403
    assert running.origin.connections == 0
    event = await running.event(path="/packed")
    assert (event.action, event.reason, event.rule) == ("block", "unreadable", "Content-Encoding: secret-lz")
    # Text under an odd name is read as it is, and files are nobody's words.
    odd = ("-H", "Content-Type: application/json", "-H", "Content-Encoding: secret-lz")
    assert (await running.curl("http://allowed.test:H/odd", "-d", '{"t": "good day"}', *odd)).status == 200
    assert (await running.curl("http://allowed.test:H/bad", "-d", json.dumps({"t": BAD}), *odd)).status == 403
    file = ("--data-binary", f"@{tmp_path / 'body'}", "-H", "Content-Type: image/png", "-H", "Content-Encoding: secret-lz")
    assert (await running.curl("http://allowed.test:H/file", *file)).status == 200


async def test_nothing_that_is_typed_on_a_private_site_is_read(running: Any) -> None:
    assert (await running.curl("http://skipped.test:H/form", "-d", f"text={BAD.replace(' ', '+')}")).status == 200
    assert (await running.event(path="/form")).matches == ()


@pytest.mark.parametrize("answer", ["page", "player"])
async def test_the_title_of_a_video_is_weighed_by_itself(running: Any, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    policy = running.live.ruleset.policy
    # At this weight one phrase stops a title, and not a page.
    sets = parse_keyword_file('[[keyword_sets]]\ncategory = "self-harm"\nweight = 70\nlevel = 4\nwords = ["how to hurt myself"]', "x")
    ruleset = msgspec.structs.replace(running.live.ruleset, keywords=KeywordMatcher.build(sets, policy.text.thresholds))
    running.live.ruleset = ruleset
    monkeypatch.setattr("rules.videos._hosts", lambda: frozenset({"allowed.test"}))
    _shows_videos.cache_clear()
    page = ({}, b"<!doctype html><title>How to hurt myself</title><p>A video.")
    player = ({"Content-Type": "application/json"}, json.dumps({"videoDetails": {"title": "How to hurt myself"}}).encode())
    running.origin.pages["/watch"] = page
    running.origin.pages["/youtubei/v1/player"] = player
    path, wanted = {"page": ("/watch", "document"), "player": ("/youtubei/v1/player", "empty")}[answer]
    seen = await running.curl(f"http://allowed.test:H{path}", "-H", f"Sec-Fetch-Dest: {wanted}")
    _shows_videos.cache_clear()
    assert seen.status == 403
    event = await running.event(path=path)
    assert (event.reason, event.level, event.excerpt) == ("page-text", 4, "How to hurt myself")
    running.origin.pages["/watch"] = page
    elsewhere = await running.curl("http://other.test:H/watch", "-H", "Sec-Fetch-Dest: document")
    assert elsewhere.status == 200


# --- WebSocket ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def chat(running: Any, authority: trustme.CA) -> AsyncIterator[tuple[ClientConnection, list[str | bytes]]]:
    """A WebSocket through the gateway to a site that echoes and remembers."""
    heard: list[str | bytes] = []

    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            heard.append(message)
            await socket.send(message)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("allowed.test", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    async with serve(echo, "127.0.0.1", 0, ssl=context, max_size=2**25) as server:
        port = server.sockets[0].getsockname()[1]
        policy = running.live.ruleset.policy
        ports = frozenset({*policy.safety.ports, port})
        safety = msgspec.structs.replace(policy.safety, ports=ports, connect_ports=ports)
        running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
        trust = ssl.create_default_context(cafile=str(running.authority))
        proxy = f"http://127.0.0.1:{running.port}"
        async with connect(f"wss://allowed.test:{port}/ws", ssl=trust, proxy=proxy, max_size=2**25) as socket:
            yield socket, heard


async def exchange(socket: ClientConnection, message: str | list[str]) -> None:
    await socket.send(message)
    await socket.recv()


async def test_a_blocked_message_never_arrives_and_closes_the_socket(running: Any, origin_authority: trustme.CA) -> None:
    async with chat(running, origin_authority) as (socket, heard):
        await socket.send("good morning everybody")
        assert await socket.recv() == "good morning everybody"
        await socket.send(json.dumps(["message", {"text": BAD}]))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1008
    assert heard == ["good morning everybody"]
    event = await running.event(method="MESSAGE")
    assert (event.action, event.reason, event.host, event.matches) == ("block", "typed-text", "allowed.test", ("how to hurt myself",))
    assert event.status == 0


async def test_a_message_in_many_frames_is_weighed_whole(running: Any, origin_authority: trustme.CA) -> None:
    async with chat(running, origin_authority) as (socket, heard):
        with pytest.raises(ConnectionClosed):
            await exchange(socket, [word + " " for word in BAD.split()])
        assert socket.close_code == 1008
    assert heard == []


async def test_only_the_beginning_of_a_long_message_is_weighed(running: Any, origin_authority: trustme.CA) -> None:
    async with chat(running, origin_authority) as (socket, heard):
        for message in ("a b " * 20_000 + BAD, bytes(100_000)):
            await socket.send(message)
            assert await socket.recv() == message
    assert len(heard) == 2


async def test_a_message_without_end_closes_the_socket(running: Any, origin_authority: trustme.CA) -> None:
    async with chat(running, origin_authority) as (socket, heard):
        with pytest.raises(ConnectionClosed):
            await exchange(socket, "a b " * 4_000_000)
        assert socket.close_code == 1009
    assert heard == []


async def test_a_fault_while_a_message_is_weighed_closes_the_socket(
    running: Any, origin_authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async with chat(running, origin_authority) as (socket, heard):
        monkeypatch.setattr("proxy.messages.decide", broken)
        with pytest.raises(ConnectionClosed):
            await exchange(socket, "good morning")
    assert heard == []
    assert running.addon.health.faults == 1


async def test_an_open_socket_obeys_a_ruleset_that_may_not_be_used(running: Any, origin_authority: trustme.CA) -> None:
    async with chat(running, origin_authority) as (socket, heard):
        running.live.fault = "A sealed list is missing."
        with pytest.raises(ConnectionClosed):
            await exchange(socket, "good morning")
    await asyncio.sleep(0)
    assert heard == []


async def test_what_the_site_sends_is_weighed_too_and_cut_with_a_notice(running: Any, origin_authority: trustme.CA) -> None:
    # Typed words are not read here, so that the site's echo can say them.
    policy = running.live.ruleset.policy
    unread = msgspec.structs.replace(policy, text=msgspec.structs.replace(policy.text, typed=False))
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=unread)
    message = json.dumps({"text": BAD})
    async with chat(running, origin_authority) as (socket, heard):
        await socket.send(message)
        notice = json.loads(str(await socket.recv()))
        assert notice["error"]["code"] == "content_filter"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1008
    assert heard == [message]
    event = await running.event(method="MESSAGE")
    assert (event.action, event.reason, event.matches) == ("block", "page-text", ("how to hurt myself",))
