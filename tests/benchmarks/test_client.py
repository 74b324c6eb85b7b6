"""The load client reads answers of every framing and counts what went wrong."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from gateway_parts.client import LoadClient, Target


class Answerer:
    """A proxy that answers every request with the same bytes, in pieces, and may close afterwards."""

    def __init__(self, pieces: list[bytes], close: bool) -> None:
        self.pieces = pieces
        self.close = close
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := connection.recv(65536):
                self.requests.append(request)
                for number, piece in enumerate(self.pieces):
                    if number:
                        time.sleep(0.002)
                    connection.sendall(piece)
                if self.close:
                    return


@pytest.fixture
def answerer(request: pytest.FixtureRequest) -> Iterator[Answerer]:
    pieces, close = request.param
    server = Answerer(pieces, close)
    yield server
    server.listener.close()


LENGTH = [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]
SPLIT = [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 5\r\n\r", b"\nhe", b"llo"]
CHUNKED = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nh", b"el\r\n2;x=y\r", b"\nlo\r\n0\r\n\r\n"]
CLOSING = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"]
UNTIL_CLOSE = [b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"]
CUT = [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"]
REFUSED = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"]


def target(port: int, **changes: object) -> Target:
    return Target("127.0.0.1", port, "www.origin.example", 8080, "/a", **({"connections": 2} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answerer", [(LENGTH, False), (SPLIT, False), (CHUNKED, False), (CLOSING, True), (UNTIL_CLOSE, True)], indirect=True,
    ids=["length", "split", "chunked", "closing", "until close"],
)  # fmt: skip
def test_answers_of_every_framing_are_counted(answerer: Answerer) -> None:
    outcome = LoadClient(target(answerer.port)).run(5, most_requests=10)
    assert len(outcome.latencies) >= 10
    assert (outcome.wrong, outcome.broken) == (0, 0)
    assert answerer.requests[0].startswith(b"GET http://www.origin.example:8080/a HTTP/1.1\r\nHost: www.origin.example:8080\r\n")


@pytest.mark.parametrize("answerer", [(CHUNKED, False)], indirect=True)
def test_a_connection_per_request_is_opened_when_asked_for(answerer: Answerer) -> None:
    outcome = LoadClient(target(answerer.port, fresh=True)).run(5, most_requests=6)
    assert len(outcome.latencies) >= 6
    assert not outcome.broken


@pytest.mark.parametrize("answerer", [(CUT, True)], indirect=True)
def test_an_answer_that_is_cut_counts_as_broken_and_the_run_gives_up(answerer: Answerer) -> None:
    outcome = LoadClient(target(answerer.port)).run(5)
    assert not outcome.latencies
    assert outcome.broken > 10
    assert outcome.seconds < 4


@pytest.mark.parametrize("answerer", [(REFUSED, False)], indirect=True)
def test_an_unexpected_status_is_wrong_and_an_expected_one_is_right(answerer: Answerer) -> None:
    wrong = LoadClient(target(answerer.port)).run(5, most_requests=5)
    right = LoadClient(target(answerer.port, statuses=frozenset({403}))).run(5, most_requests=5)
    assert not wrong.latencies
    assert wrong.wrong >= 5
    assert wrong.first_fault == "answered 403 with 2 bytes"
    assert len(right.latencies) >= 5


@pytest.mark.parametrize("answerer", [(LENGTH, False)], indirect=True)
def test_an_answer_of_another_size_is_wrong(answerer: Answerer) -> None:
    outcome = LoadClient(target(answerer.port, exact_bytes=6)).run(5, most_requests=5)
    assert outcome.wrong >= 5


def test_a_proxy_that_is_not_there_is_a_fault_and_no_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = LoadClient(target(port)).run(3)
    assert outcome.first_fault.startswith("can't connect")
