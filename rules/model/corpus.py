"""What the model learns from: every text with its source, its label for each head, and the fold that it is measured in."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.model import corpora
from rules.model.examples import examples
from rules.model.features import Buckets, buckets
from rules.model.reading import reading

FOLDS = 5
PLAY, SPEECH = "play", "speech"
PRINTED = (PLAY, SPEECH)
"""Themes of ordinary texts that were printed, not typed."""
_THEMES = {"shakespeare": PLAY, "inaugural": SPEECH, "state of the union": SPEECH}
_ANSWERS_OF = 3
"""Of the long medical answers one in so many is learned from."""


class Item(NamedTuple):
    """One text to learn from."""

    text: str
    source: str
    """`post`, `forum`, `talk page`, `benign`, `example` (from a template), `written` (as it stands) or `staged`: lines of plays that
    the project made up, which teach what plays sound like and set no limit."""
    theme: str
    """For examples and written texts their theme; else `yes` or `no`, for hateful posts `hate`, for what was printed `PLAY` or `SPEECH`."""
    fold: int


def corpus(data: Path, seed: int) -> list[Item]:
    """Return all texts. What belongs together (one template, one play, one disease) lies in one fold."""
    items = [Item(one.text, "post", {"0": "hate", "1": "yes", "2": "no"}[one.part], fold_of(one.text)) for one in corpora.davidson(data)]
    items += [Item(one.text, "forum", "yes" if one.label else "no", fold_of(one.text)) for one in corpora.edos(data, "train")]
    items += [Item(one.text, "talk page", "yes" if one.label else "no", fold_of(one.text)) for one in corpora.wikipedia(data)]
    for name, read in corpora.BENIGN.items():
        for one in read(data):
            fold = fold_of(one.part or one.text)
            if name != "medquad answers" or fold_of(one.text, _ANSWERS_OF) == 0:
                items.append(Item(one.text, "benign", _THEMES.get(name, "no"), fold))
    for example in examples(seed):
        source = "staged" if example.theme in PRINTED else "written" if example.whole else "example"
        items.append(Item(example.text, source, example.theme, fold_of(example.template)))
    return items


def fold_of(key: str, folds: int = FOLDS) -> int:
    """Return the fold of a text or of what it belongs to: always the same one, whatever else is there."""
    return int.from_bytes(hashlib.blake2b(key.strip().encode("utf-8", "replace"), digest_size=4).digest()) % folds


class Matrix(NamedTuple):
    """Features of many texts: buckets of text `i` are `indices[starts[i]:starts[i + 1]]`, `letters[i]` of them of letters."""

    indices: NDArray[np.int32]
    starts: NDArray[np.int64]
    letters: NDArray[np.int64]


def features(texts: list[str]) -> Matrix:
    """Return the features of texts, in their order."""
    found: list[Buckets] = []
    letters = []
    for text in texts:
        one, count = buckets(reading(text))
        found.append(one)
        letters.append(count)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in found])]).astype(np.int64)
    return Matrix(np.concatenate(found).astype(np.int32), starts, np.array(letters, dtype=np.int64))
