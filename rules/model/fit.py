"""Fits the heads: weighted logistic regression over hashed n-grams, brought to eight bits. Needs scikit-learn and SciPy."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.corpus import Item, Matrix
from rules.model.features import BUCKETS, LETTER_BUCKETS
from rules.model.heads import EXPERTS, HEADS, KINDS, THEMES

_NEGATIVES = 26_000
"""Texts that a theme's head learns as not its own, at most."""
_CLIP = 0.99999
"""Share of weights inside the range of eight bits; the few beyond are cut."""
_SOURCE_OF = {"kind: post": "post", "kind: forum": "forum", "kind: talk page": "talk page"}


class Weights(NamedTuple):
    """A fitted model: score of a head = scale x (sum of weights of letters / sqrt(their number) + the same for words) + bias."""

    table: NDArray[np.int8]
    """One row a bucket, one column a head."""
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]


def scaled(matrix: Matrix) -> tuple[Any, NDArray[np.float32]]:
    """Return the texts as rows of a sparse matrix, and the factor by which rare features count more than common ones."""
    import scipy.sparse as sp  # noqa: PLC0415 # type: ignore[import-untyped]

    count = len(matrix.letters)
    seen = np.bincount(matrix.indices, minlength=BUCKETS)
    rarity = np.sqrt(np.log((1 + count) / (1 + seen))).astype(np.float32)
    sizes = np.diff(matrix.starts)
    norms = np.where(matrix.indices < LETTER_BUCKETS, np.repeat(matrix.letters, sizes), np.repeat(sizes - matrix.letters, sizes))
    values = (rarity[matrix.indices] / np.sqrt(norms)).astype(np.float32)
    return sp.csr_matrix((values, matrix.indices, matrix.starts), shape=(count, BUCKETS)), rarity


def fit(items: list[Item], rows: Any, rarity: NDArray[np.float32], chosen: NDArray[np.bool_], seed: int) -> Weights:
    """Fit every head on the chosen texts."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    chance = np.random.default_rng(seed)
    table = np.zeros((BUCKETS, len(HEADS)), dtype=np.int8)
    scale, bias = np.zeros(len(HEADS), dtype=np.float32), np.zeros(len(HEADS), dtype=np.float32)
    sources = np.array([item.source for item in items])
    themes = np.array([item.theme for item in items])
    for column, head in enumerate(HEADS):
        label, weight = _task(head.name, sources, themes, chance)
        used = np.flatnonzero(chosen & (weight > 0))
        model = LogisticRegression(
            C=2.0 if head in EXPERTS else 1.0, solver="liblinear", dual=True, max_iter=100, tol=0.03, random_state=seed
        )
        model.fit(rows[used], label[used], sample_weight=weight[used])
        raw = model.coef_[0].astype(np.float32) * rarity
        limit = max(float(np.quantile(np.abs(raw[raw != 0]), _CLIP)), 1e-9)
        scale[column], bias[column] = limit / 127, model.intercept_[0]
        table[:, column] = np.clip(np.rint(raw / limit * 127), -127, 127)
    return Weights(table, scale, bias)


def scores(weights: Weights, matrix: Matrix) -> NDArray[np.float32]:
    """Return the score of each text (row) for each head (column), as the reader works it out."""
    import scipy.sparse as sp  # noqa: PLC0415 # type: ignore[import-untyped]

    sizes = np.diff(matrix.starts)
    norms = np.where(matrix.indices < LETTER_BUCKETS, np.repeat(matrix.letters, sizes), np.repeat(sizes - matrix.letters, sizes))
    rows = sp.csr_matrix((1 / np.sqrt(norms).astype(np.float32), matrix.indices, matrix.starts), shape=(len(sizes), BUCKETS))
    found: NDArray[np.float32] = np.stack([rows @ weights.table[:, column].astype(np.float32) for column in range(len(HEADS))], axis=1)
    return found * weights.scale + weights.bias


type _Task = tuple[NDArray[np.bool_], NDArray[np.float64]]


def _task(name: str, sources: NDArray[Any], themes: NDArray[Any], chance: np.random.Generator) -> _Task:
    """Return what a head has to tell apart: the label of each text, and how much it counts (0: not for this head)."""
    weight = np.zeros(len(sources))

    def share(mask: NDArray[np.bool_], total: float, most: int | None = None) -> None:
        places = np.flatnonzero(mask)
        if most is not None and len(places) > most:
            places = chance.choice(places, most, replace=False)
        if len(places):
            weight[places] = total / len(places)

    benign, example = sources == "benign", sources == "example"
    if name in {head.name for head in KINDS}:
        own = _SOURCE_OF.get(name)
        label = sources == own if own is not None else benign | example
        # Harmful and harmless texts weigh the same, so that the kind of a text says nothing about what is in it.
        for source in ("post", "forum", "talk page"):
            total = 2_500.0 if source == own else 900.0
            share((sources == source) & (themes == "no"), total, 4_000)
            share((sources == source) & (themes != "no"), total, 4_000)
        share(benign, 6_000.0 if own is None else 4_000.0, 16_000)
        share(example, 2_500.0 if own is None else 700.0, 8_000)
        return label, weight
    expert = next((head for head in EXPERTS if head.name == name), None)
    if expert is not None:
        source = _SOURCE_OF[expert.kind]
        label = (sources == source) & (themes != "no")
        share(label, 6_000)
        share((sources == source) & ~label, 6_000)
        share(benign, 7_000, 18_000)
        if name == "toxicity":
            # Few comments are labelled: written examples of abuse stand beside them.
            attack = example & (themes == "abuse")
            label = label | attack
            share(attack, 1_500, 5_000)
            share(example & (themes == "ordinary"), 1_500, 5_000)
        return label, weight
    assert name in {head.name for head in THEMES}
    label = example & (themes == name)
    share(label, 6_000)
    if name == "hate":
        hateful = (sources == "post") & (themes == "hate")
        label = label | hateful
        share(hateful, 500)
    negative = {"not-hate": 3_500.0 if name == "hate" else 1_500.0, "ordinary": 3_000.0}
    for theme, total in negative.items():
        share(example & (themes == theme), total, _NEGATIVES // 3)
    share(example & (themes != name) & ~np.isin(themes, list(negative)), 2_500, _NEGATIVES // 3)
    share(benign, 3_000, _NEGATIVES // 3)
    for source in ("post", "forum", "talk page"):
        share((sources == source) & (themes == "no"), 1_000, _NEGATIVES // 6)
    return label, weight
