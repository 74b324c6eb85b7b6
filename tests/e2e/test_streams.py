"""Answers that stream, end to end: cut near the phrase with a notice, over HTTP/1.1, HTTP/2 and WebSocket; harmless ones on time."""

import base64
import json
import ssl
import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .harness import Gateway, wait_for

GOOD = "The canal was dug by hand, and the mill owners paid for it in coin. "
PHRASE = "I want to kill myself tonight"
NOTICE = "stopped by the school's filter"
MOST = 200
"""Characters after the phrase that a reader may still get."""


def openai(words: str) -> list[str]:
    chunks = ({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": words[at : at + 5]}}]}
              for at in range(0, len(words), 5))  # fmt: skip
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]


def claude(words: str) -> list[str]:
    chunks = ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words[at : at + 5]}}
              for at in range(0, len(words), 5))  # fmt: skip
    return [f"event: content_block_delta\ndata: {json.dumps(chunk)}\n\n" for chunk in chunks]


def text_of(events: str) -> str:
    """What a reader sees of an answer in either form."""
    found = ""
    for line in events.splitlines():
        if line.startswith("data: {"):
            value = json.loads(line[6:])
            if "choices" in value:
                found += "".join(choice["delta"].get("content", "") for choice in value["choices"])
            else:
                found += value.get("delta", {}).get("text", "")
    return found


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[httpx2.Client]:
    """A client through the gateway that speaks one version of HTTP."""
    trust = ssl.create_default_context(cafile=str(gateway.authority))
    with httpx2.Client(proxy=gateway.proxy, verify=trust, http2=request.param == "HTTP/2", trust_env=False, timeout=20) as one:
        one.headers["x-version"] = request.param
        yield one


def ask(client: httpx2.Client, gateway: Gateway, chunks: list[str], **more: Any) -> str:
    """Post for a stream; return all of its body, which has to end in order."""
    wanted = {"type": "text/event-stream", "chunks": chunks, **more}
    with client.stream("POST", gateway.url("allowed.test", "/stream"), json=wanted) as answer:
        assert (answer.status_code, answer.http_version) == (200, client.headers["x-version"])
        return "".join(answer.iter_text())


@pytest.mark.parametrize("form", [openai, claude])
def test_an_answer_is_cut_near_the_phrase(gateway: Gateway, client: httpx2.Client, form: Any) -> None:
    body = ask(client, gateway, form(GOOD * 4 + PHRASE + " and so on. " + GOOD * 40), pause=0.005)
    words = text_of(body)
    assert words.startswith(GOOD * 4)
    assert NOTICE in words
    read = words.partition(NOTICE)[0]
    after = len(read) - (read.index(PHRASE) + len(PHRASE)) if PHRASE in read else 0
    assert after <= MOST
    assert body.endswith("data: [DONE]\n\n" if form is openai else 'data: {"type":"message_stop"}\n\n')
    rows = wait_for("the event", lambda: [row for row in gateway.events(host="allowed.test") if row["path"] == "/stream"
                                          and row["action"] == "block"])  # fmt: skip
    assert rows[0]["reason"] == "page-text"
    assert rows[0]["level"] >= 4
    assert wait_for("an alert", lambda: gateway.api("GET", "/api/v1/alerts").json()["alerts"])


def test_an_answer_that_stays_open_is_cut_too(gateway: Gateway, client: httpx2.Client) -> None:
    start = time.monotonic()
    assert NOTICE in ask(client, gateway, openai(GOOD + PHRASE), pause=0.001, open=True)
    assert time.monotonic() - start < 15


def test_lines_of_json_are_cut_with_a_line(gateway: Gateway, client: httpx2.Client) -> None:
    lines = [
        json.dumps({"message": {"content": (GOOD + PHRASE + ". " + GOOD)[at : at + 4]}, "done": False}) + "\n" for at in range(0, 160, 4)
    ]
    body = ask(client, gateway, lines, type="application/x-ndjson")
    assert [json.loads(line)["done"] for line in body.split("\n") if line][-1]
    assert NOTICE in body


def delays(arrived: list[tuple[float, str]]) -> list[float]:
    """Seconds from the sending of each event to its arrival."""
    found = []
    for moment, text in arrived:
        found += [moment - float(json.loads(line[6:])["at"]) for line in text.splitlines() if line.startswith("data: {")]
    return found


def test_a_harmless_answer_arrives_whole_and_on_time(gateway: Gateway, client: httpx2.Client) -> None:
    words = GOOD * 8
    chunks = [f"data: {json.dumps({'at': '@TIME@', 'delta': {'content': words[at : at + 5]}})}\n\n" for at in range(0, len(words), 5)]
    arrived: list[tuple[float, str]] = []
    wanted = {"type": "text/event-stream", "chunks": chunks, "pause": 0.01}
    with client.stream("POST", gateway.url("allowed.test", "/stream"), json=wanted) as answer:
        for text in answer.iter_text():
            arrived.append((time.time(), text))
    body = "".join(text for _, text in arrived)
    said = "".join(json.loads(line[6:])["delta"]["content"] for line in body.splitlines() if line.startswith("data: {"))
    assert said == words
    # The figure is that of benchmarks/streams.py; here only that nothing is kept for long on a busy machine.
    assert statistics.median(delays(arrived)) < 1


def test_curl_sees_a_whole_answer(gateway: Gateway) -> None:
    wanted = json.dumps({"type": "text/event-stream", "chunks": openai(GOOD + PHRASE + ". " + GOOD)})
    for version in ("--http1.1", "--http2"):
        answer = gateway.curl(gateway.url("allowed.test", "/stream"), version, "-d", wanted, "-H", "Content-Type: application/octet-stream")
        assert answer.exit_code == 0, answer.error
        assert NOTICE in text_of(answer.body)


def listen(gateway: Gateway, chunks: list[str], **more: Any) -> tuple[list[str], int | None]:
    """Let the site talk over a WebSocket; return its messages and the close code."""
    trust = ssl.create_default_context(cafile=str(gateway.authority))
    address = gateway.url("allowed.test", "/say").replace("https", "wss")
    heard: list[str] = []
    # Offers compressed messages (permessage-deflate), as browsers do.
    with connect(address, ssl=trust, proxy=gateway.proxy, compression="deflate") as socket:
        socket.send(base64.b64encode(json.dumps({"chunks": chunks, "pause": 0.005, **more}).encode()).decode())
        try:
            while True:
                heard.append(str(socket.recv(timeout=20)))
        except ConnectionClosed:
            return heard, socket.protocol.close_code


@pytest.mark.parametrize("kind", ["json", "plain"])
def test_a_websocket_answer_is_cut_with_a_notice(gateway: Gateway, kind: str) -> None:
    words = GOOD * 4 + PHRASE + ", and so on. " + GOOD * 20
    pieces = [words[at : at + 5] for at in range(0, len(words), 5)]
    chunks = [json.dumps({"type": "delta", "content": piece}) for piece in pieces] if kind == "json" else [GOOD, GOOD + PHRASE, GOOD, GOOD]
    heard, code = listen(gateway, chunks, open=True)
    assert code == 1008
    assert NOTICE in heard[-1]
    before = heard[:-1]
    read = "".join(json.loads(one)["content"] for one in before) if kind == "json" else " ".join(before)
    assert len(read.partition(PHRASE)[2]) <= MOST
    if kind == "json":
        assert json.loads(heard[-1])["error"]["code"] == "content_filter"
    assert wait_for("the event", lambda: [row for row in gateway.events(host="allowed.test") if row["method"] == "MESSAGE"])


def test_a_harmless_websocket_talks_to_its_end(gateway: Gateway) -> None:
    chunks = [json.dumps({"content": GOOD}) for _ in range(50)]
    assert listen(gateway, chunks) == (chunks, 1000)
