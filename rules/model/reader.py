"""The second reader at work: one text in, what it takes the text for out. Needs NumPy and nothing else."""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from rules.model.features import BUCKETS, LETTER_BUCKETS, NAME_BUCKETS, buckets, named
from rules.model.glance import Glance
from rules.model.heads import EXPERTS, HEADS, KINDS, NAMED, THEMES
from rules.model.kinds import Margins, heard, margins
from rules.model.reading import reading

FOLDER = Path(__file__).parent
CONTEXTS = ("search", "form", "prompt")
"""Where the model reads: words that people type. Pages are left to the keyword sets."""
JUDGED = (*EXPERTS, *THEMES)
"""Heads that can make a person hear of a text."""
_TYPED = "form"
"""The context by whose limits a text is found harmless: those for searches are stricter."""
_MOSTLY = 0.5
"""Share of plain text below which a text counts as of a kind that the model has learned from real texts, harmless ones among them."""
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
    kinds: tuple[tuple[float, ...], ...]
    """By kind, as the experts are weighed: a weight for each kind's score, and a start."""
    harmless: float
    """Margin below every theme's limit at which plain text counts as surely harmless."""
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

    def __init__(self, table: NDArray[np.int8], names: NDArray[np.int8], facts: Facts, glance: Glance | None = None) -> None:
        """Take the table of weights, one row a bucket and one column a head, and that of names; nothing is copied.

        Without a `glance` every search is read.
        """
        shapes = (BUCKETS, len(HEADS)), (NAME_BUCKETS, len(NAMED))
        if (
            (table.shape, names.shape) != shapes
            or table.dtype != np.int8
            or facts.heads != tuple(head.name for head in HEADS)
            or [len(row) for row in facts.kinds] != [len(KINDS) + 1] * len(KINDS)
        ):
            raise ValueError("The text model is of another version of Schoolgate; train it anew with `python -m rules.model.train`.")
        self.facts = facts
        self._glance = glance
        # A plain view: each use of a mapped file's own kind of array costs microseconds more.
        self._table = np.asarray(table)
        self._names = np.asarray(names)
        self._scale = np.array(facts.scale, dtype=np.float64)
        self._bias = np.array(facts.bias, dtype=np.float64)
        self._kinds = np.array(facts.kinds, dtype=np.float64)
        self._limits = {context: np.array([limits.get(head.name, math.inf) for head in JUDGED]) for context, limits in facts.limits.items()}
        self._as_typed = frozenset(context for context, limits in facts.limits.items() if limits == facts.limits.get(_TYPED))

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        """Open the files that training wrote; the weights stay in theirs and processes share them. Raises `ValueError` with a sentence."""
        try:
            facts = msgspec.json.decode((folder / "model.json").read_bytes(), type=Facts)
            table = np.load(folder / "model.npy", mmap_mode="r", allow_pickle=False)
            names = np.load(folder / "names.npy", mmap_mode="r", allow_pickle=False)
            glance = Glance.load(folder / "glance.json")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ValueError(f"The text model in {folder} can't be read: {error}. Install Schoolgate again, or train the model.") from None
        return cls(table, names, facts, glance)

    def scores(self, plain: str) -> NDArray[np.float64] | None:
        """Return the score of each head, in the order of `HEADS`, for a reading; None if it has too few words to say anything."""
        spaces = plain.count(" ")
        if spaces <= _FEWEST:
            return None
        found, letters = buckets(plain)
        counts = np.empty(len(found), dtype=np.float32)
        counts[:letters] = 1 / math.sqrt(max(letters, 1))
        counts[letters:] = 1 / math.sqrt(max(len(found) - letters, 1))
        result: NDArray[np.float64] = counts @ self._table.take(found, axis=0).astype(np.float32) * self._scale + self._bias
        return heard(result, spaces)

    def margin(self, plain: str, context: str) -> float:
        """Return by how much a reading goes beyond the limit of the head that speaks most; below 0 where none speaks."""
        scores = self.scores(plain)
        if scores is None:
            return -math.inf
        found = margins(scores, self._limits[context], self._kinds)
        return max(float(found.experts.max()), float(found.themes.max()))

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
        if not also_harmless and (scores[len(KINDS) :] - limits).max() <= 0:
            # The kind of a text only ever counts against a head.
            return _NO_OPINION
        found = margins(scores, limits, self._kinds)
        over = np.concatenate((found.experts, found.themes))
        if over.max() <= 0:
            return Opinion((), also_harmless and self._harmless(scores, found if context in self._as_typed else None))
        best: dict[str, Finding] = {}
        for place in np.flatnonzero(over > 0).tolist():
            head = JUDGED[place]
            category = head.category or self._name(head.name, plain)
            score = scores[len(KINDS) + place] if place < len(EXPERTS) else over[place] + limits[place]
            finding = Finding(category, head.name, self._probability(head.name, float(score)))
            known = best.get(category)
            if known is None or finding.probability > known.probability:
                best[category] = finding
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

    def _name(self, head: str, plain: str) -> str:
        """Return the category that the words of a reading speak for, of those that a head may name."""
        found, letters = buckets(plain)
        total = self._names.take((found[letters:] - LETTER_BUCKETS) % NAME_BUCKETS, axis=0).sum(axis=0, dtype=np.int32).tolist()
        return max((weight, category) for (of, category), weight in zip(NAMED, total, strict=True) if of == head)[1]

    def _harmless(self, scores: NDArray[np.float64], found: Margins | None) -> bool:
        """Return whether nothing is to be seen in a text: of a kind that the model knows well, or else far from every theme.

        `found` are the margins by the limits for typed text, where they are known already.
        """
        found = found or margins(scores, self._limits[_TYPED], self._kinds)
        if found.plain < _MOSTLY:
            return bool(found.experts.max() <= 0 and found.themes.max() <= 0)
        return bool(found.themes.max() < -self.facts.harmless)

    def _probability(self, head: str, score: float) -> float:
        slope, start = self.facts.sureness[head]
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, slope * score + start))))


@lru_cache(maxsize=1)
def shipped_model() -> TextModel:
    """Return the model that comes with Schoolgate, opened once a process."""
    return TextModel.load()
