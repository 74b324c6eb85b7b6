"""Fits the first glance at a search: which words stand where the model speaks. Needs scikit-learn."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.corpus import FOLDS, Item, fold_of
from rules.model.glance import Glance
from rules.model.reader import TextModel
from rules.model.reading import reading

_WORDS = 16
"""Words of a stretch: about as many as the longest searches have."""
_STRETCHES = 3
_FEWEST = 6
"""Stretches in which a word stands, at least."""
_WEIGHTS = {"searches": 60.0, "harmless": 1.0, "other": 0.3}
"""How much a stretch counts in which the model doesn't speak: real searches, ordinary prose, posts and examples."""
_PASSES = 3.0
"""Log odds below even from which on the model is asked: a search in doubt is read."""
_SMALL = 0.2
"""Weights nearer to 0 are left out."""


class _Stretches(NamedTuple):
    texts: list[str]
    kinds: NDArray[Any]
    spoken: NDArray[np.bool_]
    """Where the model, as it reads searches, sees something."""


def fit_glance(model: TextModel, items: list[Item], searches: list[str], seed: int) -> Glance:
    """Return the glance for a model; `searches` are harmless ones. What it keeps is measured on stretches it did not see."""
    found = _stretches(model, items, searches)
    held = np.array([fold_of(text) for text in found.texts]) == FOLDS - 1
    trial = _fit(found, ~held, seed)
    asked = np.array([trial.may_matter(text) for text in found.texts])
    made: dict[str, object] = {
        "seed": seed, "stretches": len(found.texts),
        "kept where the model speaks, held out": round(float(asked[held & found.spoken].mean()), 4),
        "asked about in vain among searches, held out": round(float(asked[held & ~found.spoken & (found.kinds == "searches")].mean()), 4),
    }  # fmt: skip
    whole = _fit(found, np.ones(len(held), dtype=np.bool_), seed)
    return Glance(whole.start, whole.words, made)


def _stretches(model: TextModel, items: list[Item], searches: list[str]) -> _Stretches:
    kinds: dict[str, str] = {reading(text).strip(): "searches" for text in searches}
    for item in items:
        words = reading(item.text).split()
        for start in range(0, min(len(words), _STRETCHES * _WORDS), _WORDS):
            kinds.setdefault(" ".join(words[start : start + _WORDS]), "harmless" if item.source == "benign" else "other")
    texts = sorted(kinds)
    spoken = [bool(model.margin(f" {text} ", "search") > 0) for text in texts]
    return _Stretches(texts, np.array([kinds[text] for text in texts]), np.array(spoken))


def _fit(found: _Stretches, chosen: NDArray[np.bool_], seed: int) -> Glance:
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415 # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    used = np.flatnonzero(chosen)
    counter = CountVectorizer(analyzer=str.split, binary=True, min_df=_FEWEST)
    rows = counter.fit_transform([found.texts[place] for place in used])
    spoken = found.spoken[used]
    weights = np.where(spoken, 1.0, np.array([_WEIGHTS[kind] for kind in found.kinds[used].tolist()]))
    model = LogisticRegression(solver="liblinear", random_state=seed).fit(rows, spoken, sample_weight=weights)
    names = counter.get_feature_names_out().tolist()
    kept = {name: round(weight, 2) for name, weight in zip(names, model.coef_[0].tolist(), strict=True) if abs(weight) >= _SMALL}
    return Glance(round(float(model.intercept_[0]) + _PASSES, 2), kept)
