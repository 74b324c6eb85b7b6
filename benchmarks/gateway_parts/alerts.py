"""From a request to its alert: steady load, some requests raise an alert of their own, a listener on the event stream."""

import asyncio
import http.client
import ipaddress
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway_parts.cases import percentile
from gateway_parts.origin import Origin
from gateway_parts.ours import Ours, token

SEARCH = "/search?q=how+to+kill+myself"
ALERT_WAIT = 15.0
_FIRST_ADDRESS = int(ipaddress.ip_address("127.20.0.1"))
_numbers = iter(range(1 << 20))


@dataclass(slots=True)
class AlertRun:
    """What one run found. Times in milliseconds."""

    rate: float
    """Requests per second that were really sent."""
    alerting: int
    """Requests that have to raise an alert, each from an address of its own."""
    alerted: int
    wrong: int
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0
    notes: list[str] = field(default_factory=list)


class Listener(threading.Thread):
    """Reads the event stream and notes when the first alert of each subject came."""

    def __init__(self, console: str, bearer: str) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, int] = {}
        self.ready = threading.Event()
        self.fault = ""
        place = urlsplit(console)
        self._connection = http.client.HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=60)
        self._bearer = bearer

    def run(self) -> None:
        """Listen until the stream or the program ends."""
        try:
            self._connection.request(
                "GET", "/api/v1/alerts/stream", headers={"Authorization": f"Bearer {self._bearer}", "Accept": "text/event-stream"}
            )
            answer = self._connection.getresponse()
            if answer.status != 200:
                self.fault = f"the stream answered {answer.status}: {answer.read(200)!r}"
                return
            while line := answer.readline():
                now = time.perf_counter_ns()
                self.ready.set()
                if line.startswith(b"data:"):
                    self._note(json.loads(line[5:]), now)
        except (OSError, ValueError, http.client.HTTPException) as fault:
            self.fault = f"{type(fault).__name__}: {fault}"
        finally:
            self.ready.set()

    def _note(self, alert: object, now: int) -> None:
        if isinstance(alert, dict) and isinstance(alert.get("subject"), str):
            self.seen.setdefault(alert["subject"], now)


def measure_alerts(ours: Ours, origin: Origin, per_second: float, share: float, seconds: float) -> AlertRun:
    """Send `per_second` requests for `seconds`, `share` of them alerting, and return how long alerts took."""
    listener = Listener(ours.console, token(ours))
    listener.start()
    if not listener.ready.wait(20) or listener.fault:
        return AlertRun(0.0, 0, 0, 0, notes=[listener.fault or "the event stream said nothing within 20 s"])
    sent: dict[str, int] = {}
    began = time.perf_counter()
    wrong, count, notes = asyncio.run(_send(ours, origin, per_second, share, seconds, sent))
    took = time.perf_counter() - began
    until = time.monotonic() + ALERT_WAIT
    while time.monotonic() < until and not sent.keys() <= listener.seen.keys():
        time.sleep(0.05)
    delays = [(listener.seen[subject] - at) / 1e6 for subject, at in sent.items() if subject in listener.seen]
    run = AlertRun(count / took, len(sent), len(delays), wrong, notes=notes)
    if delays:
        run.p50_ms, run.p99_ms, run.worst_ms = percentile(delays, 0.5), percentile(delays, 0.99), max(delays)
    if len(delays) < len(sent):
        run.notes.append(f"{len(sent) - len(delays)} alerts did not come within {ALERT_WAIT:.0f} s")
    if listener.fault:
        run.notes.append(listener.fault)
    return run


async def _send(
    ours: Ours, origin: Origin, per_second: float, share: float, seconds: float, sent: dict[str, int]
) -> tuple[int, int, list[str]]:
    """Send at set moments, whether or not earlier answers have come; return wrong answers, requests and notes."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[str]] = []
    began = loop.time()
    total = int(per_second * seconds)
    for number in range(total):
        pause = began + number / per_second - loop.time()
        if pause > 0:
            await asyncio.sleep(pause)
        alerting = int((number + 1) * share) > int(number * share)
        address = str(ipaddress.ip_address(_FIRST_ADDRESS + next(_numbers))) if alerting else "127.0.0.1"
        tasks.append(asyncio.create_task(_ask(ours, origin, address, alerting, sent)))
    answers = await asyncio.gather(*tasks)
    faults = [answer for answer in answers if answer]
    return len(faults), total, faults[:1]


async def _ask(ours: Ours, origin: Origin, address: str, alerting: bool, sent: dict[str, int]) -> str:
    """Ask once on a connection of its own; return what went wrong, or nothing."""
    where = f"http://www.google.com{SEARCH}" if alerting else f"http://www.origin.example:{origin.http_port}/10k.html"
    host = where.split("/")[2]
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(ours.proxy.host, ours.proxy.port, local_addr=(address, 0))
            if alerting:
                sent[address] = time.perf_counter_ns()
            writer.write(f"GET {where} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n".encode("ascii"))
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
        return f"{type(fault).__name__}: {fault}"
    status = head[9:12]
    return "" if status == (b"403" if alerting else b"200") else f"answered {status.decode()}"
