"""Trains the text model: `uv run python -m rules.model.train`, from the data beside the repository and the project's examples.

Writes `model.npy` and `names.npy` (weights), `model.json` (limits, and how it was made: seed, data, held-out scores) and
`glance.json` (which searches are read) into this package. The same data, seed and library versions give the same files. Takes
some minutes and about 2 GB.
"""

import argparse
import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from rules.model import corpora
from rules.model.corpus import FOLDS, Item, Matrix, corpus, features
from rules.model.fit import Weights, fit, scaled, scores
from rules.model.glance import Glance
from rules.model.glancing import fit_glance
from rules.model.heads import HEADS
from rules.model.kinds import heard, margins
from rules.model.limits import Limits, choose
from rules.model.reader import FOLDER, JUDGED, Facts, TextModel
from rules.model.reading import reading

SEED = 20261122


class Folds(NamedTuple):
    """One model for each fold, which has not seen the fold's texts."""

    items: list[Item]
    weights: list[Weights]
    scores: NDArray[np.float64]
    """Held-out scores of every text, one column a head."""
    limits: Limits


def folds(data: Path, seed: int = SEED) -> tuple[Folds, Weights]:
    """Fit a model for each fold and one on everything."""
    items = corpus(data, seed)
    matrix = features([item.text for item in items])
    rows, rarity = scaled(matrix)
    fold = np.array([item.fold for item in items])
    held_out = np.zeros((len(items), len(HEADS)))
    weights = []
    for number in range(FOLDS):
        weights.append(fit(items, rows, rarity, fold != number, seed))
        mine = np.flatnonzero(fold == number)
        held_out[mine] = scores(weights[-1], _part(matrix, mine))
    whole = fit(items, rows, rarity, np.ones(len(items), dtype=np.bool_), seed)
    held_out = heard(held_out, [reading(item.text).count(" ") for item in items])
    harmless = corpora.tuning()
    tuning = heard(scores(whole, features(harmless)).astype(np.float64), [reading(text).count(" ") for text in harmless])
    return Folds(items, weights, held_out, choose(items, held_out, tuning, seed)), whole


def model_of(weights: Weights, limits: Limits, made: dict[str, Any] | None = None) -> TextModel:
    """Put weights and limits together as the reader uses them."""
    facts = Facts(
        tuple(head.name for head in HEADS), tuple(weights.scale.tolist()), tuple(weights.bias.tolist()),
        limits.limits, limits.sureness, tuple(map(tuple, limits.kinds.tolist())), limits.harmless, made or {},
    )  # fmt: skip
    return TextModel(weights.table, weights.names, facts)


def report(found: Folds) -> dict[str, dict[str, float]]:
    """Return, by source and theme, the share of held-out texts of which a person would hear by the model alone."""
    limits = np.array([found.limits.limits["form"][head.name] for head in JUDGED])
    margin = margins(found.scores, limits, found.limits.kinds)
    over = (margin.experts > 0).any(axis=1) | (margin.themes > 0).any(axis=1)
    heard: dict[str, dict[str, list[bool]]] = {}
    for item, one in zip(found.items, over.tolist(), strict=True):
        heard.setdefault(item.source, {}).setdefault(item.theme, []).append(one)
    return {source: {theme: round(float(np.mean(all_of)), 5) for theme, all_of in themes.items()} for source, themes in heard.items()}


def write(folder: Path, model: TextModel, weights: Weights, glance: Glance) -> None:
    """Put the files in place by renaming: processes that have the old ones mapped keep them."""
    np.save(folder / ".model.npy", weights.table)
    np.save(folder / ".names.npy", weights.names)
    for name, value in (("model", model.facts), ("glance", glance)):
        (folder / f".{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
    for name in ("model.npy", "names.npy", "model.json", "glance.json"):
        (folder / f".{name}").replace(folder / name)


def main() -> int:
    """Train, write the files and print what was reached on held-out texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=corpora.DATA, help="folder with labelled/ and benign/")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for model.npy and model.json")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if not (options.data / "labelled").is_dir():
        sys.stderr.write(f"There is no folder {options.data / 'labelled'}; name the one with the labelled texts with --data.\n")
        return 2
    found, whole = folds(options.data, options.seed)
    heard = report(found)
    made = {
        "command": "uv run python -m rules.model.train", "seed": options.seed, "data": corpora.digests(options.data),
        "examples": hashlib.sha256("\n".join(item.text for item in found.items if item.source == "example").encode()).hexdigest(),
        "texts": len(found.items), "libraries": {name: version(name) for name in ("scikit-learn", "scipy", "numpy")},
        "weights": hashlib.sha256(whole.table.tobytes()).hexdigest(), "heard of, held out": heard,
    }  # fmt: skip
    model = model_of(whole, found.limits, made)
    searches = [one.text for one in corpora.searches(options.data)]
    write(options.out, model, whole, fit_glance(model, found.items, searches, options.seed))
    for source, themes in heard.items():
        for theme, share in themes.items():
            sys.stdout.write(f"{source:10} {theme:18} {share:8.2%}\n")
    return 0


def _part(matrix: Matrix, rows: NDArray[np.int64]) -> Matrix:
    sizes = np.diff(matrix.starts)[rows]
    indices = np.concatenate([matrix.indices[matrix.starts[row] : matrix.starts[row + 1]] for row in rows])
    return Matrix(indices, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), matrix.letters[rows])


if __name__ == "__main__":
    sys.exit(main())
