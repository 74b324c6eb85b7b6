"""The supervisor, with small scripts in place of the real parts."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schoolgate import partrun
from schoolgate import supervisor as module
from schoolgate.notify import NotifySocket
from schoolgate.parts import Part
from schoolgate.supervisor import Supervisor, pause_after

READY = """
import os, signal, socket, sys, time, pathlib
def ready():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ["NOTIFY_SOCKET"]); s.sendall(b"READY=1")
folder = pathlib.Path(sys.argv[1]); name = sys.argv[2]
def note(word):
    with open(folder / "notes", "a") as f: f.write(f"{name} {word}\\n")
"""
SERVE = (
    READY
    + """
def stop(*_):
    note("stops"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("starts"); ready()
while True: time.sleep(60)
"""
)


class Stage:
    """A folder where scripted parts write down what happens to them, and what the supervisor says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.recorded: list[str] = []
        self.words: dict[str, str] = {}
        self.ready = asyncio.Event()
        self.hear = NotifySocket(folder / "notify.sock")

    def part(self, name: str, script: str, order: int = 0, patience: float = 5.0, report: Path | None = None) -> Part:
        return Part(name, (sys.executable, "-S", "-c", script, str(self.folder), name), patience, order, report)

    def _is_ready(self, words: dict[str, str]) -> None:
        self.words = words
        self.ready.set()

    def record(self, part: str, sentence: str) -> None:
        self.recorded.append(f"{part}: {sentence}")

    def supervisor(self, *parts: Part) -> Supervisor:
        return Supervisor(parts, self.hear, self.said.append, self._is_ready, self.record)

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    made = Stage(tmp_path)
    yield made
    made.hear.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(run: Awaitable[int]) -> int:
    return await asyncio.wait_for(run, 20)


@given(st.integers(min_value=1, max_value=10_000))
def test_pauses_grow_and_stay_between_half_a_second_and_thirty(failures: int) -> None:
    assert module.FIRST_PAUSE <= pause_after(failures) <= pause_after(failures + 1) <= 30.0


async def test_says_ready_once_when_all_parts_are_and_stops_workers_before_the_console(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("console", SERVE, order=1), stage.part("w1", SERVE), stage.part("w2", SERVE))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    supervisor.stop()
    assert await ended(run) == 0
    assert sorted(stage.notes[:3]) == ["console starts", "w1 starts", "w2 starts"]
    assert sorted(stage.notes[3:5]) == ["w1 stops", "w2 stops"]
    assert stage.notes[5:] == ["console stops"]


async def test_restarts_a_killed_part_under_a_new_generation(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("w1", SERVE), stage.part("w2", SERVE))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    first = supervisor.running["w1"]
    os.kill(first.process.pid, signal.SIGKILL)
    await until(lambda: supervisor.running["w1"].generation == 2 and supervisor.running["w1"].ready.is_set())
    assert supervisor.running["w2"].generation == 1
    assert supervisor.restarts == {"w1": 1, "w2": 0}
    assert any("w1 ended unexpectedly (killed by SIGKILL)" in line for line in stage.said)
    assert [line for line in stage.recorded if line.startswith("w1: w1 ended unexpectedly")]
    supervisor.stop()
    assert await ended(run) == 0


async def test_a_part_that_refuses_its_settings_ends_everything_with_exit_code_2(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("console", SERVE, order=1), stage.part("w1", READY + "sys.exit(2)"))
    assert await ended(supervisor.run()) == 2
    assert not stage.ready.is_set()


async def test_gives_up_the_first_start_after_three_deaths(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("w1", READY + "note('starts'); sys.exit(7)"))
    assert await ended(supervisor.run()) == 1
    assert stage.notes == ["w1 starts"] * 3
    assert "w1 could not be started" in stage.said[-1]


async def test_kills_a_part_that_does_not_become_ready(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_WITHIN", 0.2)
    supervisor = stage.supervisor(stage.part("w1", READY + "time.sleep(60)"))
    assert await ended(supervisor.run()) == 1
    assert any("not ready within" in line for line in stage.said)


async def test_kills_a_part_that_does_not_end_and_says_so(stage: Stage) -> None:
    deaf = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()\nwhile True: time.sleep(60)"
    supervisor = stage.supervisor(stage.part("w1", deaf, patience=0.2))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    supervisor.stop()
    assert await ended(run) == 1
    assert any("did not end in time" in line for line in stage.said)


WORKING = READY + "ready()\nwhile True:\n    (folder / (name + '.json')).write_text('{}'); time.sleep(0.02)"


async def test_a_part_that_hangs_is_killed_recorded_and_started_again_and_one_that_works_is_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partrun, "HUNG_AFTER", 0.6)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.05)
    names = ("w1", "w2")
    supervisor = stage.supervisor(*(stage.part(name, WORKING, report=stage.folder / f"{name}.json") for name in names))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    os.kill(supervisor.running["w1"].process.pid, signal.SIGSTOP)
    await until(lambda: supervisor.running["w1"].generation == 2 and supervisor.running["w1"].ready.is_set())
    assert supervisor.running["w2"].generation == 1
    assert any("w1 gave no sign of life" in line for line in stage.recorded)
    supervisor.stop()
    assert await ended(run) == 0


async def test_nothing_is_killed_while_no_report_can_be_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partrun, "HUNG_AFTER", 0.1)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(partrun, "writable", lambda _: False)
    supervisor = stage.supervisor(stage.part("w1", SERVE, report=stage.folder / "w1.json"))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    await asyncio.sleep(0.5)
    assert supervisor.running["w1"].generation == 1
    supervisor.stop()
    assert await ended(run) == 0


async def test_hands_on_what_a_part_says_with_its_readiness_and_tells_the_first_start(stage: Stage) -> None:
    said = READY + (
        "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nnote(os.environ['SCHOOLGATE_FIRST_START'])\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "s.sendall(b'READY=1\\nX_SCHOOLGATE_LINK=http://x/y')\nwhile True: time.sleep(60)"
    )
    supervisor = stage.supervisor(stage.part("console", said))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(stage.ready.wait(), 10)
    assert stage.words["X_SCHOOLGATE_LINK"] == "http://x/y"
    assert stage.notes == ["console 1"]
    os.kill(supervisor.running["console"].process.pid, signal.SIGKILL)
    await until(lambda: stage.notes == ["console 1", "console 0"])
    supervisor.stop()
    assert await ended(run) == 0


async def test_a_word_from_a_stranger_does_not_make_a_part_ready(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("w1", READY + "note('starts'); time.sleep(60)"))
    run = asyncio.create_task(supervisor.run())
    await until(lambda: bool(stage.notes))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(stage.hear.path))
        stranger.sendall(b"READY=1")
    await asyncio.sleep(0.1)
    assert not supervisor.running["w1"].ready.is_set()
    supervisor.stop()
    assert await ended(run) == 0


async def test_tells_systemd_when_all_parts_are_ready_and_when_it_stops(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = NotifySocket(stage.folder / "systemd.sock")
    monkeypatch.setenv("NOTIFY_SOCKET", str(systemd.path))
    supervisor = stage.supervisor(stage.part("w1", SERVE))
    run = asyncio.create_task(supervisor.run())
    assert await asyncio.wait_for(systemd.heard(), 10) == (os.getpid(), {"READY": "1"})
    supervisor.stop()
    assert await asyncio.wait_for(systemd.heard(), 10) == (os.getpid(), {"STOPPING": "1"})
    assert await ended(run) == 0
    systemd.close()


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    child = "from schoolgate.lifeline import follow_supervisor\nfollow_supervisor()\n"
    parent = textwrap.dedent(f"""
        import asyncio, pathlib, sys
        from schoolgate.notify import NotifySocket
        from schoolgate.parts import Part
        from schoolgate.supervisor import Supervisor
        folder = pathlib.Path({str(tmp_path)!r})
        part = Part("w1", (sys.executable, "-c", {child + SERVE!r}, str(folder), "w1"), 5.0, 0)
        s = Supervisor([part], NotifySocket(folder / "n.sock"), print, lambda _: print(s.running["w1"].process.pid, flush=True))
        asyncio.run(s.run())
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    assert (tmp_path / "notes").read_text().splitlines() == ["w1 starts", "w1 stops"]
