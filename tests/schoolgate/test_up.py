"""`schoolgate up` as a process, with its real parts."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schoolgate.paths import StatePaths

pytestmark = pytest.mark.e2e


class Running:
    """A running installation."""

    def __init__(self, paths: StatePaths, log: Path) -> None:
        self.paths, self.log = paths, log
        with log.open("a") as err:
            self.process = subprocess.Popen(
                [*command("up", paths), "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--workers", "2"],
                stdout=subprocess.PIPE, stderr=err, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"ready proxy=http://127\.0\.0\.1:(\d+) console=http://127\.0\.0\.1:(\d+) ca=(\S+)\n", line)
        assert found is not None, (line, log.read_text())
        self.proxy, self.console, self.authority = int(found[1]), int(found[2]), Path(found[3])

    def worker(self, number: int) -> int:
        """Process number of a worker, by its own report; 0 while there is none."""
        file = self.paths.run / f"worker-{number}.json"
        return int(json.loads(file.read_text())["pid"]) if file.exists() else 0

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


def command(name: str, paths: StatePaths) -> list[str]:
    return [sys.executable, "-P", "-m", "schoolgate", name, "--state", str(paths.root)]


def until(what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def reachable(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2):
            return True
    except OSError:
        return False


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def up(paths: StatePaths, tmp_path: Path) -> Iterator[Running]:
    running = Running(paths, tmp_path / "log")
    yield running
    running.close()


def test_one_installation_runs_once_restarts_a_killed_worker_and_stops_cleanly(up: Running, paths: StatePaths) -> None:
    assert up.authority == paths.ca_certificate
    log = up.log.read_text()
    assert f"http://127.0.0.1:{up.console}/set-password/" in log
    assert "\x1b[" not in log

    second = subprocess.run(
        [*command("up", paths), "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"], capture_output=True, text=True, check=False
    )
    assert (second.returncode, second.stdout) == (2, "")
    assert "already runs with the state folder" in second.stderr
    busy = subprocess.run([*command("up", paths), "--listen", f"127.0.0.1:{up.proxy}"], capture_output=True, text=True, check=False)
    assert (busy.returncode, busy.stdout) == (2, "")
    assert f"already listens on 127.0.0.1:{up.proxy}" in busy.stderr

    until("worker-1's report", lambda: up.worker(1) != 0)
    before = up.worker(1)
    os.kill(before, signal.SIGKILL)
    until("worker-1 again", lambda: up.worker(1) not in (0, before))
    assert reachable(up.proxy)

    asked = subprocess.run([*command("events", paths), "--json"], capture_output=True, text=True, check=True)
    assert asked.stderr == ""
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert up.process.stdout is not None
    assert up.process.stdout.read() == ""
    assert not list(paths.spool.glob("*.ndjson*"))
    assert not reachable(up.proxy)


def test_when_the_supervisor_is_killed_nothing_is_left_and_the_next_start_works(up: Running, paths: StatePaths, tmp_path: Path) -> None:
    until("the workers' reports", lambda: 0 not in (up.worker(1), up.worker(2)))
    workers = [up.worker(1), up.worker(2)]
    up.process.kill()
    up.process.wait()
    until("the workers' end", lambda: all(map(gone, workers)))
    until("the port to close", lambda: not reachable(up.proxy))
    until("the console's end", lambda: not paths.console_file.exists())
    again = Running(paths, tmp_path / "second.log")
    assert reachable(again.proxy)
    again.close()
    assert again.process.returncode == 0
