"""A refresh is a process of its own, which ends with the console and never holds up the others for ever."""

import asyncio
import sys
from pathlib import Path

import pytest

from schoolgate import refresh
from schoolgate.paths import StatePaths


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the program: it writes down that it began and its end by a signal, and does nothing meanwhile."""
    program = tmp_path / "slow"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, signal, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def end(*_):\n    (here / 'ended').write_text('x')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n(here / 'began').write_text(' '.join(sys.argv[1:]))\ntime.sleep(60)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(refresh.sys, "executable", str(program))
    return tmp_path


async def begun(folder: Path) -> None:
    for _ in range(600):
        if (folder / "began").exists() and (folder / "began").read_text():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the process did not begin")


async def test_one_that_takes_too_long_is_ended_and_counts_as_failed(slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asyncio.create_task(refresh.command(StatePaths(slow / "state"), slow / "policy.toml")("ut1"))
    await begun(slow)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (slow / "ended").exists(), "the console's end is its end"
    (slow / "ended").unlink()
    (slow / "began").unlink()
    monkeypatch.setattr(refresh, "LONGEST", 5.0)
    assert await refresh.command(StatePaths(slow / "state"), slow / "policy.toml")("ut1") == refresh.TOOK_TOO_LONG
    assert "lists fetch ut1 --load --scheduled" in (slow / "began").read_text()
