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


_WITH_PROCESSES = ("e2e", "proxy", "schoolgate", "docs", "benchmarks")
"""Folders whose tests start processes or measure time: one after the other, so that they don't take the machine from each other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests with processes in one of the runs that stand side by side."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in _WITH_PROCESSES or "full_disk" in item.path.name:
            item.add_marker(pytest.mark.xdist_group("processes"))
