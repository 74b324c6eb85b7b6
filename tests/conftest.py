"""Fixtures of the whole test suite."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real lists, texts, traffic and conformance vectors, which lies beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: tests over real data need the shared data beside the repository")
    return folder
