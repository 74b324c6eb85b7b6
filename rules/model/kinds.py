"""What kind of text each is, and what the experts of all kinds say together. Needs NumPy and nothing else."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model.heads import EXPERTS, HEADS, KINDS, NAMES, THEMES

type Scores = NDArray[np.float64]

_PLAIN = len(EXPERTS)
"""Place of the plain kind, behind those with an expert; print comes after it."""
_WIDE = [HEADS.index(head) for head in THEMES if head.name in NAMES]
_WIDE_FEWEST = 5
"""Words that a text needs before a head of `NAMES` has a say: of fewer the keyword sets know more."""
_SILENT = -20.0
_WIDE_SURE = 12
"""Words from which their score counts as it is; a few words agree by chance with what they look for."""
_PER_WORD = 0.4
"""What each word less takes off."""
_TALK = len(KINDS) + [head.name for head in EXPERTS].index("toxicity")
_TALK_SURE = 8
_TALK_PER_WORD = 0.3
"""The same for comments on talk pages: an insult of few words is any other kind's as well."""
_SHARPNESS = 2.0
"""How surely a text is taken for the kind that it looks most like, where themes are weighed."""
_THEMES_COUNT = 2.9
"""How much less a theme counts in posts, forums and talk pages, for which there are experts, and in what was printed."""
_PLAINLY = 0.8
"""Share from which a text is plain or printed and nothing else: experts don't speak there."""
_PRINT_SPEAKS = 2.0
"""How much more than plain text, there, what looks printed: the talk of old plays is like no kind of today's, and nearest to forums."""
_PLAIN_COUNTS = 3.0
"""How much speaks against the experts in a plain text."""
_STEPS = np.array([2.0, 1.4, 2.0])
"""What one step of each expert's score counts where experts speak together; chosen on held-out texts, as are the others."""


class Margins(NamedTuple):
    """By how much a text goes beyond the limits; of one text, or of many as rows."""

    experts: Scores
    """Above 0 only for the expert that says most, and only where the experts together are sure enough."""
    themes: Scores
    plain: Any
    """How much the text is neither post nor forum nor talk page, from 0 to 1."""


def shares(values: Scores) -> Scores:
    """Return how much each text is of each kind: positive numbers that add up to 1 in each row."""
    found = np.exp(values - values.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    return found


def heard(scores: Scores, spaces: Any) -> Scores:
    """Return scores in which the heads of `NAMES` and the expert on talk pages are unsure of short texts; the former say nothing of
    the shortest.

    `spaces` are those of the readings: words and one.
    """
    words = np.asarray(spaces)[..., None] - 1
    scores[..., _WIDE] = np.where(words >= _WIDE_FEWEST, scores[..., _WIDE] - _PER_WORD * np.maximum(0, _WIDE_SURE - words), _SILENT)
    scores[..., _TALK] -= _TALK_PER_WORD * np.maximum(0, _TALK_SURE - words[..., 0])
    return scores


def themes_in_kind(scores: Scores) -> tuple[Scores, Any]:
    """Return the themes' scores as they count in the kind of text that each is, and how much speaks for no site with an expert."""
    own = shares(_SHARPNESS * scores[..., : len(KINDS)])
    themes = scores[..., len(KINDS) + len(EXPERTS) :] + (_THEMES_COUNT * (own[..., _PLAIN] - 1))[..., None]
    return themes, own[..., _PLAIN] + _PRINT_SPEAKS * own[..., _PLAIN + 1]


def margins(scores: Scores, limits: Scores, weights: Scores) -> Margins:
    """Weigh the scores of all heads against the limits of experts and themes.

    An expert is believed as far as the text is of its kind: their margins are averaged by these shares, which `weights`
    give (a row a kind: one weight for each kind's score, then a start), and what is plain text speaks against them.
    """
    themes, elsewhere = themes_in_kind(scores)
    own = shares(scores[..., : len(KINDS)] @ weights[:, :-1].T + weights[:, -1])
    said = own[..., : len(EXPERTS)] * _STEPS * (scores[..., len(KINDS) : len(KINDS) + len(EXPERTS)] - limits[: len(EXPERTS)])
    plain = own[..., _PLAIN:].sum(axis=-1)
    only = elsewhere > _PLAINLY
    together = np.where(only, -_PLAIN_COUNTS, said.sum(axis=-1) - _PLAIN_COUNTS * plain)[..., None]
    first = said.argmax(axis=-1)[..., None] == np.arange(len(EXPERTS))
    experts = np.where(first, together, np.minimum(together, 0.0))
    return Margins(experts, themes - limits[len(EXPERTS) :], np.where(only, 1.0, plain))
