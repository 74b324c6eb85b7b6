"""The second reader at work: one text in, what it takes the text for out. Needs NumPy and nothing else."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from rules.model.features import BUCKETS, buckets, named
from rules.model.glance import Glance
from rules.model.heads import EXPERTS, HEADS, KINDS, THEMES
from rules.model.reading import reading

FOLDER = Path(__file__).parent
CONTEXTS = ("search", "form", "prompt")
"""Where the model reads: words that people type. Pages are left to the keyword sets."""
JUDGED = (*EXPERTS, *THEMES)
"""Heads that can make a person hear of a text."""
_SHARPNESS = 2.0
"""How surely a text is taken for the kind that it looks most like."""
_KIND_COUNTS = np.array([3.0, 0.5, 1.0])
"""How much it counts against each expert that a text is of another kind; chosen on held-out texts."""
_THEMES_COUNT = 1.5
_MOSTLY = 0.7
_ROUNDING = 1e-4
HARMLESS_IN_KIND = 0.7
"""Margin below every limit at which a post, forum text or talk page counts as harmless: of those the model has learned from real texts."""
MAX_REASONS = 4
_FEWEST = 2
"""Words that a text needs: of one word alone the keyword sets know all that there is to know."""


class Facts(msgspec.Struct, frozen=True):
    """What stands beside the weights, and what the reader makes of scores."""

    heads: tuple[str, ...]
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    limits: dict[str, dict[str, float]]
    """By context, by head: the score from which a person should hear of it."""
    sureness: dict[str, tuple[float, float]]
    """By head: slope and start of the line from score to log odds."""
    harmless: float
    """Margin below every limit at which plain text counts as surely harmless."""
    made: dict[str, object] = {}
    """Seed, data and scores of the training; nothing that the reader uses."""


class Finding(NamedTuple):
    """One theme that the model sees in a text."""

    category: str
    head: str
    probability: float


class Opinion(NamedTuple):
    """What the model makes of a text."""

    findings: tuple[Finding, ...]
    """Themes of which a person should hear, the surest first, one a category."""
    harmless: bool
    """True when the text is far from every theme."""


_NO_OPINION = Opinion((), False)


class TextModel:
    """Weights of every head; `read` changes nothing and may be called from any thread."""

    def __init__(self, table: NDArray[np.int8], facts: Facts, glance: Glance | None = None) -> None:
        """Take the table of weights, one row a bucket and one column a head, of which nothing is copied.

        Without a `glance` every search is read.
        """
        if table.shape != (BUCKETS, len(HEADS)) or table.dtype != np.int8 or facts.heads != tuple(head.name for head in HEADS):
            raise ValueError("The text model is of another version of Schoolgate; train it anew with `python -m rules.model.train`.")
        self.facts = facts
        self._glance = glance
        # A plain view: each use of a mapped file's own kind of array costs microseconds more.
        self._table = np.asarray(table)
        self._scale = np.array(facts.scale, dtype=np.float64)
        self._bias = np.array(facts.bias, dtype=np.float64)
        self._limits = {context: np.array([limits.get(head.name, math.inf) for head in JUDGED]) for context, limits in facts.limits.items()}

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        """Open the files that training wrote; the weights stay in theirs and processes share them. Raises `ValueError` with a sentence."""
        try:
            facts = msgspec.json.decode((folder / "model.json").read_bytes(), type=Facts)
            table = np.load(folder / "model.npy", mmap_mode="r", allow_pickle=False)
            glance = Glance.load(folder / "glance.json")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ValueError(f"The text model in {folder} can't be read: {error}. Install Schoolgate again, or train the model.") from None
        return cls(table, facts, glance)

    def scores(self, plain: str) -> NDArray[np.float64] | None:
        """Return the score of each head, in the order of `HEADS`, for a reading; None if it has too few words to say anything."""
        if plain.count(" ") <= _FEWEST:
            return None
        found, letters = buckets(plain)
        counts = np.empty(len(found), dtype=np.float32)
        counts[:letters] = 1 / math.sqrt(max(letters, 1))
        counts[letters:] = 1 / math.sqrt(max(len(found) - letters, 1))
        result: NDArray[np.float64] = counts @ self._table.take(found, axis=0).astype(np.float32) * self._scale + self._bias
        return result

    def margin(self, plain: str, context: str) -> float:
        """Return by how much a reading goes beyond the limit of the head that speaks most; below 0 where none speaks."""
        scores = self.scores(plain)
        return float((in_kind(scores)[0] - self._limits[context]).max()) if scores is not None else -math.inf

    def read(self, text: str, context: str, *, also_harmless: bool = True) -> Opinion:
        """Return what the model makes of a text that was typed in a context of `CONTEXTS`.

        Without `also_harmless` the opinion doesn't say whether a text without findings is harmless, which is quicker.
        """
        limits = self._limits.get(context)
        if limits is None:
            return _NO_OPINION
        plain = reading(text)
        if not also_harmless and context == "search" and self._glance is not None and not self._glance.may_matter(plain):
            return _NO_OPINION
        scores = self.scores(plain)
        if scores is None:
            return _NO_OPINION
        if not also_harmless and (scores[len(KINDS) :] - limits).max() <= -_ROUNDING:
            # The kind of a text only ever counts against a head.
            return _NO_OPINION
        judged, as_plain = in_kind(scores)
        margins = judged - limits
        if margins.max() <= 0:
            return Opinion((), bool(margins.max() < -(self.facts.harmless if as_plain > _MOSTLY else HARMLESS_IN_KIND)))
        best: dict[str, Finding] = {}
        for place in np.flatnonzero(margins > 0).tolist():
            head = JUDGED[place]
            finding = Finding(head.category, head.name, self._probability(head.name, float(judged[place])))
            known = best.get(head.category)
            if known is None or finding.probability > known.probability:
                best[head.category] = finding
        return Opinion(tuple(sorted(best.values(), key=lambda one: -one.probability)), False)

    def reasons(self, text: str, head: str) -> tuple[str, ...]:
        """Return the stretches of the text, or the classes of its words, that speak most for a head, the strongest first."""
        plain = reading(text)
        found, letters = buckets(plain)
        column = self._table[:, [one.name for one in HEADS].index(head)]
        share = column.take(found).astype(np.float64)
        share[:letters] /= math.sqrt(max(letters, 1))
        share[letters:] /= math.sqrt(max(len(found) - letters, 1))
        # Letters of a word speak for it many times over: words come first, letters only where no word says anything.
        order = [int(place) for place in np.argsort(-share) if share[place] > 0]
        order = [place for place in order if place >= letters][:MAX_REASONS] or order[:MAX_REASONS]
        names = named(plain, {int(found[place]) for place in order})
        return tuple(names[int(found[place])] for place in order)

    def _probability(self, head: str, score: float) -> float:
        slope, start = self.facts.sureness[head]
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, slope * score + start))))


def in_kind(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """Return the scores of `JUDGED` as they count in the kind of text that each is, and how much each is plain text (0 to 1).

    Takes one text or, as rows, many. An expert counts less the less a text is of its kind; a theme less in posts, forums
    and talk pages, for which there are experts.
    """
    kinds = scores[..., : len(KINDS)] - scores[..., : len(KINDS)].max(axis=-1, keepdims=True)
    shares = np.exp(_SHARPNESS * kinds)
    shares /= shares.sum(axis=-1, keepdims=True)
    judged = scores[..., len(KINDS) :].copy()
    judged[..., : len(EXPERTS)] += _KIND_COUNTS * np.log(shares[..., : len(EXPERTS)] + 1e-6)
    plain = shares[..., len(KINDS) - 1]
    judged[..., len(EXPERTS) :] += (_THEMES_COUNT * (plain - 1))[..., None]
    return judged, plain


@lru_cache(maxsize=1)
def shipped_model() -> TextModel:
    """Return the model that comes with Schoolgate, opened once a process."""
    return TextModel.load()
