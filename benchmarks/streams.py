"""How far behind a phrase is a streamed answer cut, and how late does a harmless one arrive?

Run: `uv run python benchmarks/streams.py [--events 400] [--pause 0.02] [--json FILE]`. A real `schoolgate up` stands between
real clients (httpx2 over HTTP/1.1 and HTTP/2, websockets) and an origin that streams an AI answer, a token an event. Ends
with code 1 when an answer goes on for more than 200 characters, or a harmless event is 50 ms late (median and 99th
percentile, less what the same client sees without the gateway).
"""

import argparse
import base64
import contextlib
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway_parts.processes import Started, cpu_seconds, free_port, start, tree

from rules.pieces import Framing
from rules.ruleset import starter_ruleset
from rules.streamed import RunningText, conditional

ROOT = Path(__file__).resolve().parents[1]
HOST = "chatgpt.com"
"""A host that the gateway knows for an assistant; here it leads to the origin on loopback and nowhere else."""
GOOD = "The canal was dug by hand, and the mill owners paid for it in coin. "
PHRASE = "I want to kill myself tonight"
NOTICE = "stopped by the school's filter"
MOST_CHARACTERS = 200
MOST_LATE = 0.050


class Setting(NamedTuple):
    """Where the gateway and the origin are."""

    proxy: str
    authority: Path
    origin_port: int
    origin_authority: Path


class Row(NamedTuple):
    """The figures of one protocol."""

    name: str
    median_ms: float
    p99_ms: float
    direct_median_ms: float
    direct_p99_ms: float
    characters: int


def event(words: str) -> str:
    """One piece of an answer with the moment of its sending."""
    return json.dumps({"at": "@TIME@", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": words}}]})


def tokens(words: str) -> list[str]:
    """Pieces of five characters, about a token."""
    return [event(words[at : at + 5]) for at in range(0, len(words), 5)]


def by_http(setting: Setting, chunks: list[str], pause: float, *, http2: bool, direct: bool) -> list[tuple[float, str]]:
    """Ask for a stream and return (time of arrival, JSON) of each event."""
    trust = ssl.create_default_context(cafile=str(setting.origin_authority if direct else setting.authority))
    host = "127.0.0.1" if direct else HOST
    body = {"type": "text/event-stream", "pause": pause, "chunks": [f"data: {chunk}\n\n" for chunk in chunks]}
    found: list[tuple[float, str]] = []
    rest = ""
    packed = {"packed": base64.b64encode(json.dumps(body).encode()).decode()}
    with (
        httpx2.Client(proxy=None if direct else setting.proxy, verify=trust, http2=http2, trust_env=False, timeout=60) as client,
        client.stream("POST", f"https://{host}:{setting.origin_port}/stream", json=packed) as answer,
    ):
        for text in answer.iter_text():
            now = time.time()
            *lines, rest = (rest + text).split("\n")
            found += [(now, line[6:]) for line in lines if line.startswith("data: {")]
    return found


def by_websocket(setting: Setting, chunks: list[str], pause: float, *, direct: bool) -> list[tuple[float, str]]:
    """Let the site talk and return (time of arrival, message)."""
    trust = ssl.create_default_context(cafile=str(setting.origin_authority if direct else setting.authority))
    host = "127.0.0.1" if direct else HOST
    found: list[tuple[float, str]] = []
    address = f"wss://{host}:{setting.origin_port}/say"
    with connect(address, ssl=trust, proxy=None if direct else setting.proxy, compression="deflate") as socket:
        socket.send(base64.b64encode(json.dumps({"chunks": chunks, "pause": pause}).encode()).decode())
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = str(socket.recv(timeout=60))
                found.append((time.time(), message))
    return found


def late(arrived: list[tuple[float, str]]) -> list[float]:
    """Seconds between sending and arrival, sorted."""
    return sorted(moment - float(json.loads(text)["at"]) for moment, text in arrived)


def after_phrase(arrived: list[tuple[float, str]]) -> int:
    """Characters that a reader got after the phrase; SystemExit when nothing cut the answer."""
    if not any(NOTICE in text for _, text in arrived):
        sys.exit("The answer was not cut.")
    read = ""
    for _, text in arrived:
        if NOTICE in text:
            break
        read += "".join(choice["delta"].get("content", "") for choice in json.loads(text).get("choices", []))
    return len(read.partition(PHRASE)[2])


def measured(name: str, ask: Callable[..., list[tuple[float, str]]], setting: Setting, events: int, pause: float) -> Row:
    """Measure one protocol."""
    harmless = tokens((GOOD * (events // 10))[: events * 5])
    through = late(ask(setting, harmless, pause, direct=False))
    direct = late(ask(setting, harmless, pause, direct=True))
    worst = 0
    for lead in range(6):
        # The phrase begins at every place within a token.
        words = GOOD * 8 + "x" * lead + " " + PHRASE + " and so on. " + GOOD * 20
        worst = max(worst, after_phrase(ask(setting, tokens(words), 0.005, direct=False)))
    p99 = max(0, int(len(through) * 0.99) - 1)
    return Row(
        name, 1000 * statistics.median(through), 1000 * through[p99], 1000 * statistics.median(direct), 1000 * direct[p99], worst
    )  # fmt: skip


def weighing() -> float:
    """Return microseconds of CPU that the weighing of one event costs, on one core, with the starter policy."""
    ruleset = starter_ruleset()
    sets = ruleset.policy.keyword_sets

    def judge(text: str) -> None:
        assert not ruleset.keywords.weigh(text, "prompt").themes

    framing, running = Framing("events"), RunningText(judge, conditional(sets), joined=True)
    lines = [f"data: {chunk}\n\n" for chunk in tokens(GOOD * 200)]
    began = time.process_time()
    for line in lines:
        running.add(framing.feed(line))
    return 1e6 * (time.process_time() - began) / len(lines)


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[tuple[Setting, Started]]:
    """Run an origin and the gateway in front of it."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate = authority.issue_cert(HOST, "127.0.0.1", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    http_port, https_port = free_port(), free_port()
    words = [sys.executable, "-W", "ignore", str(ROOT / "tests/e2e/origin.py"), str(http_port), str(https_port)]
    origin = start([*words, str(folder / "cert.pem"), str(folder / "key.pem")], folder, "origin")
    origin.wait_port(https_port)
    policy = (ROOT / "rules/starter_policy.toml").read_text()
    opened = f'connect_ports = [443, {https_port}]\ntrusted_ca = \'{folder / "ca.pem"}\'\nhosts = {{ "{HOST}" = "127.0.0.1" }}\n'
    for old, new in (
        ("ports = [80, 443, 8080, 8443]\n", f"ports = [80, 443, {https_port}]\n"),
        ("connect_ports = [443, 8443]\n", opened),
        ("private_targets = []\n", f'private_targets = ["{HOST}"]\n'),
    ):
        if policy.count(old) != 1:
            sys.exit(f"The starter policy no longer holds {old.strip()!r}: adapt benchmarks/streams.py.")
        policy = policy.replace(old, new)
    (folder / "policy.toml").write_text(policy)
    program = [sys.executable, "-m", "schoolgate"]
    place = ["--state", str(folder / "state"), "--config", str(folder / "policy.toml")]
    subprocess.run([*program, "init", *place], cwd=ROOT, check=True, capture_output=True)
    listen = ["--listen", f"127.0.0.1:{free_port()}", "--console", f"127.0.0.1:{free_port()}"]
    started = start([*program, "up", *place, *listen, "--workers", "1"], folder, "schoolgate", {"PYTHONPATH": str(ROOT)})
    try:
        until = time.monotonic() + 120
        while "ready proxy=" not in started.log.read_text():
            if time.monotonic() > until or started.process.poll() is not None:
                sys.exit(f"The gateway did not come up: {started.tail(600)}")
            time.sleep(0.1)
        line = next(line for line in started.log.read_text().splitlines() if line.startswith("ready proxy="))
        facts = dict(word.partition("=")[::2] for word in line.split()[1:])
        yield Setting(facts["proxy"], Path(facts["ca"]), https_port, folder / "ca.pem"), started
    finally:
        started.stop(30)
        origin.stop()


def main() -> int:
    """Measure, print a table, and compare with the aims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between events; most assistants take 10 to 50 ms")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ways: list[tuple[str, Callable[..., list[tuple[float, str]]]]] = [
        ("server-sent events, HTTP/1.1", lambda *a, **k: by_http(*a, http2=False, **k)),
        ("server-sent events, HTTP/2", lambda *a, **k: by_http(*a, http2=True, **k)),
        ("WebSocket", by_websocket),
    ]
    with tempfile.TemporaryDirectory(prefix="schoolgate-streams-") as name, gateway(Path(name)) as (setting, started):
        began, before = time.monotonic(), cpu_seconds(tree(started.pid))
        rows = [measured(title, ask, setting, options.events, options.pause) for title, ask in ways]
        busy = (cpu_seconds(tree(started.pid)) - before) / (time.monotonic() - began)
    print("| stream | late: median, p99 | without the gateway | characters after the phrase |\n|---|--:|--:|--:|")
    for row in rows:
        direct = f"{row.direct_median_ms:.1f}, {row.direct_p99_ms:.1f} ms"
        print(f"| {row.name} | {row.median_ms:.1f}, {row.p99_ms:.1f} ms | {direct} | {row.characters} |")
    cost = weighing()
    print(f"\nWeighing one event: {cost:.0f} us of CPU. All processes of the gateway: {100 * busy:.0f} % of one core meanwhile.")
    if options.json:
        facts: dict[str, Any] = {"rows": [row._asdict() for row in rows], "weighing_us": cost, "busy_cores": busy}
        options.json.write_text(json.dumps(facts, indent=1))
    missed = [
        row.name
        for row in rows
        if row.characters > MOST_CHARACTERS or max(row.median_ms - row.direct_median_ms, row.p99_ms - row.direct_p99_ms) >= 1000 * MOST_LATE
    ]
    if missed:
        print(f"Missed: {', '.join(missed)}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
