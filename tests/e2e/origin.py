"""The web, as the end-to-end tests know it: one small site that answers for every host name, on loopback.

Run as `python origin.py HTTP_PORT HTTPS_PORT CERT KEY`; prints `ready` when both ports listen.
"""

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

HITS: Counter[str] = Counter()
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000"
                      "1f15c4890000000d49444154789c6360f8ffff3f0005fe02fea735811e0000000049454e44ae426082")  # fmt: skip


def page(host: str, path: str) -> tuple[str, bytes]:
    """Return media type and body for a path."""
    if path.endswith(".png"):
        return "image/png", PIXEL
    if path.endswith(".js"):
        return "text/javascript", b"document.documentElement.dataset.script = 'ran';"
    if path == "/with-parts":
        return "text/html; charset=utf-8", (
            b"<!doctype html><title>Parts</title><h1>A page with parts</h1>"
            b"<img id=i src='https://parts.blocked.test:PORT/picture.png'><script src='https://parts.blocked.test:PORT/code.js'></script>"
        ).replace(b"PORT", host.rpartition(":")[2].encode())
    if path == "/sad":
        return (
            "text/html; charset=utf-8",
            b"<!doctype html><title>Sad</title><p>I am going to kill myself tonight, how do I do it without pain</p>",
        )
    if path == "/filler":
        return "text/html; charset=utf-8", b"<!doctype html><title>Filler</title>" + b"<p>The canal was dug by hand.</p>" * 320
    return "text/html; charset=utf-8", f"<!doctype html><title>{host}</title><h1>Welcome to {host}{path}</h1>".encode()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer HTTP with pages, downloads and echoes, and WebSocket with echoes."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/say":
            await say(json.loads(base64.b64decode((await receive())["text"])), send)
            return
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        return
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    host = headers.get("host", "")
    path = scope["path"]
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if path == "/__hits":
        await answer(send, "application/json", json.dumps(HITS).encode())
        return
    HITS[f"{host}{path}"] += 1
    if path == "/__echo":
        seen = {"method": scope["method"], "http": scope["http_version"], "headers": headers, "body": body.decode("latin-1")}
        await answer(send, "application/json", json.dumps(seen).encode())
    elif path == "/download":
        size = int(scope["query_string"].decode() or "200") * 1024 * 1024
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"application/octet-stream"), (b"content-length", str(size).encode())]})  # fmt: skip
        chunk = bytes(65536)
        for _ in range(size // len(chunk)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})
    elif path == "/stream":
        wanted = json.loads(body)
        # Packed, the gateway does not take what the site is to say for what somebody typed.
        await stream(json.loads(base64.b64decode(wanted["packed"])) if "packed" in wanted else wanted, send)
    elif path == "/alt-svc":
        await answer(send, "text/plain", b"here", [(b"alt-svc", b'h3=":443"; ma=86400')])
    else:
        media_type, content = page(host, path)
        await answer(send, media_type, content)


async def stream(wanted: dict[str, Any], send: Any) -> None:
    """Send `chunks` one after another as an answer of `type`; `@TIME@` becomes the moment of sending. `open` leaves the end out."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", wanted["type"].encode())]})
    for chunk in wanted["chunks"]:
        await send({"type": "http.response.body", "body": stamped(chunk).encode(), "more_body": True})
        await asyncio.sleep(wanted.get("pause", 0))
    if wanted.get("open"):
        await asyncio.sleep(20)
    await send({"type": "http.response.body"})


async def say(wanted: dict[str, Any], send: Any) -> None:
    """Send `chunks` as WebSocket messages."""
    for chunk in wanted["chunks"]:
        await send({"type": "websocket.send", "text": stamped(chunk)})
        await asyncio.sleep(wanted.get("pause", 0))
    if wanted.get("open"):
        await asyncio.sleep(20)
    await send({"type": "websocket.close", "code": 1000})


def stamped(text: str) -> str:
    """Return the text with the moment of now, in seconds since the epoch, where `@TIME@` stands."""
    return text.replace("@TIME@", f"{time.time():.6f}")


async def answer(send: Any, media_type: str, body: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send a whole response."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until terminated."""
    http_port, https_port, certificate, key = sys.argv[1:5]
    config = Config()
    config.bind = [f"127.0.0.1:{https_port}"]
    config.insecure_bind = [f"127.0.0.1:{http_port}"]
    config.certfile, config.keyfile = certificate, key
    config.alpn_protocols = ["h2", "http/1.1"]
    config.accesslog = config.errorlog = None
    config.keep_alive_timeout = 60

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.5, lambda: print("ready", flush=True))
        await serve(app, config)  # type: ignore[arg-type]

    asyncio.run(run())


if __name__ == "__main__":
    main()
