"""How should millions of list entries be kept, and how do others do? Layouts, squidGuard and the `adblock` package side by side.

    uv run --with adblock --with marisa-trie --with lmdb python benchmarks/lists.py \
        [--entries 1000000] [--rounds 3] [--compile 5000000] [--big 10000000] [--json FILE]

Every layout answers the same question: which of a host's parents is listed? Half of the hosts asked are listed, all have
five labels, no host is asked twice. `marisa-trie`, `lmdb`, `adblock` and Debian's `squidguard` take part when they are
installed. All times are of the processor, so that other work on the machine counts little; a median is that of the means
of 100 look-ups. The layouts take turns, round by round; printed is the median of the rounds, and ratios are those of one
round. A look-up of ours is `ListIndex.lookup` of a URL that has just been canonicalised, as in the gateway; squidGuard reads
its lines from a pipe and answers each (its time is the difference between a long and a short input); `adblock` checks a
whole address. "text to answer" adds the canonicalising to ours.

Why the mapped table (open addressing, in order of the keys) was chosen: it is shared by all workers through the page
cache, opens without reading, keeps category and list with every key, and needs about two steps a look-up where bisection
needs twenty. A Python set answers faster, but each worker holds a copy of its own at about 100 bytes an entry. A trie
keeps the text and is smaller; building it takes several times as long and as much memory, and a hit needs a second table
for list, category and kind. LMDB keeps text and value too, at three times the size, and a look-up opens a transaction.
Marks of parents ("ours without marks" has none) end most look-ups at the first key or the second.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lists_parts import ours, peers
from lists_parts.layouts import ASKED, Layout, names

LAYOUTS = (ours.table, ours.unmarked, peers.squidguard, peers.adblock, peers.bisected, peers.python_set, peers.trie, peers.lmdb)


def ratio(first: Layout, second: Layout) -> float:
    """The median over the rounds of how many times as many look-ups per second the first answers."""
    return statistics.median(a["look-ups/s"] / b["look-ups/s"] for a, b in zip(first.rounds, second.rounds, strict=True))


def markdown(layouts: list[Layout]) -> str:
    """The table for README.md."""
    lines = ["| layout | bytes an entry | build s | open ms | median us | look-ups/s | ours over it | shared | category |",
             "|---|--:|--:|--:|--:|--:|--:|---|---|"]  # fmt: skip
    for one in layouts:
        figures = f"{one.bytes_an_entry:.1f} | {one.build_seconds:.2f} | {one.open_ms:.2f} | {one.figure('median us'):.2f}"
        rates = f"{one.figure('look-ups/s'):,.0f} | {ratio(layouts[0], one):.2f}"
        lines.append(f"| {one.name} | {figures} | {rates} | {'yes' if one.shared else 'no'} | {'yes' if one.category else 'no'} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", type=int, default=0, help="parse and compile this many domains, too")
    parser.add_argument("--big", type=int, default=0, help="open a file of this many entries in two processes, too")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"entries": arguments.entries, "asked": ASKED}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.compile:
            result["compiling"] = ours.compiled(arguments.compile, Path(folder))
            print(json.dumps(result["compiling"], indent=2))
        if arguments.big:
            result["big"] = ours.big(arguments.big, Path(folder))
            print(json.dumps(result["big"], indent=2))
    hosts = names(arguments.entries)
    with tempfile.TemporaryDirectory() as folder:
        layouts = [layout for build in LAYOUTS if (layout := build(hosts, Path(folder))) is not None]
        gc.freeze()  # the names and the peers' objects are the benchmark's own: the collector need not walk them again and again
        gc.set_threshold(50_000, 20, 50)  # as in the gateway's workers
        for _ in range(arguments.rounds):
            for layout in layouts:
                layout.rounds.append(layout.ask())
    print(markdown(layouts))
    for layout in layouts[:2]:
        more = [name for name in layout.rounds[0] if name not in ("median us", "look-ups/s")]
        print(f"{layout.name}: " + ", ".join(f"{name} {layout.figure(name):,.0f}" for name in more))
    result["layouts"] = {layout.name: layout.rounds for layout in layouts}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
