"""Chooses, on texts that the model has not learned from, from which score on a person should hear of a text."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.corpus import Item
from rules.model.heads import EXPERTS, THEMES
from rules.model.reader import JUDGED, in_kind

type Scores = NDArray[np.float64]

EXPERT_ALARMS = {"offence": ("post", 0.033), "sexism": ("forum", 0.079), "toxicity": ("talk page", 0.038)}
"""Share of the harmless texts of its kind at which each expert may speak."""
BENIGN_ALARMS = 0.00005
"""Share of ordinary texts (prose, medicine, searches) at which one theme may speak where people type; in searches: none."""
BENIGN_ALARMS_OF_EXPERTS = 0.001
"""The same for the experts together."""
TUNING_ALARMS = {"hate": 0.01}
"""Share of the project's harmless tuning texts at which a theme may speak; 0.2 % for the others."""
LOOK_ALIKES = {"hate": 0.22, "violence": 0.015}
"""Share of written look-alikes at which a theme may speak; 1 % for the others."""
OTHER_KINDS = {"hate": 0.006}
"""Share of real posts and comments labelled as harmless at which a theme may speak; 0.2 % for the others."""
SEARCH_MARGIN = 0.4
MISSED_AS_HARMLESS = 0.03
"""Share of harmful texts that may count as surely harmless."""


_CLOSE = {
    "self-harm": ("suicide",), "suicide": ("self-harm", "abuse"), "abuse": ("hate", "suicide", "bullying"), "hate": ("abuse", "violence"),
    "violence": ("hate", "abuse"), "sexual": ("grooming",), "grooming": ("sexual",),
}  # fmt: skip
"""Themes whose examples may be taken for another's."""


class Limits(NamedTuple):
    """What the reader needs beside the weights."""

    limits: dict[str, dict[str, float]]
    sureness: dict[str, tuple[float, float]]
    harmless: float


def choose(items: list[Item], scores: Scores, tuning: Scores, seed: int) -> Limits:
    """Return limits for held-out scores, one row a text and one column a head; `tuning` are scores of further harmless texts."""
    sources = np.array([item.source for item in items])
    themes = np.array([item.theme for item in items])
    judged, _ = in_kind(scores)
    columns = {head.name: judged[:, place] for place, head in enumerate(JUDGED)}
    apart = in_kind(tuning)[0]
    tuned = {head.name: _above(apart[:, place], TUNING_ALARMS.get(head.name, 0.002)) for place, head in enumerate(JUDGED)}
    typed = {head.name: max(tuned[head.name], _theme_limit(head.name, sources, themes, columns[head.name], 0.0)) for head in THEMES}
    search = {
        head.name: max(tuned[head.name], _theme_limit(head.name, sources, themes, columns[head.name], SEARCH_MARGIN)) for head in THEMES
    }
    experts = _expert_limits(sources, themes, columns)
    typed |= experts
    search |= {name: limit + 1.5 for name, limit in experts.items()}
    most = (judged - np.array([typed[head.name] for head in JUDGED])).max(axis=1)
    harmful = ~np.isin(themes, ["no", "ordinary", "not-hate"]) & (sources == "example")
    return Limits(
        {"search": search, "form": typed, "prompt": typed},
        {name: _sureness(name, sources, themes, column, seed) for name, column in columns.items()},
        -float(np.quantile(most[harmful], MISSED_AS_HARMLESS)),
    )


def _theme_limit(name: str, sources: NDArray[Any], themes: NDArray[Any], column: Scores, margin: float) -> float:
    benign, example = sources == "benign", sources == "example"
    look_alike = example & np.isin(themes, ["ordinary", "not-hate"] if name != "hate" else ["not-hate"])
    strict = margin > 0
    other = example & ~np.isin(themes, ["ordinary", "not-hate", name, *_CLOSE.get(name, ())])
    bounds = [
        _above(column[benign], 0.0 if strict else BENIGN_ALARMS),
        _above(column[look_alike], LOOK_ALIKES.get(name, 0.01) * (0.3 if strict else 1.0)),
        _above(column[example & (themes == "ordinary")], 0.003 if strict else 0.01),
        _above(column[other], 0.03),
        *(
            _above(column[(sources == source) & (themes == "no")], OTHER_KINDS.get(name, 0.002))
            for source in ("post", "forum", "talk page")
        ),
    ]
    return max(bounds) + margin


def _expert_limits(sources: NDArray[Any], themes: NDArray[Any], columns: dict[str, Scores]) -> dict[str, float]:
    """Return limits at which the experts together speak at no more than their shares of the harmless texts of each kind."""
    limits = {head.name: 0.0 for head in EXPERTS}

    def heard(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any([columns[name][mask] > limit for name, limit in limits.items()], axis=0)
        return found

    for _ in range(4):
        for head in EXPERTS:
            source, share = EXPERT_ALARMS[head.name]
            mask = (sources == source) & (themes == "no")
            low, high = -12.0, 8.0
            while high - low > 0.005:
                limits[head.name] = (low + high) / 2
                low, high = (limits[head.name], high) if heard(mask).mean() > share else (low, limits[head.name])
            limits[head.name] = high
    benign = sources == "benign"
    while heard(benign).mean() > BENIGN_ALARMS_OF_EXPERTS:
        # The expert that speaks most of them gets stricter.
        worst = max(limits, key=lambda name: int((columns[name][benign] > limits[name]).sum()))
        limits[worst] += 0.02
    return limits


def _sureness(name: str, sources: NDArray[Any], themes: NDArray[Any], column: Scores, seed: int) -> tuple[float, float]:
    """Fit the line from score to log odds (Platt's method) on held-out texts, harmful and harmless ones weighing the same."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    if name in EXPERT_ALARMS:
        used = sources == EXPERT_ALARMS[name][0]
        label = themes != "no"
    else:
        label = (sources == "example") & (themes == name)
        used = label | (sources == "benign") | np.isin(themes, ["ordinary", "not-hate"])
    line = LogisticRegression(class_weight="balanced", random_state=seed).fit(column[used, None], label[used])
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def _above(values: Scores, share: float) -> float:
    """Return the score that at most `share` of the values exceed."""
    if not len(values):
        return -math.inf
    ordered = np.sort(values)[::-1]
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)]) + 1e-6
