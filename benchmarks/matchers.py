"""Which automaton finds ten thousand phrases fastest: ours (daachorse) beside pyahocorasick, ahocorasick_rs and Hyperscan.

    uv run --group benchmarks python benchmarks/matchers.py
    uv run --group benchmarks python benchmarks/matchers.py --json result.json

Every engine looks for the same patterns in the same normalised texts and has to find the same places. Between two
scans the tool walks over memory, as the rest of a request does, so that no engine keeps the cache to itself. Times are
medians; ratios are against ours in the same run.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from gateway_parts.origin import page
from gateway_parts.ours import phrases
from rich.console import Console
from rich.table import Table

from rules.keywords import KeywordMatcher
from rules.keywords.automaton import Automaton
from rules.keywords.compile import patterns_by_meaning, watched_phrases
from rules.keywords.sets import KeywordSet, Phrase, starter_sets
from rules.normalise import words
from rules.page import visible_text

ROUNDS = 300
_CONTEXTS = ("search", "form", "prompt", "page")
_PROMPT = ["can", "you", "help", "me", "write", "about", "the", "river", "for", "my", "homework", "please"]
type Scan = Callable[[bytes], int]


class Engine(NamedTuple):
    """One automaton, built."""

    name: str
    scan: Scan
    """Returns how many places it found."""
    build_seconds: float


def patterns() -> list[bytes]:
    """Return the patterns of the starter sets and of 10,000 made-up phrases."""
    made = KeywordSet("made-up", tuple(Phrase(text, 60, 3, _CONTEXTS) for text in phrases()))
    return list(patterns_by_meaning(watched_phrases([*starter_sets(), made]))[0])


def texts() -> dict[str, bytes]:
    """Return normalised texts: a search, a message, a page of 10 kB and one of 100 kB."""
    search = "how to make a volcano for the school science fair"
    message = " ".join(random.Random(1).choices(search.split(), k=50))
    pages = {f"{size // 1000} kB page": visible_text(page(size, 4), "text/html; charset=utf-8") for size in (10_000, 100_000)}
    return {name: words(text).encode() for name, text in {"search": search, "message": message, **pages}.items()}


def engines(found: list[bytes]) -> list[Engine]:
    """Build every engine that is installed."""
    makers: dict[str, Callable[[list[bytes]], Scan]] = {
        "daachorse (ours)": _ours, "pyahocorasick": _pyahocorasick, "ahocorasick_rs": _ahocorasick_rs, "hyperscan": _hyperscan,
    }  # fmt: skip
    built = []
    for name, make in makers.items():
        start = time.perf_counter()
        try:
            scan = make(found)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        built.append(Engine(name, scan, time.perf_counter() - start))
    return built


def _ours(found: list[bytes]) -> Scan:
    automaton = Automaton({one: number for number, one in enumerate(found)})
    return lambda data: len(automaton.find(data))


def _pyahocorasick(found: list[bytes]) -> Scan:
    automaton = import_module("ahocorasick").Automaton()
    for number, one in enumerate(found):
        automaton.add_word(one.decode(), number)
    automaton.make_automaton()
    return lambda data: len(list(automaton.iter(data.decode())))


def _ahocorasick_rs(found: list[bytes]) -> Scan:
    automaton = import_module("ahocorasick_rs").BytesAhoCorasick(found)
    return lambda data: len(automaton.find_matches_as_indexes(data, overlapping=True))


def _hyperscan(found: list[bytes]) -> Scan:
    hyperscan = import_module("hyperscan")
    database = hyperscan.Database()
    database.compile(expressions=found, ids=list(range(len(found))), elements=len(found), flags=[0] * len(found), literal=True)
    database.scratch = hyperscan.Scratch(database)

    def scan(data: bytes) -> int:
        places: list[int] = []
        database.scan(data, match_event_handler=lambda number, *_: places.append(number))
        return len(places)

    return scan


def measure(scan: Scan, data: bytes, rounds: int) -> float:
    """Return the median time of one scan, in microseconds, with other memory touched in between."""
    other = bytearray(2_000_000)
    times = []
    for _ in range(rounds):
        other.count(1)
        start = time.perf_counter()
        scan(data)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def whole(rounds: int) -> dict[str, float]:
    """Return the time of everything that a page or a text costs, in microseconds: extraction, normalising, matching, weighing."""
    made = KeywordSet("made-up", tuple(Phrase(text, 60, 3, _CONTEXTS) for text in phrases()))
    start = time.perf_counter()
    matcher = KeywordMatcher.build([*starter_sets(), made])
    loaded = (time.perf_counter() - start) * 1e6
    body = page(10_000, 4)
    kind = "text/html; charset=utf-8"

    def read(data: bytes) -> int:
        return len(matcher.weigh(visible_text(data, kind), "page").themes)

    prompt = " ".join(random.Random(2).choices(_PROMPT, k=60))[:300]
    return {
        "10 kB page, extraction and all sets": measure(
            lambda data: len(matcher.weigh(visible_text(data, kind), "page").themes), body, rounds
        ),
        "prompt of 300 characters, all sets": measure(lambda _: len(matcher.weigh(prompt, "prompt").themes), b"", rounds),
        "compiling all sets": loaded,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    found = patterns()
    samples = texts()
    table = Table(title=f"{len(found):,} patterns; median microseconds a scan (ratio of our time to theirs)")
    for column in ("engine", "build s", *samples):
        table.add_column(column, justify="left" if column == "engine" else "right")
    figures: dict[str, dict[str, float]] = {}
    counts: dict[str, set[int]] = {name: set() for name in samples}
    for engine in engines(found):
        figures[engine.name] = {name: measure(engine.scan, data, options.rounds) for name, data in samples.items()}
        for name, data in samples.items():
            counts[name].add(engine.scan(data))
        ours = figures["daachorse (ours)"]
        row = [f"{figures[engine.name][name]:.1f} ({ours[name] / figures[engine.name][name]:.2f})" for name in samples]
        table.add_row(engine.name, f"{engine.build_seconds:.2f}", *row)
    Console().print(table)
    if any(len(each) > 1 for each in counts.values()):
        raise SystemExit(f"The engines don't agree on how many places there are: {counts}.")
    parts = whole(options.rounds)
    for name, value in parts.items():
        print(f"{name}: {value:,.0f} us")
    if options.json:
        options.json.write_text(json.dumps({"engines": figures, "whole": parts}, indent=1))


if __name__ == "__main__":
    main()
