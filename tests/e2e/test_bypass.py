"""A clever pupil: every way to ask for a closed address that we could think of, on bare sockets, against the whole product."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from .harness import Gateway, pretty, wait_for

pytestmark = pytest.mark.e2e

HELLO = b"Welcome to"
WEBSOCKET = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
IMAGE = "Sec-Fetch-Dest: image\r\n"


class Plain(NamedTuple):
    """Bytes sent to the gateway itself."""

    text: str


class Inside(NamedTuple):
    """Bytes sent inside a tunnel: CONNECT to `to`, then TLS with `name` (None: no server name; "": no TLS at all)."""

    to: str
    name: str | None
    text: str


def asked(host: str, path: str = "/", more: str = "", *, line: str = "GET", written: str = "") -> Plain:
    """A request to the gateway in its usual form; `written` is what the Host header says instead."""
    return Plain(f"{line} http://{host}:@HTTP@{path} HTTP/1.1\r\nHost: {written or host}:@HTTP@\r\n{more}\r\n")


def read(host: str, path: str = "/", more: str = "") -> str:
    """A request inside a tunnel."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}:@HTTPS@\r\n{more}\r\n"


CLOSED: dict[str, Plain | Inside] = {
    # One address, many spellings.
    "upper case": asked("DENIED.TEST"),
    "dot at the end": asked("denied.test."),
    "two dots at the end": asked("denied.test.."),
    "escaped letter": asked("d%65nied.test"),
    "full-width letters": asked("ｄｅｎｉｅｄ.test"),
    "ideographic full stop": asked("denied。test"),
    "soft hyphen": asked("den\xadied.test"),
    "a name before it": asked("allowed.test@denied.test"),
    "backslash": asked("denied.test\\@allowed.test"),
    "tab inside": asked("denied\t.test"),
    "zero byte": asked("denied.test%00.allowed.test"),
    "sub-domain": asked("x.denied.test"),
    "port twice": asked("denied.test:80"),
    "another path behind a fragment": asked("allowed.test", "/x#/../secret"),
    "another path behind a fragment, inside TLS": Inside("allowed.test", "allowed.test", read("allowed.test", "/x#/../secret")),
    "a path that is none": Inside("allowed.test", "allowed.test", read("allowed.test", "secret")),
    "no path": Inside("allowed.test", "allowed.test", read("allowed.test", "*")),
    # One request that names two places.
    "another Host header": asked("denied.test", written="allowed.test"),
    "another Host header, the other way round": asked("allowed.test", written="denied.test"),
    "two Host headers": asked("allowed.test", more="Host: denied.test\r\n"),
    "Host header folded": asked("allowed.test", more=" denied.test\r\n"),
    "sister host in the Host header": asked("allowed.test", written="parts.blocked.test"),
    "other name inside TLS": Inside("allowed.test", "allowed.test", read("denied.test")),
    "other server name": Inside("allowed.test", "denied.test", read("allowed.test")),
    "other tunnel": Inside("denied.test", "allowed.test", read("allowed.test")),
    "no server name": Inside("denied.test", None, read("denied.test")),
    "number as server name": Inside("denied.test", "127.0.0.1", read("127.0.0.1")),
    "whole address inside TLS": Inside("allowed.test", "allowed.test", "GET https://denied.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
    "tunnel inside a tunnel": Inside("allowed.test", "allowed.test", "CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test:443\r\n\r\n"),
    # One message that is two.
    "length and chunks": asked("denied.test", more="Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", line="POST"),
    "two lengths": asked("denied.test", more="Content-Length: 0\r\nContent-Length: 4\r\n", line="POST"),
    "unknown transfer coding": asked("denied.test", more="Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n", line="POST"),
    "a carriage return in a header": asked("allowed.test", more="X-A: b\rHost: denied.test\r\n"),
    "a zero byte in a header": asked("allowed.test", more="X-A: b\0Host: denied.test\r\n"),
    "a header folded into a Host header": asked("allowed.test", more="X-A: b\r\n Host: denied.test\r\n"),
    "chunks that are compressed": asked("allowed.test", more="Transfer-Encoding: gzip, chunked\r\n", line="POST"),
    "trailers": asked("denied.test", more="Transfer-Encoding: chunked\r\n\r\n0\r\nHost: allowed.test\r\n", line="POST"),
    "empty lines before": Plain("\r\n\r\n" + asked("denied.test").text),
    "HTTP/2 by its name": Plain("GET http://allowed.test:@HTTP@/ HTTP/2.0\r\nHost: denied.test:@HTTP@\r\n\r\n"),
    "whole address of HTTP/2 inside TLS": Inside("allowed.test", "allowed.test", "GET https://denied.test/ HTTP/2.0\r\n\r\n"),
    "bare line feeds": Plain("GET http://denied.test:@HTTP@/ HTTP/1.1\nHost: denied.test\n\n"),
    "HTTP/0.9": Plain("GET http://denied.test:@HTTP@/\r\n\r\n"),
    "HTTP/1.0": Plain("GET http://denied.test:@HTTP@/ HTTP/1.0\r\n\r\n"),
    "HTTP/2 without TLS": Plain("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    "HTTP/2 by upgrade": asked("denied.test", more="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    # Methods, protocols, ports.
    "TRACE": asked("denied.test", line="TRACE"),
    "HEAD": asked("denied.test", line="HEAD"),
    "a method of one's own": asked("denied.test", line="GETT"),
    "connect in lower case": Plain("connect denied.test:@HTTPS@ HTTP/1.1\r\nHost: denied.test\r\n\r\n"),
    "FTP": Plain("GET ftp://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n"),
    "WebSocket": asked("denied.test", more=WEBSOCKET),
    "WebSocket inside TLS": Inside("denied.test", "denied.test", read("denied.test", more=WEBSOCKET)),
    "WebSocket for another name": Inside("allowed.test", "allowed.test", read("denied.test", more=WEBSOCKET)),
    "HTTP in a tunnel for TLS": Inside("denied.test", "", read("denied.test")),
    "another protocol in a tunnel": Inside("denied.test", "", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    # What nobody can open: sealed addresses.
    "sealed host": asked("iwf.sealed.test"),
    "sealed host as part of a page": asked("iwf.sealed.test", more=f"{IMAGE}Referer: http://allowed.test/\r\n"),
    "sealed host behind an open one": asked("allowed.test", written="iwf.sealed.test"),
    "sealed host in a tunnel for our own": Inside("schoolgate.internal", "schoolgate.internal", read("iwf.sealed.test")),
    # The school's own network and the gateway's own pages.
    "loopback, IPv6": asked("[::1]"),
    "this network": asked("0"),
    "private, octal": asked("012.0.0.1"),
    "private, one number": asked("167772161"),
    "metadata of a cloud, in NAT64": asked("[64:ff9b::a9fe:a9fe]"),
    "zone": asked("[fe80::1%25eth0]"),
    "localhost": asked("localhost."),
    "alerts under our public name": Plain("GET http://schoolgate.internal/alerts HTTP/1.1\r\nHost: schoolgate.internal\r\n\r\n"),
    "console under our public name": Plain("GET http://schoolgate.internal/sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "our public name, another port": Plain("CONNECT schoolgate.internal:22 HTTP/1.1\r\nHost: schoolgate.internal:22\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("way", CLOSED.values(), ids=CLOSED.keys())
def test_no_way_of_asking_reaches_a_closed_address(gateway: Gateway, way: Plain | Inside) -> None:
    """The answer is a refusal and nothing of a site's; nobody upstream hears of it."""
    before = gateway.origin.hits()
    answer = send(gateway, way)
    assert HELLO not in answer
    assert b"101 Switching" not in answer
    assert answer == b"" or re.match(rb"HTTP/1\.[01] [45]\d\d ", answer), answer[:200]
    assert heard(gateway, before) == []


def test_pipelined_requests_are_judged_one_by_one(gateway: Gateway) -> None:
    """An open address before and after a closed one carries nothing of it along."""
    texts = [asked(host, "/pipelined").text for host in ("allowed.test", "denied.test", "allowed2.test")]
    before = gateway.origin.hits()
    answer = send(gateway, Plain("".join(texts)))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"403", b"200"], answer
    assert len(heard(gateway, before)) == 2


def test_the_open_address_beside_all_those_stays_open(gateway: Gateway) -> None:
    """The table above proves something only while the same sockets get pages that are open."""
    assert HELLO in send(gateway, asked("allowed.test"))
    assert HELLO in send(gateway, Inside("allowed.test", "allowed.test", read("allowed.test")))
    assert HELLO in send(gateway, Inside("allowed.test", None, read("allowed.test")))
    assert b"403" in send(gateway, asked("denied.test"))[:20]


@pytest.fixture(scope="module")
def opened(gateway: Gateway) -> Iterator[Callable[..., int]]:
    """`/canals` of denied.test, open for the group that bare sockets fall in; gives a function from path to status."""
    body = {
        "url": gateway.url("denied.test", "/canals", secure=False),
        "scope": "path",
        "for": {"group": "pupils"},
        "reason": "canals",
        "minutes": 5,
    }
    number = gateway.api("POST", "/api/v1/unblock-requests", role="teacher", json=body).json()["id"]
    grant = gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", role="dsl", json={}).json()["grant"]["id"]

    def status(path: str, more: str = "", host: str = "denied.test") -> int:
        answer = send(gateway, asked(host, path, more))
        assert answer.startswith(b"HTTP/1.1 "), answer
        return int(answer[9:12])

    wait_for("the page to open", lambda: status("/canals/1") == 200, 2)
    yield status
    gateway.api("DELETE", f"/api/v1/grants/{grant}", role="dsl")
    wait_for("the page to close", lambda: status("/canals/1") == 403, 2)


@pytest.mark.parametrize(
    "path",
    ["/canals/../secret", "/canals/%2e%2e/secret", "/canals%2f..%2fsecret", "/canals/..%252fsecret", "/canals\\..\\secret", "/canalsecret",
     "/canals/..;/secret", "/canals/%5c..%5c..%5csecret", "/canals/x/..%5c..%5csecret",
     "/CANALS/1", "/secret?/canals/", "/secret/../../secret/canals",
     "/secret%2f..%2fcanals", "/secret/..%2fcanals/1", "/secret/%2e%2e/canals", "/secret/../canals", "/secret%252f..%252fcanals",
     "/secret\\..\\canals", "/secret/..;/canals"],
)  # fmt: skip
def test_an_opened_folder_opens_nothing_beside_it(opened: Callable[..., int], path: str) -> None:
    """A grant for a path holds for the path that the site will read, however it is written."""
    assert opened("/canals/1") == 200
    assert opened(path) in (400, 403)


def test_an_opened_page_brings_parts_along_but_neither_pages_nor_sealed_addresses(opened: Callable[..., int]) -> None:
    """Its pictures on closed hosts load; an address that somebody types, with the same referrer, doesn't."""
    page = "Referer: http://denied.test/canals\r\n"
    assert opened("/x.png", page + IMAGE, "parts.blocked.test") == 200
    assert opened("/", page + "Sec-Fetch-Dest: document\r\n", "parts.blocked.test") == 403
    assert opened("/", page + "Accept: text/html\r\n", "parts.blocked.test") == 403
    assert opened("/x.png", page + IMAGE, "iwf.sealed.test") == 403


@pytest.mark.parametrize("use", ["iframe", "frame", "embed", "object", "fencedframe"])
def test_an_opened_page_brings_no_other_page_along_in_a_frame(opened: Callable[..., int], use: str) -> None:
    """Whoever can write into an open page could put every closed one into it."""
    assert opened("/", f"Referer: http://denied.test/canals\r\nSec-Fetch-Dest: {use}\r\n", "parts.blocked.test") == 403


@pytest.mark.parametrize(
    "body",
    ["&".join(f"f{number}=word" for number in range(900)) + "&q=@BAD@", "author=@BAD@", "@BAD@"],
    ids=["behind many fields", "in a field called author", "without a field's name"],
)
def test_words_are_found_wherever_a_form_hides_them(gateway: Gateway, body: str) -> None:
    """Grave words in a form are written down with their level, also between fields that nobody sees."""
    text = body.replace("@BAD@", "I+want+to+kill+myself+tonight")
    path = f"/form-{abs(hash(text))}"
    send(gateway, Plain(asked("allowed.test", path, f"{FORM}Content-Length: {len(text)}\r\n", line="POST").text + text))
    rows = wait_for("the event", lambda: [event for event in gateway.events() if event["path"] == path])
    assert rows[0]["level"] >= 4, pretty(rows)
    assert rows[0]["matches"], pretty(rows)


def test_bytes_that_are_no_text_stop_neither_the_gateway_nor_the_record(gateway: Gateway) -> None:
    """A method of half a character, or with a zero byte in it, is one event like any other; the next ones follow."""
    for number, method in enumerate(("G\udc80T", "G\0T")):
        assert re.match(rb"HTTP/1\.1 40[03] ", send(gateway, asked("denied.test", f"/odd-{number}", line=method)))
    send(gateway, asked("allowed.test", "/after-odd"))
    wait_for("the event after it", lambda: [event for event in gateway.events() if event["path"] == "/after-odd"])


def test_forged_signatures_and_tokens_open_nothing(gateway: Gateway) -> None:
    """Neither through the gateway nor at the console's own door does a header or a token of one's own count."""
    forged = "X-Schoolgate-Subject: eyJhZGRyZXNzIjoiMTI3LjAuMC4xIiwidGltZSI6MH0.00\r\n"
    text = f"url=http%3A%2F%2Fdenied.test%2F&token=warn.{2**40}.AAAA"
    head = f"POST http://schoolgate.internal/continue HTTP/1.1\r\nHost: schoolgate.internal\r\n{FORM}{forged}"
    request = f"{head}Content-Length: {len(text)}\r\n\r\n{text}"
    assert send(gateway, Plain(request)).startswith(b"HTTP/1.1 403")
    console = gateway.console.removeprefix("http://").rpartition(":")
    direct = request.replace("POST http://schoolgate.internal/", "POST /")
    with socket.create_connection((console[0], int(console[2])), timeout=10) as sock:
        sock.sendall(direct.encode())
        assert received(sock).startswith(b"HTTP/1.1 403")


# --- sockets --------------------------------------------------------------------------------------------------------


def send(gateway: Gateway, way: Plain | Inside) -> bytes:
    """Send one way's bytes and return everything that comes back."""
    text = way.text.replace("@HTTPS@", str(gateway.origin.https_port)).replace("@HTTP@", str(gateway.origin.http_port))
    host, _, port = gateway.proxy.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        if isinstance(way, Plain):
            sock.sendall(text.encode("utf-8", "surrogateescape"))
            return received(sock)
        target = f"{way.to}:{443 if way.to == 'schoolgate.internal' else gateway.origin.https_port}"
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (data := sock.recv(65_536)):
            answer += data
        if not answer.startswith(b"HTTP/1.1 200"):
            return answer
        if way.name == "":
            sock.sendall(text.encode("utf-8"))
            return received(sock)
        context = ssl.create_default_context(cafile=str(gateway.authority))
        context.check_hostname = False
        context.set_alpn_protocols(["http/1.1"])
        with context.wrap_socket(sock, server_hostname=way.name) as secure:
            secure.sendall(text.encode("utf-8"))
            return received(secure)


def received(sock: socket.socket) -> bytes:
    """Read until the other side ends or has been silent for a moment."""
    parts: list[bytes] = []
    try:
        while data := sock.recv(65_536):
            parts.append(data)
            sock.settimeout(0.25)
    except (TimeoutError, ConnectionError, ssl.SSLError):
        pass
    return b"".join(parts)


def heard(gateway: Gateway, before: dict[str, int]) -> list[str]:
    """What the origin was asked for since."""
    return [key for key, count in gateway.origin.hits().items() if count != before.get(key, 0)]
