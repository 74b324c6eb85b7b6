"""The disk fills while pupils browse: commands and the console say so in a sentence, and the gateway filters on as before."""

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Gateway, Origin, processes, start, wait_for, write_policy

pytestmark = [
    pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600),
    pytest.mark.skipif("SCHOOLGATE_FULL_DISK" not in os.environ, reason="takes minutes; set SCHOOLGATE_FULL_DISK=1 to fill a disk"),
]  # fmt: skip

MEGABYTES = 512


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a size of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"a file system of a given size can't be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def running(disk: Path, origin: Origin) -> Iterator[Gateway]:
    state = disk / "state"
    state.mkdir(mode=0o700)
    write_policy(state, origin)
    gateway = start(state, origin, "--workers", "1")
    yield gateway
    gateway.stop()


def leave(disk: Path, kilobytes: int) -> None:
    """Let the file system have so much room left."""
    for _ in range(20):
        used = os.statvfs(disk)
        size = (used.f_blocks - used.f_bavail) * used.f_frsize // 1024 + kilobytes
        # Something may have been written in between.
        if subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=False).returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"{disk} can't be made smaller")


class Browsing(threading.Thread):
    """Asks for an open and a blocked host in turns until told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.answers: Counter[tuple[str, int]] = Counter()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            for host in ("allowed.test", "listed.test"):
                self.answers[host, self.gateway.curl(self.gateway.url(host, secure=False)).status] += 1


def test_a_disk_that_fills_under_a_running_gateway_stops_changes_and_nothing_else(running: Gateway, disk: Path, tmp_path: Path) -> None:
    small, big = tmp_path / "small.txt", tmp_path / "big.txt"
    small.write_text("listed.test\n")
    big.write_text("listed.test\n" + "".join(f"host-number-{number}.example\n" for number in range(300_000)))
    load = ("lists", "load", "mine")
    options = ("--format", "domains", "--category", "gambling")
    running.cli(*load, str(small), *options)
    wait_for("the block", lambda: running.curl(running.url("listed.test", secure=False)).status == 403)
    ruleset = (running.state / "rulesets" / "current").readlink()
    workers = processes(running, "worker")
    running.token("technician")
    browsing = Browsing(running)
    browsing.start()
    try:
        for megabytes in (1, 6, 12):  # full while the list is read, while it is compiled, and while it is kept
            leave(disk, megabytes * 1024)
            done = running.cli(*load, str(big), *options, check=False)
            assert done.returncode == 2, (megabytes, done.stderr)
            sentences = done.stderr.strip().splitlines()
            assert "No space left" in sentences[-1], (megabytes, done.stderr)
            assert len([line for line in sentences if line.startswith("schoolgate:")]) == 1
            assert (running.state / "rulesets" / "current").readlink() == ruleset
            left = [path.name for path in (running.state / "lists").rglob("*") if path.is_file() and "mine" in path.name]
            assert not [name for name in left if ".tmp" in name]
    finally:
        browsing.ended.set()
        browsing.join(60)
    assert {host: {code for name, code in browsing.answers if name == host} for host in ("allowed.test", "listed.test")} == {
        "allowed.test": {200}, "listed.test": {403},
    }  # fmt: skip
    # With no room for the record of a request there is no request; with room again all is as it was.
    leave(disk, 0)
    wait_for("the gateway to close", lambda: running.curl(running.url("allowed.test", secure=False)).status == 503, 30)
    assert running.curl(running.url("listed.test", secure=False)).status in (403, 503)
    assert running.api("GET", "/api/v1/health", role="technician").status_code == 200
    leave(disk, 200 * 1024)
    wait_for("the gateway to open", lambda: running.curl(running.url("allowed.test", secure=False)).status == 200, 30)
    assert running.curl(running.url("listed.test", secure=False)).status == 403
    assert processes(running, "worker") == workers, "a worker died"
    again = running.cli(*load, str(big), *options)
    assert again.returncode == 0, again.stderr
    wait_for("the new list", lambda: running.curl("http://www.host-number-7.example/").status == 403)
    [listed] = [one for one in json.loads(running.cli("lists", "status", "--json").stdout)["lists"] if one["name"] == "mine"]
    assert listed["entries"] == 300_001
