"""A disk that is really full: one sentence, nothing half done, and the rules that were in force stay in force."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schoolgate import firstrun
from schoolgate.paths import StatePaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a size of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"a file system of a given size can't be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def schoolgate(state: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schoolgate", *arguments, "--state", str(state)]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=typed, timeout=200)


@pytest.mark.parametrize("megabytes", [6])
def test_a_load_on_a_full_disk_is_one_sentence_and_the_old_rules_serve_on(disk: Path, tmp_path: Path, megabytes: int) -> None:
    paths = StatePaths(disk / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    small, big = tmp_path / "small.txt", tmp_path / "big.txt"
    small.write_text("roulette.example\n")
    big.write_text("".join(f"host-number-{number}.example\n" for number in range(300_000)))
    assert schoolgate(paths.root, "lists", "load", "mine", str(small), "--format", "domains", "--category", "gambling").returncode == 0
    files = sorted(str(path.relative_to(paths.root)) for path in (*paths.lists.rglob("*"), *paths.rulesets.rglob("*")))
    used = os.statvfs(disk)
    size = (used.f_blocks - used.f_bavail) * used.f_frsize + megabytes * 1_000_000
    subprocess.run(["mount", "-o", f"remount,size={size // 1024}k", str(disk)], check=True)

    done = schoolgate(paths.root, "lists", "load", "mine", str(big), "--format", "domains", "--category", "gambling")
    assert done.returncode == 2
    [sentence] = done.stderr.strip().splitlines()
    assert "No space left on device" in sentence, sentence
    assert sorted(str(path.relative_to(paths.root)) for path in (*paths.lists.rglob("*"), *paths.rulesets.rglob("*"))) == files
    found = schoolgate(paths.root, "lists", "lookup", "--json", typed="http://www.roulette.example/\nhttp://host-number-7.example/\n")
    assert [line.count('"categories":["gambling"]') for line in found.stdout.splitlines()] == [1, 0]

    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
    again = schoolgate(paths.root, "lists", "load", "mine", str(big), "--format", "domains", "--category", "gambling")
    assert again.returncode == 0, again.stderr
