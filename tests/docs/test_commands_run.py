"""The commands that the pages show work as they are written, one after the other, in an installation of their own."""

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from schoolgate import firstrun
from schoolgate.paths import StatePaths

ROOT = Path(__file__).parent.parent.parent
PAGES = ("technician.md", "dsl.md")
STARTS = ("schoolgate account", "schoolgate lists", "schoolgate check", "schoolgate explain", "schoolgate events", "schoolgate audit",
          "schoolgate token", "schoolgate keywords", "echo ")  # fmt: skip

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def shown(page: str) -> list[str]:
    """Return the command lines of a page: in blocks of code, and those between backticks that are whole."""
    text = (ROOT / "docs" / page).read_text()
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ") and line.strip().startswith(STARTS)]
    inline = [one for one in re.findall(r"`(schoolgate [^`]+)`", text) if one.startswith(STARTS) and one.count(" ") >= 2]
    return blocks + inline


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as a technician has it: the installation, the lists that the pages name, and `schoolgate` on the path."""
    folder = tmp_path_factory.mktemp("desk")
    paths = StatePaths(folder / "state")
    firstrun.prepare(paths, paths.policy, lambda _: None, lambda _: None)
    with tarfile.open(folder / "blacklists.tar.gz", "w:gz") as archive:
        for name, data in (("blacklists/gambling/domains", b"casino.test\n"), ("blacklists/gambling/urls", b"games.test/poker\n")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (folder / "block.txt").write_text("poker.test\n")
    (folder / "allow.txt").write_text("help.test\n")
    (folder / "words.csv").write_text("phrase,context,action,level,match,category\nnobody likes jenny,typed,alert,4,whole,Unkind words\n")
    (folder / "iwf-hashes.txt").write_text(hashlib.sha256(b"sealed-here.test/").hexdigest() + "\n")
    (folder / "iwf.toml").touch(0o600)
    (folder / "iwf.toml").write_text('user = "school"\npassword = "a password of the publisher"\n')
    program = folder / "bin" / "schoolgate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m schoolgate "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.timeout(600)
def test_every_command_of_the_pages_works_as_written(desk: Path) -> None:
    environment = {**os.environ, "PATH": f"{desk / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    lines = list(dict.fromkeys(line for page in PAGES for line in shown(page)))
    assert len(lines) >= 12
    for line in lines:
        command = line.partition("  #")[0].replace("link NAME", "link j.jones")
        # A person types this password at a terminal; the page's own remark names the way for programs.
        command += " --password-stdin" if "asks for a password" in line else ""
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=desk, env=environment, input="purple kettle marathon\n", capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_the_readme_shows_exactly_the_two_commands_of_a_fresh_machine() -> None:
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("    pip ")]
    assert lines == ["pip install uv && uv run schoolgate up", "pip install uv && uv run pytest"]
