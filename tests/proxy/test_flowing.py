"""Answers that stream: weighed as they pass, cut with a notice in their own form, and left alone where nothing is to be read."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import brotli
import msgspec
import pytest
import zstandard

from proxy.flowing import STOPPED, UNCHECKED, StreamWeigher, kind_of
from proxy.unpacking import Unpacker
from rules.assistants import ASSISTANTS
from rules.decision import Action, Decision, Match, Reason
from rules.policy import parse_policy
from rules.streamed import RunningText

BAD = "Here is how to hurt myself in words that nobody should read."
GOOD = "The canal was dug by hand, and the mill owners paid for it. "
SSE = "text/event-stream"


def delta(token: str) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": token}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def tokens(words: str) -> list[bytes]:
    return [delta(words[at : at + 4]) for at in range(0, len(words), 4)]


def said(body: bytes) -> str:
    """What somebody reads of an answer in deltas."""
    found = ""
    for line in body.decode().splitlines():
        if line.startswith("data: {"):
            found += "".join(choice["delta"].get("content", "") for choice in json.loads(line[6:])["choices"])
    return found


@dataclass
class Site:
    """Streams what it is told to, in chunks, one after another."""

    port: int = 0
    content_type: str = SSE
    extra: str = ""
    chunks: list[bytes] = field(default_factory=list)
    pause: float = 0.0
    endless: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    before_chunk: Callable[[int], None] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        await reader.readexactly(length)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n{self.extra}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for number, chunk in enumerate(self.chunks):
                if self.before_chunk is not None:
                    self.before_chunk(number)
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
                await asyncio.sleep(self.pause)
            if self.endless:
                await reader.read()
            else:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except ConnectionError:
            pass
        self.closed.set()
        writer.close()


@asynccontextmanager
async def streaming(running: Any, **facts: Any) -> AsyncIterator[Site]:
    site = Site(**facts)
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    policy = running.live.ruleset.policy
    safety = msgspec.structs.replace(policy.safety, ports=frozenset({*policy.safety.ports, site.port}))
    running.live.ruleset = msgspec.structs.replace(running.live.ruleset, policy=msgspec.structs.replace(policy, safety=safety))
    async with server:
        yield site


async def test_an_answer_is_cut_at_a_phrase_and_ends_cleanly(running: Any) -> None:
    async with streaming(running, chunks=tokens(GOOD + BAD + GOOD * 20), endless=True) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/chat", "-H", "Accept: text/event-stream")
        await asyncio.wait_for(site.closed.wait(), 5)
    assert (answer.status, answer.exit_code) == (200, 0)
    words = said(answer.body)
    assert words.startswith(GOOD)
    assert "in words that" not in words
    assert STOPPED in words
    assert answer.body.endswith(b"data: [DONE]\n\n")
    event = await running.event(path="/chat")
    assert (event.action, event.reason, event.category, event.level) == ("block", "page-text", "self-harm", 4)
    assert event.matches == ("how to hurt myself",)
    assert "how to hurt myself" in event.excerpt
    assert event.page


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_chunks_may_end_anywhere(running: Any, size: int) -> None:
    stream = b"".join(tokens(GOOD + BAD))
    stream = stream[-4000:] if size == 1 else stream
    async with streaming(running, chunks=[stream[at : at + size] for at in range(0, len(stream), size)]) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert STOPPED in said(answer.body)
    assert "in words that" not in said(answer.body)


@pytest.mark.parametrize("content_type", [SSE, "application/x-ndjson", "video/mp4", "application/json", "text/html"])
async def test_a_harmless_answer_passes_byte_by_byte(running: Any, content_type: str) -> None:
    odd = [b": ping\r\n\r\n", "data: żółw\n\n".encode(), b"data: \xff\xfe\n\n", b"no newline at the end"]
    stream = [*tokens(GOOD * 5), *odd]
    async with streaming(running, chunks=stream, content_type=content_type) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert answer.body == b"".join(stream)
    assert (await running.event(path="/")).action == "allow"


async def test_what_is_no_text_is_not_touched(running: Any) -> None:
    async with streaming(running, chunks=tokens(BAD), content_type="application/octet-stream") as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert answer.body == b"".join(tokens(BAD))


async def test_a_private_site_is_not_read(running: Any) -> None:
    async with streaming(running, chunks=tokens(BAD)) as site:
        answer = await running.curl(f"http://skipped.test:{site.port}/")
        typed = await running.curl(f"http://skipped.test:{site.port}/", "-d", f"text={BAD}")
    assert said(answer.body) == BAD
    assert typed.status == 200


def packed(coding: str, chunks: list[bytes]) -> list[bytes]:
    """Each chunk compressed and flushed, as streaming servers do."""
    if coding == "br":
        stream = brotli.Compressor()
        return [stream.process(chunk) + stream.flush() for chunk in chunks] + [stream.finish()]
    if coding == "zstd":
        writer = zstandard.ZstdCompressor().compressobj()
        return [writer.compress(chunk) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for chunk in chunks] + [writer.flush()]
    deflater = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw": -15}[coding])
    return [deflater.compress(chunk) + deflater.flush(zlib.Z_SYNC_FLUSH) for chunk in chunks] + [deflater.flush()]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw", "br", "zstd"])
async def test_a_packed_stream_is_unpacked_as_it_comes(running: Any, coding: str) -> None:
    name = {"raw": "deflate"}.get(coding, coding)
    chunks = packed(coding, tokens(GOOD * 3 + BAD))
    async with streaming(running, chunks=chunks, extra=f"Content-Encoding: {name}\r\n", pause=0.001) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert "content-encoding" not in answer.headers
    assert said(answer.body).startswith(GOOD * 3)
    assert STOPPED in said(answer.body)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_damaged_stream_ends_with_a_notice(running: Any, coding: str) -> None:
    chunks = [*packed(coding, tokens(GOOD))[:3], b"this is no compressed data at all, whatever its name says" * 20]
    async with streaming(running, chunks=chunks, extra=f"Content-Encoding: {coding}\r\n", pause=0.01) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert answer.exit_code == 0
    assert UNCHECKED in answer.body.decode()
    assert (await running.event(method="MESSAGE")).fault.startswith("UnreadableError")


def test_a_bomb_does_not_unfold() -> None:
    pieces = Unpacker("gzip").feed(gzip.compress(bytes(200_000_000), 9))
    with pytest.raises(ValueError, match="without end"):
        assert max(map(len, pieces)) < 2_000_000


async def test_a_fault_of_ours_ends_the_answer_with_a_notice(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("proxy.flowing.RunningText.add", broken)
    async with streaming(running, chunks=tokens(GOOD), endless=True) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert answer.exit_code == 0
    assert UNCHECKED in answer.body.decode()
    assert GOOD[:4] not in answer.body.decode().replace(UNCHECKED, "")
    assert (await running.event(method="MESSAGE")).action == "error"
    assert running.addon.health.faults == 1


async def test_rules_that_may_not_be_used_end_an_open_stream(running: Any) -> None:
    def forbid(number: int) -> None:
        if number == 5:
            running.live.fault = "A sealed list is missing."

    async with streaming(running, chunks=tokens(GOOD), pause=0.02, before_chunk=forbid) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert UNCHECKED in answer.body.decode()


async def test_a_new_rule_ends_an_open_stream(running: Any, policy_text: Any) -> None:
    def deny(number: int) -> None:
        if number == 5:
            policy = parse_policy(policy_text(running.origin) + '[[deny]]\nentries = ["allowed.test"]\n')
            old = running.live.ruleset
            safety = old.policy.safety
            running.live.ruleset = msgspec.structs.replace(old, policy=msgspec.structs.replace(policy, safety=safety))

    async with streaming(running, chunks=tokens(GOOD), pause=0.02, before_chunk=deny) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert STOPPED in answer.body.decode()
    assert (await running.event(path="/")).reason == "school-deny"


async def test_words_that_are_only_logged_pass_and_are_written_down_once(running: Any, policy_text: Any) -> None:
    old = running.live.ruleset
    text = policy_text(running.origin).replace('self-harm = "block"', 'self-harm = "log"')
    running.live.ruleset = msgspec.structs.replace(old, policy=parse_policy(text))
    async with streaming(running, chunks=tokens((GOOD + BAD) * 5)) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert said(answer.body) == (GOOD + BAD) * 5
    event = await running.event(method="MESSAGE")
    assert (event.action, event.reason, event.level) == ("log", "page-text", 4)
    assert (await running.event(method="GET")).action == "allow"


async def test_lines_of_json_and_json_of_an_assistant_are_weighed(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"message": {"content": BAD[at : at + 5]}, "done": False}).encode() + b"\n" for at in range(0, len(BAD), 5)]
    async with streaming(running, chunks=lines, content_type="application/x-ndjson") as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/ndjson")
    assert json.loads(answer.body.splitlines()[-1])["done"]
    assert STOPPED in answer.body.decode()
    document = json.dumps({"id": 1, "answer": [{"text": GOOD * 3 + BAD}]}).encode()
    chunks = [document[at : at + 30] for at in range(0, len(document), 30)]
    monkeypatch.setattr(type(ASSISTANTS), "covers", lambda _, url: url.host == "allowed.test")
    async with streaming(running, chunks=chunks, content_type="application/json", pause=0.005) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/json", "-d", "{}", "-H", "Content-Type: application/json")
        history = await running.curl(f"http://allowed.test:{site.port}/json", "-H", "Sec-Fetch-Dest: empty")
    text = json.loads(answer.body)["answer"][0]["text"]
    assert text.startswith(GOOD * 3)
    assert STOPPED in text
    assert history.body == document


async def test_silence_settles_a_phrase_at_the_end(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ASSISTANTS), "covers", lambda _, url: url.host == "allowed.test")
    async with streaming(running, chunks=tokens(BAD[: BAD.index(" in words")]), endless=True) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert (await running.event(path="/")).action == "block"


async def test_an_endless_stream_does_not_fill_the_memory(running: Any) -> None:
    async with streaming(running, chunks=tokens(GOOD) * 300) as site:
        answer = await running.curl(f"http://allowed.test:{site.port}/", "-o", "/dev/null")
    assert answer.exit_code == 0
    event = await running.event(path="/")
    assert event.bytes_out == len(b"".join(tokens(GOOD))) * 300


# --- the weigher by itself ------------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def weigher(clock: Clock) -> StreamWeigher:
    def judge(text: str) -> Decision | None:
        at = text.find("bomb")
        match = Match("bomb", "violence", 4, 100, "prompt", at, at + 4)
        return None if at < 0 else Decision(Action.BLOCK, Reason.PAGE_TEXT, matches=(match,))

    return StreamWeigher(
        "text", "text/plain", "", RunningText(judge, frozenset(), joined=True), stops=lambda _: True, broken=lambda _: None,
        still_open=lambda: True, clock=clock,
    )  # fmt: skip


def test_only_what_may_stop_is_held_back_and_not_for_long() -> None:
    clock = Clock()
    one = weigher(clock)
    assert one.feed(b"Harmless words, ").data == b"Harmless words, "
    step = one.feed(b"a bomb")
    assert step.data == b""
    assert step.wake == pytest.approx(0.04)
    clock.now += 0.05
    step = one.tick()
    assert (step.data, step.cut) == (b"a bomb", False)
    assert step.wake == 1.0
    # "bomb" was the start of another word in this test's own judge only; here it still is one.
    assert one.feed(b" shelter").cut


def test_after_the_end_nothing_passes() -> None:
    one = weigher(Clock())
    assert one.feed(b"a bomb, ready").cut
    assert one.feed(b"more") == (b"", None, False)
    assert one.end() == (b"", None, False)


@pytest.mark.parametrize(
    ("content_type", "assistant", "kind"),
    [
        ("text/event-stream; charset=utf-8", False, "events"), ("application/x-ndjson", False, "lines"), ("application/json", False, None),
        ("application/json", True, "lines"), ("text/plain", True, "text"), ("text/html", True, None), ("image/png", True, None),
        ("video/mp4, text/event-stream", False, "events"), ("", True, None),
    ],
)  # fmt: skip
def test_kinds_of_streams(content_type: str, assistant: bool, kind: str | None) -> None:
    assert kind_of(content_type, assistant=assistant) == kind
