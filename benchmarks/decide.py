"""How long `decide()` takes for a URL without a body, and whether grants, policy entries and lists change it.

    uv run python benchmarks/decide.py [--lists PATH/lists.idx] [--json FILE]

Every hundredth address is a search, each for another of the questions in ../shared/data (people's real ones), or for a few of
our own where that folder is absent; of the 1,400 requests in the real traffic there, none is one. A last case shows searches
alone. Prints a table of p50 and p99 in microseconds for each case, and with --json writes the same as JSON. Ends with code 1
when the p99 of a case, but the last, is 50 us or more.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from urllib.parse import quote_plus

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from blocklists.index import ListIndex
from blocklists.sealed import SealedLists
from blocklists.url import CanonicalUrl, canonicalise
from rules.decide import decide
from rules.model import corpora
from rules.policy import parse_policy
from rules.request import Request, TypedText
from rules.ruleset import Ruleset
from rules.state import Grant, State

LIMIT_US = 50.0
STARTER = Path(__file__).resolve().parent.parent / "rules" / "starter_policy.toml"
URLS = [
    "https://www.bbc.co.uk/bitesize/subjects/z2pfb9q",
    "https://en.wikipedia.org/wiki/Photosynthesis?action=raw",
    "https://a.b.cdn.static.example.org/assets/js/vendor/chunk-4711.min.js?v=20261122",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PL4711",
    "http://games.example.com/play/now/index.html",
    "https://www.gov.uk/government/publications/keeping-children-safe-in-education--2",
]

SEARCH = "https://www.google.co.uk/search?q="
ONE_IN = 100
"""A page takes some seventy requests, and a search leads to a page or two."""
SEARCHES = ["how do volcanoes work", "bbc weather manchester", "year 6 sats maths paper 2", "who was the first king of england"]


def searches() -> list[str]:
    """Return what is searched for."""
    try:
        return [one.text for one in corpora.searches(corpora.DATA)]
    except OSError:
        sys.stderr.write(f"There are no questions in {corpora.DATA}: searching for {len(SEARCHES)} things of our own.\n")
        return SEARCHES


def requests(count: int, ruleset: Ruleset, terms: list[str], one_in: int) -> list[Request]:
    """Return requests with hosts that differ, as a school's do, one in so many a search; its term is taken out as the worker does."""
    policy = ruleset.policy
    found = []
    for number in range(count):
        text = URLS[number % len(URLS)].replace("example", f"example{number % 997}")
        if number % one_in == 0:
            text = SEARCH + quote_plus(terms[number // one_in % len(terms)])
        url: CanonicalUrl = canonicalise(text)
        term = ruleset.searches.term_of(url)
        typed = (TypedText(term.text),) if term is not None else ()
        found.append(Request(url=url, subject=policy.identify(f"10.1.{number % 16}.{number % 250}"), at=1.79e9 + number, typed=typed))
    return found


def measure(ruleset: Ruleset, state: State, one_in: int = ONE_IN, rounds: int = 3, count: int = 20_000) -> dict[str, float]:
    """Return p50 and p99 in microseconds of the best round, decisions on fresh requests only."""
    best: dict[str, float] | None = None
    terms = searches()
    for _ in range(rounds):
        asked = requests(count, ruleset, terms, one_in)
        for request in asked[:500]:
            decide(request, ruleset, state)
        gc.collect()
        times = []
        for request in asked:
            start = time.perf_counter_ns()
            decide(request, ruleset, state)
            times.append(time.perf_counter_ns() - start)
        times.sort()
        result = {"p50_us": times[len(times) // 2] / 1000, "p99_us": times[int(len(times) * 0.99)] / 1000}
        if best is None or result["p99_us"] < best["p99_us"]:
            best = result
    assert best is not None
    return best


def grants(count: int) -> State:
    """Return a state with grants for hosts, groups and users, some of them for the hosts that are asked for."""
    made = [
        Grant(f"g{n}", "host", f"granted{n}.example{n}.com" if n % 10 else "www.bbc.co.uk", "/", "user", f"user{n}", 0.0, 9e9)
        for n in range(count)
    ]
    return State.of(made)


def main() -> int:
    """Measure every case and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, help="compiled block lists, for the cases with lists")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    starter = STARTER.read_text(encoding="utf-8")
    entries = ", ".join(f'"entry{n}.example{n}.org/path{n}"' for n in range(1_000))
    wide = starter + f"\n[[allow]]\nentries = [{entries}]\n[[deny]]\nentries = [{entries.replace('entry', 'deny')}]\n"
    sealed = SealedLists.empty()
    plain = Ruleset.of(parse_policy(starter), sealed)
    cases: dict[str, tuple[Ruleset, State]] = {
        "empty": (plain, State()),
        "1,000 grants": (plain, grants(1_000)),
        "2,000 policy entries": (Ruleset.of(parse_policy(wide), sealed), State()),
    }
    if options.lists is not None:
        full = Ruleset.of(parse_policy(wide), sealed, lists=ListIndex.open(options.lists))
        cases[f"lists ({full.lists.count:,} entries)"] = (Ruleset.of(parse_policy(starter), sealed, lists=full.lists), State())
        cases["lists + 1,000 grants + 2,000 entries"] = (full, grants(1_000))
    figures = {name: measure(ruleset, state) for name, (ruleset, state) in cases.items()}
    figures["searches alone"] = searched = measure(plain, State(), one_in=1)
    for name, figure in figures.items():
        print(f"{name:40} p50 {figure['p50_us']:7.1f} us   p99 {figure['p99_us']:7.1f} us")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figure["p99_us"] < LIMIT_US for figure in figures.values() if figure is not searched) else 1


if __name__ == "__main__":
    sys.exit(main())
