"""The questions are those that the benchmark says, every layout gives the same answers, and the table follows from them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lists import markdown, ratio
from lists_parts import layouts, ours
from lists_parts.layouts import Layout, asked_hosts, measure, names


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "ASKED", 1_000)
    monkeypatch.setattr(ours, "ASKED", 1_000)


def test_half_of_the_hosts_are_listed_and_none_is_asked_twice() -> None:
    hosts = names(2_000)
    asked = asked_hosts(hosts)
    assert len(set(asked)) == len(asked) == 1_000
    assert {host.count(".") for host in asked} == {4}
    listed = set(hosts)
    assert sum(host.removeprefix("a.b.") in listed for host in asked) == 500
    # Some of the others stand beside listed ones, the rest on sites of which nothing is listed.
    assert sum(".site" in host for host in asked) == 750


@pytest.mark.parametrize("build", [ours.table, ours.unmarked])
def test_our_layouts_are_asked_whole(tmp_path: Path, build: Callable[[list[str], Path], Layout]) -> None:
    figures = build(names(2_000), tmp_path).ask()
    assert set(figures) == {"median us", "look-ups/s", "text to answer/s", "look-ups/s, same hosts again", "batch URLs/s"}
    assert min(figures.values()) > 0


def test_the_table_shows_medians_and_ratios_of_one_round() -> None:
    def layout(name: str, rates: list[float]) -> Layout:
        made = Layout(name, 16, 1, 1, True, True, dict)
        made.rounds = [{"median us": 1e6 / rate, "look-ups/s": rate} for rate in rates]
        return made

    first, second = layout("first", [100, 50, 80]), layout("second", [50, 50, 10])
    assert ratio(first, second) == 2
    row = markdown([first, second]).splitlines()[3]
    assert row.startswith("| second | 16.0 | 1.00 | 1.00 | 20000.00 | 50 | 2.00 |")


def test_a_measure_has_a_median_and_a_rate() -> None:
    figures = measure(lambda number: sum(range(number)), [50] * 300)
    assert figures["median us"] > 0
    assert figures["look-ups/s"] > 0
