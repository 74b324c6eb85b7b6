"""A log that can't be written costs its lines and nothing else."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from schoolgate import logs


@pytest.fixture(autouse=True)
def _own_configuration() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_line_for_a_closed_stream_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", closed)
    logs.configure_structlog()
    log = structlog.get_logger()
    log.warning("before")
    assert "before" in closed.getvalue()
    closed.close()
    log.warning("after")


def test_a_line_for_a_full_disk_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    stream = full.open("w", encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure_structlog()
    structlog.get_logger().warning("nobody can read this")
    monkeypatch.undo()
    with pytest.raises(OSError, match="space"):  # what it still holds: the disk was full indeed
        stream.close()


def test_a_line_goes_to_standard_error_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure_structlog()
    log = structlog.get_logger()
    first, second = io.StringIO(), io.StringIO()
    for stream in (first, second):
        monkeypatch.setattr(sys, "stderr", stream)
        log.warning("heard")
    assert first.getvalue().count("heard") == second.getvalue().count("heard") == 1
