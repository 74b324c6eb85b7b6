"""How far a long command is: nothing for short ones, plain lines where nobody watches, a bar on a terminal."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from blocklists.formats.interface import Options
from blocklists.formats.registry import FORMATS
from schoolgate import progress as module
from schoolgate import terminal
from schoolgate.progress import progress


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("".join(f"h{number}.example\n" for number in range(200_000)))
    return path


def read(path: Path) -> None:
    for _ in FORMATS["domains"].read(path, Options("c")):
        pass


def test_a_short_command_says_nothing(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading mine", listed.stat().st_size):
        read(listed)
    assert capsys.readouterr() == ("", "")


def test_a_long_one_says_a_plain_line_now_and_then(
    listed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLAIN_SECONDS", 0.0)
    with progress("Reading mine"):
        read(listed)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"Reading mine: {listed.stat().st_size / 1e6:,.0f} MB …"
    assert not any("\x1b" in line for line in lines)


def test_a_person_at_a_terminal_sees_a_bar_with_bytes(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "terminal", lambda: True)
    monkeypatch.setattr(terminal, "console", lambda: Console(file=shown, force_terminal=True, width=120, color_system=None))
    with progress("Fetching mine", 10_000_000) as bar:
        bar.reached(4_000_000, 10_000_000)
        bar._bars.refresh()  # type: ignore[union-attr]
        bar.step("Compiling all lists with mine")
        bar._bars.refresh()  # type: ignore[union-attr]
    assert "Fetching mine" in shown.getvalue()
    assert "4.0/10.0 MB" in shown.getvalue()
    assert "Compiling all lists with mine" in shown.getvalue()


def test_the_bar_ends_when_the_command_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "terminal", lambda: True)
    monkeypatch.setattr(terminal, "console", lambda: Console(file=shown, force_terminal=True, width=120))
    with pytest.raises(OSError, match="full"), progress("Reading mine"):
        raise OSError("full")
    assert sys.stdout is not shown
