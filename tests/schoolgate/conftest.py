"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest

from schoolgate.paths import StatePaths


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    """Return the paths of a state folder that does not exist yet."""
    return StatePaths(tmp_path / "state")
