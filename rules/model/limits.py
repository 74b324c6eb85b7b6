"""Chooses, on texts that the model has not learned from, from which score on a person should hear of a text."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.corpus import PLAY, PRINTED, Item
from rules.model.heads import EXPERTS, HEADS, KINDS, NAMES, THEMES, themes_of
from rules.model.kinds import margins, themes_in_kind

type Scores = NDArray[np.float64]

EXPERT_ALARMS = {"offence": ("post", 0.019), "sexism": ("forum", 0.08), "toxicity": ("talk page", 0.0342)}
"""Share of the harmless texts of its kind at which the experts may speak; with the keyword sets' alarms, which the experts can't take
away, this comes to 3, 10 and 5 %."""
BENIGN_ALARMS = 0.00005
"""Share of ordinary texts (prose, medicine, searches) at which one theme may speak where people type; in searches: none."""
BENIGN_ALARMS_OF_EXPERTS = 0.0007
"""The same for the experts together."""
TUNING_ALARMS = {"hate": 0.01, "welfare": 0.034, "request": 0.008}
"""Share of the project's harmless tuning texts at which a theme may speak; 0.2 % for the others."""
LOOK_ALIKES = {"hate": 0.22}
"""Share of written look-alikes at which a theme may speak; 1 % for the others."""
OTHER_KINDS = {"hate": 0.006}
"""Share of real posts and comments labelled as harmless at which a theme may speak; 0.2 % for the others."""
WIDE_ALARMS = {"benign": 0.0002, "play": 0.0015, "post": 0.006, "forum": 0.005, "talk page": 0.006}
"""Share of texts at which a head of `NAMES` may speak: ordinary prose, speeches of plays, and the harmless of each real site. Written
ordinary texts say nothing here: most are twins of harmful ones, and far nearer to these than what the young write."""
KIND_SHARPNESS = 0.64
"""How much of the difference between kinds counts: a text is rarely of one kind only."""
KIND_LEANS = (-1.5, 3.2, 1.6, -1.0, 2.5)
"""How much more (log odds) each kind counts than its texts' likeness says; chosen so that each expert finds as much as it can."""
SEARCH_MARGIN = 0.3
SEARCH_EXPERTS = 1.5
"""How much more an expert's score has to be in searches."""
MISSED_AS_HARMLESS = 0.03
"""Share of harmful texts that may count as surely harmless."""


_CLOSE = {"abuse": ("hate", "suicide", "bullying"), "hate": ("abuse", "violence", "extremism")}
"""Themes whose examples may be taken for another's."""


class Limits(NamedTuple):
    """What the reader needs beside the weights."""

    limits: dict[str, dict[str, float]]
    sureness: dict[str, tuple[float, float]]
    kinds: Scores
    harmless: float


def choose(items: list[Item], scores: Scores, tuning: Scores, seed: int) -> Limits:
    """Return limits for held-out scores, one row a text and one column a head; `tuning` are scores of further harmless texts."""
    sources = np.array([item.source for item in items])
    themes = np.array([item.theme for item in items])
    columns = {head.name: scores[:, place] for place, head in enumerate(HEADS)}
    judged, apart = themes_in_kind(scores)[0], themes_in_kind(tuning)[0]
    typed, search = {}, {}
    for place, head in enumerate(THEMES):
        columns[head.name] = judged[:, place]
        limit_of = _wide_limit if head.name in NAMES else _theme_limit
        tuned = _above(apart[:, place], TUNING_ALARMS.get(head.name, 0.002))
        typed[head.name], search[head.name] = (
            max(tuned, limit_of(head.name, sources, themes, judged[:, place], margin)) for margin in (0.0, SEARCH_MARGIN)
        )
    kinds = kind_weights(sources, themes, scores, seed)
    experts = _expert_limits(sources, themes, scores, kinds)
    harmful = ~np.isin(themes, ["no", *PRINTED, "ordinary", "not-hate"]) & np.isin(sources, ["example", "written"])
    most = (judged[harmful] - np.array([typed[head.name] for head in THEMES])).max(axis=1)
    typed |= experts
    search |= {name: limit + SEARCH_EXPERTS for name, limit in experts.items()}
    sureness = {head.name: _sureness(head.name, sources, themes, columns[head.name], seed) for head in (*EXPERTS, *THEMES)}
    return Limits({"search": search, "form": typed, "prompt": typed}, sureness, kinds, -float(np.quantile(most, MISSED_AS_HARMLESS)))


def kind_weights(sources: NDArray[Any], themes: NDArray[Any], scores: Scores, seed: int) -> Scores:
    """Return how the scores of the kinds tell them apart best: a row a kind, a weight for each score, then a start.

    Every kind weighs the same, and in it harmful texts as much as harmless ones, so that the kind says nothing about the harm.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    names = ("post", "forum", "talk page")
    printed = np.isin(themes, PRINTED)
    label = np.select([*(sources == name for name in names), printed], [*range(len(names)), len(names) + 1], len(names))
    weight = np.zeros(len(sources))
    parts = [(sources == name) & ((themes == "no") == harmless) for name in names for harmless in (True, False)]
    rest = [((sources == "benign") & ~printed, 0.9), (printed, 1.2), (np.isin(sources, ["example", "written"]), 0.6)]
    for part, total in [*((part, 1.0) for part in parts), *rest]:
        if part.any():
            weight[part] = total / part.sum()
    weight *= len(sources) / weight.sum()
    values = scores[:, : len(KINDS)]
    middle, spread = values.mean(axis=0), values.std(axis=0)
    model = LogisticRegression(C=10.0, max_iter=300, random_state=seed).fit((values - middle) / spread, label, sample_weight=weight)
    slopes = KIND_SHARPNESS * model.coef_ / spread
    starts = KIND_SHARPNESS * (model.intercept_ + np.array(KIND_LEANS)) - slopes @ middle
    found: Scores = np.hstack([slopes, starts[:, None]]).round(4)
    return found


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


def _wide_limit(_name: str, sources: NDArray[Any], themes: NDArray[Any], column: Scores, margin: float) -> float:
    """Return the limit of a head of `NAMES`: what it costs among prose and on real sites."""
    return margin + max(
        _above(column[(sources == "benign") & (themes != PLAY)], WIDE_ALARMS["benign"] * (0.3 if margin > 0 else 1.0)),
        _above(column[(sources == "benign") & (themes == PLAY)], WIDE_ALARMS[PLAY]),
        *(_above(column[(sources == source) & (themes == "no")], WIDE_ALARMS[source]) for source in ("post", "forum", "talk page")),
    )


def _expert_limits(sources: NDArray[Any], themes: NDArray[Any], scores: Scores, kinds: Scores) -> dict[str, float]:
    """Return limits at which the experts together speak at no more than their shares of the harmless texts of each kind."""
    limits = np.zeros(len(EXPERTS) + len(THEMES))

    def said(rows: Scores) -> Scores:
        return margins(rows, limits, kinds).experts

    harmless = {name: scores[(sources == source) & (themes == "no")] for name, (source, _) in EXPERT_ALARMS.items()}
    for _ in range(4):
        for place, head in enumerate(EXPERTS):
            low, high = -12.0, 8.0
            while high - low > 0.005:
                limits[place] = (low + high) / 2
                loud = (said(harmless[head.name]).max(axis=1) > 0).mean() > EXPERT_ALARMS[head.name][1]
                low, high = (limits[place], high) if loud else (low, limits[place])
            limits[place] = high
    benign = scores[sources == "benign"]
    while ((found := said(benign) > 0).any(axis=1)).mean() > BENIGN_ALARMS_OF_EXPERTS:
        # The expert that speaks most of them gets stricter.
        limits[int(found.sum(axis=0).argmax())] += 0.02
    return {head.name: float(limits[place]) for place, head in enumerate(EXPERTS)}


def _sureness(name: str, sources: NDArray[Any], themes: NDArray[Any], column: Scores, seed: int) -> tuple[float, float]:
    """Fit the line from score to log odds (Platt's method) on held-out texts, harmful and harmless ones weighing the same."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 # type: ignore[import-untyped]

    if name in EXPERT_ALARMS:
        used = sources == EXPERT_ALARMS[name][0]
        label = themes != "no"
    else:
        names = themes_of(name) if name in NAMES else [name]
        label = np.isin(sources, ["example", "written"]) & np.isin(themes, names)
        used = label | (sources == "benign") | np.isin(themes, ["ordinary", "not-hate"])
    line = LogisticRegression(class_weight="balanced", random_state=seed).fit(column[used, None], label[used])
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def _above(values: Scores, share: float) -> float:
    """Return the score that at most `share` of the values exceed."""
    if not len(values):
        return -math.inf
    ordered = np.sort(values)[::-1]
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)]) + 1e-6
