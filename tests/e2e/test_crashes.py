"""`kill -9` of any process, under load: nothing acknowledged is lost or doubled, and nothing passes unfiltered."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from .harness import Gateway, processes, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SPOOL_SECONDS = 0.1
"""Contract: at most the last 100 ms of a killed worker are lost."""


class Load(threading.Thread):
    """Requests one after the other, each with a path of its own; remembers when each was answered."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(daemon=True)
        self.gateway, self.label = gateway, name
        self.answered: dict[str, float] = {}
        self.unfiltered: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """Ask until told to end; a connection that breaks is what a killed worker looks like, and is asked again."""
        number = 0
        while not self.ended.is_set():
            with httpx2.Client(proxy=self.gateway.proxy, trust_env=False, timeout=10) as client:
                while not self.ended.is_set():
                    number += 1
                    path = f"/{self.label}-{number}"
                    try:
                        answer = client.get(self.gateway.url("allowed.test", path, secure=False))
                        denied = client.get(self.gateway.url("denied.test", path, secure=False))
                    except httpx2.HTTPError:
                        break
                    if answer.status_code == 200:
                        self.answered[path] = time.time()
                    if denied.status_code == 200:
                        self.unfiltered.append(path)
                    time.sleep(0.005)


def count(gateway: Gateway, label: str) -> Counter[str]:
    """How often each path of a load stands in the store."""
    lines = gateway.cli("events", "--host", "allowed.test", "--limit", "10000", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return Counter(str(row["path"]) for row in rows if str(row["path"]).startswith(f"/{label}-"))


def test_a_killed_worker_loses_no_more_than_its_last_moments(fresh: Callable[..., Gateway]) -> None:
    """The other worker goes on, the killed one comes back, each event that was written down is there once."""
    gateway = fresh("--workers", "2")
    loads = [Load(gateway, f"w{index}") for index in range(4)]
    for load in loads:
        load.start()
    time.sleep(1.5)
    victim = processes(gateway, "worker")[0]
    killed = time.time()
    os.kill(victim, signal.SIGKILL)
    wait_for("a new worker", lambda: (pids := processes(gateway, "worker")) and len(pids) == 2 and victim not in pids, 15)
    time.sleep(2.5)
    ended = time.time()
    finish(loads)
    for load in loads:
        assert not load.unfiltered
        certain = {path for path, at in load.answered.items() if at < killed - 3 * SPOOL_SECONDS or killed + 5 < at < ended}
        assert certain
        seen = settled(gateway, load.label, certain)
        assert max(seen.values()) == 1, "an event stands there twice"
        assert not certain - set(seen), "events are missing"


def test_a_killed_console_loses_nothing_and_doubles_nothing(fresh: Callable[..., Gateway]) -> None:
    """Workers go on without it; what waited in the spool is ingested once when it is back."""
    gateway = fresh("--workers", "1")
    load = Load(gateway, "c0")
    load.start()
    for _ in range(3):
        time.sleep(0.8)
        victim = processes(gateway, "console")[0]
        os.kill(victim, signal.SIGKILL)
        wait_for("a new console", lambda victim=victim: (pids := processes(gateway, "console")) and victim not in pids, 15)  # type: ignore[misc]
        time.sleep(1.5)
    finish([load])
    assert not load.unfiltered
    seen = settled(gateway, "c0", set(load.answered))
    assert max(seen.values()) == 1
    assert not set(load.answered) - set(seen)


def test_a_killed_supervisor_leaves_no_open_door(fresh: Callable[..., Gateway]) -> None:
    """Workers and console end with it, the port is refused, and the next start has every event."""
    gateway = fresh("--workers", "1")
    load = Load(gateway, "s0")
    load.start()
    time.sleep(1)
    children = processes(gateway, "worker") + processes(gateway, "console")
    killed = time.time()
    gateway.process.kill()
    gateway.process.wait()
    wait_for("all processes to end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 15)
    finish([load])
    assert gateway.curl(gateway.url("denied.test", secure=False)).exit_code != 0
    again = fresh("--workers", "1", state=gateway.state)
    certain = {path for path, at in load.answered.items() if at < killed - 3 * SPOOL_SECONDS}
    seen = settled(again, "s0", certain)
    assert max(seen.values()) == 1
    assert not certain - set(seen)


def finish(loads: list[Load]) -> None:
    """End the loads and wait for them."""
    for load in loads:
        load.ended.set()
    for load in loads:
        load.join(20)


def settled(gateway: Gateway, label: str, certain: set[str]) -> Counter[str]:
    """The store's count once everything certain has arrived, or after ten seconds whatever is there."""
    end = time.monotonic() + 10
    while True:
        seen = count(gateway, label)
        if not certain - set(seen) or time.monotonic() > end:
            return seen
        time.sleep(0.3)
