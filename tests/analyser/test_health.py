"""The state of the installation: what the workers report, and what can't be read of it."""

import os
from pathlib import Path

import msgspec
import pytest

from analyser import health


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folder of reports and the spool, both empty."""
    for name in ("run", "spool"):
        (tmp_path / name).mkdir()
    return tmp_path / "run", tmp_path / "spool"


@pytest.mark.parametrize("written", [b"", b"{", b"[1, 2]"])
def test_a_report_that_cannot_be_read_is_a_condition_and_hides_no_other(folders: tuple[Path, Path], written: bytes) -> None:
    run, spool = folders
    (run / "worker-1.json").write_bytes(written)
    (run / "worker-2.json").write_bytes(msgspec.json.encode({"name": "worker-2", "pid": os.getpid()}))
    found = health.look(run, spool)
    assert [report["name"] for report in found.workers] == ["worker-2"]
    (said,) = [one.sentence for one in found.conditions if one.cause == "worker"]
    assert "worker-1.json" in said
    assert "restart Schoolgate" in said


def test_what_an_earlier_run_left_says_nothing(folders: tuple[Path, Path]) -> None:
    run, spool = folders
    report = run / "worker-1.json"
    report.write_bytes(b"{")
    os.utime(report, (0, 0))
    found = health.look(run, spool)
    assert not found.workers
    assert not [one for one in found.conditions if one.cause == "worker"]
