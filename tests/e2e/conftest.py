"""Fixtures of the end-to-end tests: an origin with its own authority, and installations that run."""

import contextlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from .harness import HERE, HOSTS, Gateway, Origin, free_port, start, write_policy


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """An origin for every test host, HTTP and HTTPS, with an authority that only the gateway trusts."""
    folder = tmp_path_factory.mktemp("origin")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate = authority.issue_cert(*HOSTS, "*.test", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    (folder / "cert.pem").write_bytes(chain)
    http_port, https_port = free_port(), free_port()
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(HERE / "origin.py"),
        str(http_port),
        str(https_port),
        str(folder / "cert.pem"),
        str(folder / "key.pem"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Origin(http_port, https_port, folder / "ca.pem")
        process.terminate()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Gateway]:
    """One installation that many tests share: two workers."""
    state = tmp_path_factory.mktemp("gateway") / "state"
    state.mkdir(mode=0o700)
    write_policy(state, origin)
    running = start(state, origin, "--workers", "2")
    yield running
    assert running.stop() == 0


@pytest.fixture
def fresh(tmp_path: Path, origin: Origin) -> Iterator[Callable[..., Gateway]]:
    """Installations of a test's own, stopped at its end."""
    running: list[Gateway] = []

    def build(*options: str, extra: str = "", state: Path | None = None) -> Gateway:
        folder = state or tmp_path / "state"
        if state is None:
            folder.mkdir(mode=0o700)
            write_policy(folder, origin, extra)
        gateway = start(folder, origin, *options)
        running.append(gateway)
        return gateway

    yield build
    for gateway in running:
        gateway.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium; skips where it isn't installed."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def ut1(gateway: Gateway, shared_data: Path) -> dict[str, list[str]]:
    """UT1 loaded into the running installation; its domains by category, read independently."""
    archive = shared_data / "domains" / "ut1-blacklists.tar.gz"
    domains: dict[str, list[str]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if parts[-1] == "domains" and member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                domains[parts[-2]] = content.read().decode("utf-8", "replace").split()
    done = gateway.cli("lists", "load", "ut1", str(archive), "--format", "ut1")
    assert done.returncode == 0, done.stderr
    return domains


@pytest.fixture(scope="session")
def real_lists(request: pytest.FixtureRequest) -> None:
    """UT1 loaded where it is at hand; what a browser does is worth a test without it, too."""
    with contextlib.suppress(pytest.skip.Exception):
        request.getfixturevalue("ut1")
