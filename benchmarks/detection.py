"""How much the filter finds in labelled texts, what it costs in false alerts and blocks, and what other word lists do.

    uv run python benchmarks/detection.py                     # everything; some minutes
    uv run python benchmarks/detection.py --quick             # samples of every set
    uv run python benchmarks/detection.py --markdown docs/detection.md --json detection.json

"Found" means level 3 or more, from which a person hears of it. Every text is judged with a model that has not learned
from it: models are trained for five folds first. Texts lie beside the repository and in tests/rules/data.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from detection_parts.measuring import OURS, disguises, measure, speed, systems
from detection_parts.sets import sets
from detection_parts.table import put_into, tables

from rules.model.corpora import DATA

QUICK = 400


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with labelled/, benign/ and phrases/")
    parser.add_argument("--group", help="group of the policy; the strictest when not given")
    parser.add_argument("--quick", action="store_true", help=f"at most {QUICK} texts of a set")
    parser.add_argument("--no-disguises", action="store_true", help="leave the disguised texts out")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--markdown", type=Path, help="put the tables into this page")
    options = parser.parse_args()
    if not (options.data / "labelled").is_dir():
        sys.stderr.write(f"There is no folder {options.data / 'labelled'}; name the one with the labelled texts with --data.\n")
        return 2
    start = time.monotonic()
    measured = sets(options.data)
    asked = systems(options.data, options.group)
    most = QUICK if options.quick else None
    results = []
    for result in measure(asked, measured, most):
        results.append(result)
        figures = result.counts[OURS]
        sys.stderr.write(
            f"{time.monotonic() - start:6.0f} s  {result.name:24} {result.context:7} found {figures.recall.value:6.1%}  "
            f"alarms {1000 * figures.false_alarms.value:7.2f}  blocks {1000 * figures.blocks.value:7.2f} per 1,000\n"
        )
    changed = [] if options.no_disguises else list(disguises(asked[OURS], measured, most or 600, most or 700))
    text = tables(results, changed, speed(asked[OURS], measured))
    sys.stdout.write(text)
    if options.markdown is not None:
        put_into(options.markdown, text)
    if options.json is not None:
        rows = [
            {"set": one.name, "context": one.context, "systems": {name: counts.as_json() for name, counts in one.counts.items()},
             "parts": {name: counts.as_json() for name, counts in one.parts.items()},
             "themes": {name: [counts.found, counts.alarms] for name, counts in one.themes.items()}}
            for one in results
        ]  # fmt: skip
        options.json.write_text(
            json.dumps({"sets": rows, "disguises": [one._asdict() for one in changed]}, indent=1) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
