"""Fixtures of the command line's tests."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schoolgate import cli
from schoolgate.paths import StatePaths


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    """Return the paths of a state folder that does not exist yet."""
    return StatePaths(tmp_path / "state")


class Outcome:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Iterator[Callable[..., Outcome]]:
    """Run a command in this process: `run("lists", "status", state=paths, text="standard input")`."""
    monkeypatch.setenv("NO_COLOR", "1")
    umask = os.umask(0o077)

    def command(*arguments: object, text: str | bytes = "", state: StatePaths | None = None) -> Outcome:
        where = ["--state", str(state.root)] if state is not None else []
        monkeypatch.setattr("sys.argv", ["schoolgate", *map(str, arguments), *where])
        source = tmp_path / "stdin"
        source.write_bytes(text.encode() if isinstance(text, str) else text)
        capfdbinary.readouterr()
        with source.open(encoding="utf-8") as stdin, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", stdin)
            with pytest.raises(SystemExit) as end:
                cli.main()
        out, err = (part.decode() for part in capfdbinary.readouterr())
        assert "Traceback" not in err
        return Outcome(int(end.value.code or 0), out, err)

    yield command
    os.umask(umask)
