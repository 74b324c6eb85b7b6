"""The whole tool, against the trimmed master, on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gateway.py"


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("origin", ["auto", "python"])
def test_every_kind_of_work_gets_figures_and_a_peer_that_is_missing_is_named(tmp_path: Path, origin: str) -> None:
    output = tmp_path / "result.json"
    done = subprocess.run(
        [
            sys.executable, str(SCRIPT), "--peers", "trimmed,squid", "--ut1", str(tmp_path / "absent.tar.gz"),
            "--cases", "http,https,https-new,html-100k,blocked",
            "--seconds", "0.5", "--rounds", "1", "--connections", "4", "--json", str(output), "--origin", origin,
        ], capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(output.read_text())
    assert "no UT1 lists" in document["absent"]["squid"] or "not installed" in document["absent"]["squid"]
    found = {result["case"]: result for result in document["results"]}
    assert found["blocked"]["note"] == "does not filter"
    for case in ("http", "https", "https-new", "html-100k"):
        best = found[case]["best"]
        assert best["requests"] > 0
        assert (best["wrong"], best["broken"]) == (0, 0)
        assert best["cpu_seconds_per_1000"] > 0
        assert best["rss_peak_mb"] > 10


def test_an_unknown_case_or_peer_is_named_with_those_that_exist() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--cases", "fast"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "unknown: fast" in done.stderr
    assert "https-new" in done.stderr
