"""Where a Python proxy spends its time: py-spy samples added up per function."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SAMPLES_PER_SECOND = 400
IDLE = ("_worker (concurrent/futures/thread.py)", "select (selectors.py)")
"""Functions that only wait; py-spy takes a waiting thread of a pool for a busy one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of the samples, per function: `own` while it ran itself, `total` with what it called."""

    samples: int
    own: Counter[str]
    total: Counter[str]

    def markdown(self, title: str, microseconds: float, rows: int = 30) -> str:
        """Return two tables; `microseconds` is the CPU cost of one request, split by the shares."""
        lines = [f"## {title}", "", f"{microseconds:.0f} us CPU per request, {self.samples} samples.", ""]
        for name, counts in (("own time", self.own), ("with callees", self.total)):
            lines += [f"| {name} | share | us per request |", "|---|--:|--:|"]
            for function, count in counts.most_common(rows if counts is self.own else 2 * rows):
                share = count / self.samples
                lines.append(f"| {function} | {share:.1%} | {share * microseconds:.0f} |")
            lines.append("")
        return "\n".join(lines)


def add_up(raw: str) -> Profile:
    """Add up py-spy's raw format, `frame;frame;frame COUNT` per line, innermost frame last."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit():
            continue
        frames = [_short(frame) for frame in stack.split(";")]
        if frames[-1].startswith(IDLE):
            continue
        samples += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    return Profile(samples, own, total)


def _short(frame: str) -> str:
    """Return `function (package/file.py)` without the long path in front."""
    name, _, place = frame.partition(" (")
    parts = place.rstrip(")").split(":")[0].split("site-packages/")[-1].split("/")
    return f"{name} ({'/'.join(parts[-3:])})" if place else name


def sample(pid: int, seconds: int, work: Callable[[], None], folder: Path) -> Profile:
    """Sample the process while `work` runs; RuntimeError when py-spy is missing or may not look."""
    program = shutil.which("py-spy")
    if program is None:
        raise RuntimeError("py-spy is not installed: run with `uv run --with py-spy`")
    output = folder / "profile.raw"
    spy = subprocess.Popen(
        [program, "record", "-p", str(pid), "-d", str(seconds), "-r", str(SAMPLES_PER_SECOND), "-f", "raw", "-F", "-o", str(output)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    work()
    _, said = spy.communicate(timeout=seconds + 60)
    if not output.exists():
        raise RuntimeError(f"py-spy gave nothing: {said.decode(errors='replace')[-200:]}")
    return add_up(output.read_text())
