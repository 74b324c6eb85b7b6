"""Addresses to listen on."""

import socket

import pytest

from schoolgate.address import Address, hold, parse_address
from schoolgate.errors import Problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("localhost:1", "127.0.0.1:1"),
        ("[::1]:443", "[::1]:443"),
        (":8080", "0.0.0.0:8080"),
        ("0.0.0.0:0", "0.0.0.0:0"),
    ],
)
def test_reads_host_and_port(text: str, expected: str) -> None:
    assert str(parse_address(text, "--listen")) == expected


@pytest.mark.parametrize(
    "text", ["", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "gateway.school:80", "::1:80", "1.2.3:80"]
)
def test_refuses_what_is_not_an_address_and_names_the_option(text: str) -> None:
    with pytest.raises(Problem, match="--listen"):
        parse_address(text, "--listen")


def test_every_interface_is_reached_through_loopback() -> None:
    assert Address("0.0.0.0", 80).reachable == Address("127.0.0.1", 80)
    assert Address("::", 80).reachable == Address("::1", 80)
    assert Address("10.0.0.1", 80).reachable == Address("10.0.0.1", 80)


def test_a_held_port_stays_open_to_our_own_processes_and_takes_no_connections() -> None:
    held, address = hold(Address("127.0.0.1", 0), "--listen")
    with held, socket.socket() as ours, socket.socket() as client:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind((address.host, address.port))
        with pytest.raises(ConnectionRefusedError):
            client.connect((address.host, address.port))
        ours.listen()
        with socket.create_connection((address.host, address.port)):
            ours.accept()[0].close()


def test_a_port_in_use_is_noticed_even_when_its_listener_would_share_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Problem, match=f"already listens on 127.0.0.1:{port}.*--console"):
            hold(Address("127.0.0.1", port), "--console")


def test_an_address_that_is_not_this_machines_is_named() -> None:
    with pytest.raises(Problem, match=r"no address 192\.0\.2\.1"):
        hold(Address("192.0.2.1", 0), "--listen")
