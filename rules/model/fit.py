"""Fits the heads: weighted logistic regression over hashed n-grams, brought to eight bits. Needs scikit-learn and SciPy."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.corpus import PLAY, PRINTED, Item, Matrix
from rules.model.features import BUCKETS, LETTER_BUCKETS, NAME_BUCKETS
from rules.model.heads import EXPERTS, HEADS, KINDS, NAMED, NAMES, THEMES, themes_of

_NEGATIVES = 26_000
"""Texts that a theme's head learns as not its own, at most."""
_CLIP = 0.99999
"""Share of weights inside the range of eight bits; the few beyond are cut."""
_NAME_SCALE = 40.0
"""Names are only compared with one another: one scale for all."""
_COUNTS = {
    "welfare": {"written": 4.0, "example": 0.1, "benign": 3.0, "staged": 3.0, "post": 1.5, "forum": 4.0, "talk page": 8.0},
    "request": {"written": 4.0, "example": 0.15, "benign": 4.0, "staged": 4.0, "post": 0.9, "forum": 0.9, "talk page": 0.9},
}
"""How much one text of each source counts for the heads of `NAMES`; of the sites only harmless ones, in which people do tell of
themselves."""
_TELLING = 0.5
"""What a feature counts that says nothing about a label by itself; one that stands e times as often in texts of it counts 1 more."""
_WORDS_COUNT = 0.7
"""How much features of words count beside those of letters where real texts are told apart: there are fewer of them, and surer ones."""
_STRENGTH = {"offence": 0.7, "sexism": 1.0, "toxicity": 0.7, "welfare": 2.0}
"""How closely a head follows its texts (the inverse of the penalty on weights); 1 for the others."""
_PLAYS = 12.0
"""How much more a speech of a play counts than other ordinary prose: people insult one another in it, and talk of men and women."""
_SOURCE_OF = {"kind: post": "post", "kind: forum": "forum", "kind: talk page": "talk page"}
_PRINT = "kind: print"
"""The kind of plays and speeches."""


class Weights(NamedTuple):
    """A fitted model: score of a head = scale x (sum of weights of letters / sqrt(their number) + the same for words) + bias."""

    table: NDArray[np.int8]
    """One row a bucket, one column a head."""
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    names: NDArray[np.int8]
    """One row a bucket of words (`NAME_BUCKETS` of them), one column for each of `NAMED`."""


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

    table = np.zeros((BUCKETS, len(HEADS)), dtype=np.int8)
    scale, bias = np.zeros(len(HEADS), dtype=np.float32), np.zeros(len(HEADS), dtype=np.float32)
    sources = np.array([item.source for item in items])
    themes = np.array([item.theme for item in items])
    for column, head in enumerate(HEADS):
        # Each head draws its own sample, so that what one learns from says nothing about the others.
        label, weight = _task(head.name, sources, themes, np.random.default_rng((seed, column)))
        used = np.flatnonzero(chosen & (weight > 0))
        mine, label, weight = rows[used], label[used], weight[used]
        factor = _telling(mine, label, weight) if head in KINDS or head in EXPERTS else np.ones(BUCKETS, dtype=np.float32)
        mine.data *= factor[mine.indices]
        model = LogisticRegression(
            # Texts that weigh much take the dual method too many rounds.
            C=_STRENGTH.get(head.name, 1.0), solver="liblinear", dual=head.name not in NAMES, max_iter=100, tol=0.03, random_state=seed
        )  # fmt: skip
        model.fit(mine, label, sample_weight=weight)
        raw = model.coef_[0].astype(np.float32) * rarity * factor
        limit = max(float(np.quantile(np.abs(raw[raw != 0]), _CLIP)), 1e-9)
        scale[column], bias[column] = limit / 127, model.intercept_[0]
        table[:, column] = np.clip(np.rint(raw / limit * 127), -127, 127)
    return Weights(table, scale, bias, _names(rows, sources, themes, chosen, seed))


def _names(rows: Any, sources: NDArray[Any], themes: NDArray[Any], chosen: NDArray[np.bool_], seed: int) -> NDArray[np.int8]:
    """Fit, for each head of `NAMES`, which of its categories a text is about, by its words alone."""
    import scipy.sparse as sp  # noqa: PLC0415 # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    words = rows[:, LETTER_BUCKETS:].tocoo()
    narrow = sp.csr_matrix((words.data, (words.row, words.col % NAME_BUCKETS)), shape=(rows.shape[0], NAME_BUCKETS))
    table = np.zeros((NAME_BUCKETS, len(NAMED)), dtype=np.int8)
    for head, categories in NAMES.items():
        # Hate of templates has a head of its own.
        hateful = (sources == "example") & (themes == "hate")
        mine = chosen & np.isin(sources, ["written", "example"]) & np.isin(themes, themes_of(head)) & ~hateful
        used = np.flatnonzero(mine)
        for category, names in categories.items():
            label = np.isin(themes[used], names)
            model = LogisticRegression(C=1.0, solver="liblinear", dual=True, class_weight="balanced", tol=0.03, random_state=seed)
            model.fit(narrow[used], label, sample_weight=np.where(sources[used] == "written", 1.0, 0.1))
            table[:, NAMED.index((head, category))] = np.clip(np.rint(model.coef_[0] * _NAME_SCALE), -127, 127)
    return table


def scores(weights: Weights, matrix: Matrix) -> NDArray[np.float32]:
    """Return the score of each text (row) for each head (column), as the reader works it out."""
    import scipy.sparse as sp  # noqa: PLC0415 # type: ignore[import-untyped]

    sizes = np.diff(matrix.starts)
    norms = np.where(matrix.indices < LETTER_BUCKETS, np.repeat(matrix.letters, sizes), np.repeat(sizes - matrix.letters, sizes))
    rows = sp.csr_matrix((1 / np.sqrt(norms).astype(np.float32), matrix.indices, matrix.starts), shape=(len(sizes), BUCKETS))
    found: NDArray[np.float32] = np.stack([rows @ weights.table[:, column].astype(np.float32) for column in range(len(HEADS))], axis=1)
    return found * weights.scale + weights.bias


def _telling(rows: Any, label: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how much each feature counts: the more, the more its share of one label's texts differs from that of the other's.

    These are the log-count ratios of naive Bayes (Wang and Manning, 2012), used as factors: few labelled texts are enough to say
    that a rare word is telling.
    """
    sizes = np.diff(rows.indptr)
    each = weight * (len(label) / weight.sum())
    yes = np.bincount(rows.indices, np.repeat(each * label, sizes), BUCKETS)
    no = np.bincount(rows.indices, np.repeat(each * ~label, sizes), BUCKETS)
    ratio = np.log((yes + 1) / (yes.sum() + BUCKETS)) - np.log((no + 1) / (no.sum() + BUCKETS))
    factor = np.abs(ratio) + _TELLING
    factor /= np.sqrt(np.average(factor**2, weights=yes + no))
    factor[LETTER_BUCKETS:] *= _WORDS_COUNT
    found: NDArray[np.float32] = factor.astype(np.float32)
    return found


type _Task = tuple[NDArray[np.bool_], NDArray[np.float64]]


_EXPERTS_LEARN: dict[str, tuple[float, float, float, dict[str, float]]] = {
    "offence": (6_000, 6_000, 3_000, {"forum": 1_000, "talk page": 300}),
    "sexism": (3_600, 10_400, 800, {"post": 300, "talk page": 200}),
    "toxicity": (5_000, 5_000, 3_000, {"post": 1_000, "forum": 300}),
}
"""What each expert's texts count: harmful and harmless ones of its kind, ordinary texts, harmless ones of the other kinds."""


def _task(name: str, sources: NDArray[Any], themes: NDArray[Any], chance: np.random.Generator) -> _Task:
    """Return what a head has to tell apart: the label of each text, and how much it counts (0: not for this head)."""
    weight = np.zeros(len(sources))

    def share(mask: NDArray[np.bool_], total: float, most: int | None = None) -> None:
        places = np.flatnonzero(mask)
        if most is not None and len(places) > most:
            places = chance.choice(places, most, replace=False)
        if len(places):
            weight[places] = total / len(places)

    benign, example = np.isin(sources, ["benign", "staged"]), sources == "example"
    if name in {head.name for head in KINDS}:
        own, printed = _SOURCE_OF.get(name), np.isin(themes, PRINTED)
        typed = (benign & ~printed) | example | (sources == "written")
        label = sources == own if own is not None else printed if name == _PRINT else typed
        mine = 1.0 if own is not None else 2.0
        # Harmful and harmless texts weigh the same, so that the kind of a text says nothing about what is in it.
        for source in ("post", "forum", "talk page"):
            total = 2_500.0 if source == own else 900.0
            share((sources == source) & (themes == "no"), total, 4_000)
            share((sources == source) & (themes != "no"), total, 4_000)
        share(benign & ~printed, 3_000.0 * mine, 12_000)
        share(printed, 6_000.0 * mine)
        share(example, 1_200.0 * mine, 8_000)
        share(sources == "written", 1_200.0 * mine)
        return label, weight
    expert = next((head for head in EXPERTS if head.name == name), None)
    if expert is not None:
        source = _SOURCE_OF[expert.kind]
        label = (sources == source) & (themes != "no")
        yes, no, ordinary, others = _EXPERTS_LEARN[name]
        share(label, yes)
        share((sources == source) & ~label, no)
        # Lines of plays that were made up to talk of men and women would teach that all such talk is harmless.
        share(sources == "benign" if name == "sexism" else benign, ordinary, 18_000)
        for other, total in others.items():
            share((sources == other) & (themes == "no"), total)
        if name == "toxicity":
            # Few comments are labelled: offensive posts and written examples of abuse stand beside them.
            offence, attack = (sources == "post") & (themes != "no"), example & (themes == "abuse")
            label = label | offence | attack
            share(offence, 2_500)
            share(attack, 1_500, 5_000)
            share(example & (themes == "ordinary"), 1_500, 5_000)
        return label, weight
    assert name in {head.name for head in THEMES}
    if name in NAMES:
        return _wide_task(name, sources, themes)
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
    weight[themes == PLAY] *= _PLAYS
    for source in ("post", "forum", "talk page"):
        share((sources == source) & (themes == "no"), 1_000, _NEGATIVES // 6)
    return label, weight


def _wide_task(name: str, sources: NDArray[Any], themes: NDArray[Any]) -> _Task:
    """Return what a head has to tell apart that hears of many themes."""
    weight = np.zeros(len(sources))
    written = sources == "written"
    label = (written | ((sources == "example") & (themes != "hate"))) & np.isin(themes, themes_of(name))
    harmless = np.isin(themes, ["ordinary", "no", *PRINTED]) | ((sources == "example") & (themes == "not-hate"))
    for source, counts in _COUNTS[name].items():
        weight[(sources == source) & (label | harmless)] = counts
    weight[themes == PLAY] *= _PLAYS
    return label, weight
