"""The figures follow from counts, the tables from figures, and what is fed to the proxies is what it says."""

import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from gateway_parts.cases import Figures, Result, figures_of, percentile
from gateway_parts.client import Outcome
from gateway_parts.lists import unpack
from gateway_parts.origin import page
from gateway_parts.ours import phrases
from gateway_parts.processes import StartError, cpu_seconds, parents, tree
from gateway_parts.profiling import add_up
from gateway_parts.proxies import external
from gateway_parts.report import markdown, ratio


def test_figures_come_from_the_window() -> None:
    outcome = Outcome(latencies=[1_000_000] * 99 + [50_000_000], body_bytes=1_000_000, seconds=2.0)
    figures = figures_of(outcome, carriers_cpu=0.5, tree_cpu=0.6)
    assert figures.requests_per_second == 50
    assert figures.p50_ms == 1
    assert figures.p99_ms == 50
    assert figures.cpu_seconds_per_1000 == pytest.approx(5.0)
    assert figures.per_core == pytest.approx(200)
    assert figures.busy_cores == 0.25
    assert figures.megabytes_per_second == 0.5


def test_a_window_without_answers_gives_no_figures() -> None:
    assert figures_of(Outcome(broken=3, seconds=1.0), 1.0, 1.0).requests_per_second == 0


def test_percentiles_are_ranks() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2
    assert percentile([1.0], 0.99) == 1
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_the_best_round_is_the_cheapest_without_faults() -> None:
    dear = Figures(requests=10, cpu_seconds_per_1000=2.0, requests_per_second=90)
    cheap = Figures(requests=10, cpu_seconds_per_1000=1.0, requests_per_second=80)
    faulty = Figures(requests=10, cpu_seconds_per_1000=0.1, wrong=1)
    result = Result("p", "http", [dear, cheap, faulty])
    assert result.best is cheap
    assert result.fastest == 90


def test_the_table_shows_ratios_against_the_base_and_a_dash_for_what_is_missing() -> None:
    base = Result("mitmdump", "http", [Figures(requests=1, cpu_seconds_per_1000=2.0, per_core=500)])
    ours = Result("schoolgate", "http", [Figures(requests=1, cpu_seconds_per_1000=1.0, per_core=1000)])
    missing = Result("squid", "http", note="not installed")
    text = markdown([base, ours, missing], "mitmdump")
    assert "| HTTP keep-alive, 10 kB | 1.00 (500) | 2.00 (1,000) | – |" in text
    assert ratio(1.0, 0.0) == "-"


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_pages_have_the_size_that_they_say_and_end_as_html(size: int) -> None:
    made = page(size, 1)
    assert len(made) == size
    assert made.rstrip().endswith(b"</html>")


def test_the_phrases_are_as_many_as_asked_for_and_the_same_each_time() -> None:
    made = phrases(500)
    assert len(set(made)) == 500
    assert made == phrases(500)


def test_no_phrase_is_on_a_page_that_has_to_pass() -> None:
    text = page(100_000, 2).decode().lower()
    assert not [phrase for phrase in phrases() if f" {phrase} " in text]


def test_cpu_time_of_this_process_grows_with_its_work() -> None:
    before, until = cpu_seconds([os.getpid()]), time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert 0.15 < cpu_seconds([os.getpid()]) - before < 2.0
    assert os.getpid() in tree(os.getppid())
    assert parents()[os.getpid()] == os.getppid()


def test_samples_add_up_per_function_and_waiting_does_not_count() -> None:
    found = add_up(
        "main (a/site-packages/x/y.py:3);inner (z.py:1) 3\nmain (a/site-packages/x/y.py:9) 1\nselect (selectors.py:1) 9\n\nnoise\n"
    )
    assert found.samples == 4
    assert found.own == {"inner (z.py)": 3, "main (x/y.py)": 1}
    assert found.total["main (x/y.py)"] == 4


def archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_black_categories_are_taken_and_white_ones_left(tmp_path: Path) -> None:
    source = archive(tmp_path / "ut1.tar.gz", {
        "blacklists/gambling/domains": "b.example\nluckyhorse.com\n",
        "blacklists/gambling/urls": "a.example/x\n", "blacklists/gambling/usage": "black\n",
        "blacklists/bank/domains": "bank.example\n", "blacklists/bank/usage": "white\n",
    })  # fmt: skip
    lists = unpack(source, tmp_path / "out")
    assert lists.domains.read_text() == "b.example\nluckyhorse.com\n"
    assert (lists.domain_count, lists.url_count, lists.blocked_host) == (2, 1, "luckyhorse.com")


def test_an_archive_without_categories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no black category"):
        unpack(archive(tmp_path / "x.tar.gz", {"readme": "x"}), tmp_path / "out")


def test_a_proxy_address_is_read_or_refused() -> None:
    assert (external("http://127.0.0.1:8080/", None).host, external("http://127.0.0.1:8080", None).port) == ("127.0.0.1", 8080)
    with pytest.raises(StartError, match="http://HOST:PORT"):
        external("localhost", None)
