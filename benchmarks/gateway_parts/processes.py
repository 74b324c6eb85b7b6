"""Start, pin, measure and stop processes, by what the kernel says in /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(entry.name)] = int(_stat_fields(int(entry.name))[1])
    return found


def tree(root: int) -> list[int]:
    """Return `root` and all processes below it, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name: 0 is the state, 1 the parent."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return user plus system seconds of the processes and of their children that have ended.

    The scheduler's own account (nanoseconds) is read per thread where the kernel offers it, because ticks are 10 ms.
    """
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = _stat_fields(pid)
            ended = (int(fields[13]) + int(fields[14])) / TICKS
            total += ended + _own_seconds(pid, fields)
    return total


def _own_seconds(pid: int, fields: list[str]) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        threads = list((_PROC / str(pid) / "task").iterdir())
        # With one thread nothing is lost by reading threads; a pool that ends threads is read by ticks.
        if len(threads) == 1:
            return int((_PROC / str(pid) / "schedstat").read_text().split()[0]) / 1e9
    return (int(fields[11]) + int(fields[12])) / TICKS


def forget_peak(pids: Sequence[int]) -> None:
    """Start the peak of resident memory of the processes anew."""
    for pid in pids:
        with contextlib.suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")


def _status_kb(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def peak_megabytes(pids: Sequence[int]) -> float:
    """Return the sum of the peaks of resident memory since `forget_peak`; shared pages count in each process."""
    return sum(_status_kb(pid, "VmHWM:") for pid in pids) / 1024


def resident_megabytes(pids: Sequence[int]) -> float:
    """Return the resident memory of the processes now; shared pages count in each process."""
    return sum(_status_kb(pid, "VmRSS:") for pid in pids) / 1024


def pin(pids: Sequence[int], cores: set[int]) -> None:
    """Let all threads of the processes run on these cores only."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in (_PROC / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    os.sched_setaffinity(int(thread.name), cores)


class StartError(Exception):
    """A process of the benchmark did not come up; the text says why."""


@dataclass(slots=True)
class Started:
    """A process that this tool started, in a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def tail(self, characters: int = 300) -> str:
        """Return the end of what the process wrote, on one line."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " ".join(text.split())[-characters:]

    def wait_port(self, port: int, seconds: float = 60.0, host: str = "127.0.0.1") -> None:
        """Wait until the port accepts connections; StartError when the process ends or time is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise StartError(f"ended with code {self.process.returncode}: {self.tail()}")
            with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                return
            time.sleep(0.1)
        raise StartError(f"port {port} not open after {seconds:.0f} s: {self.tail()}")

    def stop(self, seconds: float = 15.0) -> None:
        """End the process and everything it started: SIGTERM, then SIGKILL for what is left."""
        below = tree(self.pid)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        for pid in reversed(below[1:]):
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


def start(
    arguments: Sequence[str], folder: Path, name: str, environment: dict[str, str] | None = None, cores: set[int] | None = None
) -> Started:
    """Start a program in `folder` with its output in `folder`/`name`.log, on the given cores from its first moment.

    Its children inherit the cores. The benchmark's own affinity is put back afterwards.
    """
    log = folder / f"{name}.log"
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(arguments), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip
    except OSError as fault:
        raise StartError(f"can't start {arguments[0]}: {fault}") from fault
    finally:
        os.sched_setaffinity(0, before)
    return Started(process, log)
