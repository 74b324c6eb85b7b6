"""Certificates, start checks, ClientHello, sign-in and bodies, each on its own."""

import contextlib
import datetime as dt
import ssl
import subprocess
import sys
import time
import zlib
from pathlib import Path

import brotli
import pytest
import trustme
import zstandard
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import bodies, checks, hello
from proxy.certificates import Authority, CertificateError, create_authority
from proxy.identity import Credentials, Identity, parse_basic
from proxy.upstream import UpstreamRules, may_connect
from rules.state import ProxyAccount, State

# --- certificates ---------------------------------------------------------------------------------------------------


def test_an_authority_is_never_replaced_and_its_key_is_private(tmp_path: Path) -> None:
    create_authority(tmp_path / "ca", "A School")
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CertificateError):
        create_authority(tmp_path / "ca", "A School")


def test_a_leaf_is_valid_for_less_than_200_days_and_uses_another_key(authority_folder: Path) -> None:
    authority = Authority.load(authority_folder)
    leaf = authority.sign("example.org", dt.datetime.now(dt.UTC))
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < dt.timedelta(days=200)
    assert leaf.public_key() != authority.certificate.public_key()
    leaf.verify_directly_issued_by(authority.certificate)


def test_the_store_keeps_the_last_used_and_its_cost_does_not_grow(authority_folder: Path) -> None:
    authority = Authority.load(authority_folder)
    authority._entries = 300
    times = []
    for number in range(1_000):
        started = time.perf_counter()
        authority.leaf(f"host{number}.example.org")
        times.append(time.perf_counter() - started)
    assert len(authority) == 300
    first, last = sorted(times[:200])[100], sorted(times[-200:])[100]
    assert last < 3 * first
    assert authority.leaf("host999.example.org") is authority.leaf("host999.example.org")


# --- checks at the start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["emudhra", "emudhra_old", "ssl_insecure"])
def test_the_start_is_refused_with_unsafe_options(option: str) -> None:
    checks.check_options()
    with pytest.raises(checks.UnsafeSettingError, match=option):
        checks.check_options({option: True})


def test_the_start_is_refused_when_others_can_read_the_key(tmp_path: Path) -> None:
    key = tmp_path / "ca.key"
    key.write_text("x")
    key.chmod(0o644)
    with pytest.raises(checks.UnsafeSettingError, match="chmod 600"):
        checks.check_key(key)
    key.chmod(0o600)
    checks.check_key(key)


def test_the_start_is_refused_with_tainted_authorities(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "emSign ECC Root CA - G3")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    tainted = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    (tmp_path / "trust.pem").write_bytes(trustme.CA().cert_pem.bytes() + tainted.public_bytes(Encoding.PEM))
    with pytest.raises(checks.UnsafeSettingError, match="emSign ECC Root CA - G3"):
        checks.check_trust(tmp_path / "trust.pem")


def test_the_start_is_refused_when_tls_secrets_would_be_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/tmp/keys")
    with pytest.raises(checks.UnsafeSettingError, match="SSLKEYLOGFILE"):
        checks.check_environment()


# --- ClientHello ----------------------------------------------------------------------------------------------------


def client_hello(name: str, protocols: list[str]) -> bytes:
    context = ssl.create_default_context()
    context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_a_hello_gives_its_name_and_protocols_whole_or_in_pieces() -> None:
    data = client_hello("www.example.org", ["h2", "http/1.1"])
    for size in range(len(data)):
        assert hello.parse(data[:size]) is None
    parsed = hello.parse(data)
    assert parsed is not None
    assert (parsed.sni, parsed.alpn) == ("www.example.org", (b"h2", b"http/1.1"))


@pytest.mark.parametrize("twice", ["in one extension", "in two extensions"])
def test_a_hello_with_two_names_is_refused(twice: str) -> None:
    """One of them could open a connection unread, and the other be the one that the site takes."""
    first, second = b"open.example", b"shut.example"
    entries = [b"\0" + len(name).to_bytes(2) + name for name in (first, second)]
    lists = [b"".join(entries)] if twice == "in one extension" else entries
    values = [len(names).to_bytes(2) + names for names in lists]
    extensions = b"".join(b"\0\0" + len(value).to_bytes(2) + value for value in values)
    body = b"\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0" + len(extensions).to_bytes(2) + extensions
    message = b"\1" + len(body).to_bytes(3) + body
    with pytest.raises(ValueError, match=r"twice|damaged"):
        hello.parse(b"\x16\3\1" + len(message).to_bytes(2) + message)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_break_the_parser(noise: bytes, at: int) -> None:
    data = bytearray(client_hello("www.example.org", ["h2"]))
    data[at : at + len(noise)] = noise
    for candidate in (noise, b"\x16\x03\x01" + noise, bytes(data)):
        try:
            hello.parse(candidate)
        except ValueError:
            continue


# --- sign-in --------------------------------------------------------------------------------------------------------


async def test_sign_in_is_cached_and_a_changed_password_ends_it() -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=1024)
    state = State.of(accounts=[ProxyAccount("ann", hasher.hash("right"), "staff")])
    identity, right = Identity(), Credentials("ann", "right")
    assert identity.known(right, "10.0.0.1", state) is None
    account = await identity.verify(right, "10.0.0.1", state)
    assert account is not None
    assert account.group == "staff"
    started = time.perf_counter()
    for _ in range(1_000):
        assert identity.known(right, "10.0.0.1", state)
    assert (time.perf_counter() - started) / 1_000 < 50e-6
    changed = State.of(accounts=[ProxyAccount("ann", hasher.hash("other"), "staff")])
    assert identity.known(right, "10.0.0.1", changed) is None
    assert await identity.verify(right, "10.0.0.1", changed) is None


async def test_ten_wrong_guesses_lock_a_name_at_one_address_only() -> None:
    state = State.of(accounts=[ProxyAccount("ann", PasswordHasher(time_cost=1, memory_cost=1024).hash("right"), "staff")])
    identity = Identity()
    for number in range(10):
        assert await identity.verify(Credentials("ann", f"guess{number}"), "10.0.0.1", state) is None
    assert identity.known(Credentials("ann", "right"), "10.0.0.1", state) is False
    assert await identity.verify(Credentials("ann", "right"), "10.0.0.2", state) is not None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_header_breaks_the_reader(value: bytes) -> None:
    for header in (value, b"Basic " + value):
        found = parse_basic(header)
        assert found is None or found.name


# --- bodies ---------------------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@settings(deadline=None)
@given(st.binary(max_size=5_000), st.integers(1, 6_000))
def test_every_coding_gives_the_beginning_of_its_text(data: bytes, cap: int) -> None:
    packed = {
        "br": brotli.compress(data), "zstd": zstandard.compress(data), "deflate": zlib.compress(data), "identity": data,
    }  # fmt: skip
    for coding, body in packed.items():
        assert bodies.decode(body, coding, cap) == data[:cap], coding
    if data:
        assert bodies.decode(raw_deflate(data), "deflate", cap)[:0] == b""


@settings(deadline=None)
@given(st.binary(max_size=500), st.sampled_from(["gzip", "br", "zstd", "deflate", "gzip, br", "dcb"]))
def test_damaged_bodies_are_unreadable_and_nothing_worse(noise: bytes, coding: str) -> None:
    with contextlib.suppress(bodies.UnreadableError):
        assert len(bodies.decode(noise, coding, 10_000)) <= 10_000


# --- upstream targets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "192.168.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::1",
     "fc00::1", "fec0::1", "::127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_special_addresses_are_refused_unless_named(address: str) -> None:
    assert not may_connect("host.test", address, UpstreamRules())
    assert may_connect("host.test", address, UpstreamRules(permits=lambda host, _: host == "host.test"))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1"])
def test_public_addresses_are_open(address: str) -> None:
    assert may_connect("host.test", address, UpstreamRules())


def test_a_worker_takes_all_descriptors_that_it_may_have() -> None:
    script = (
        "import resource; from proxy.worker import _raise_descriptors\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "_raise_descriptors(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 1_048_576) or hard < 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "True"
