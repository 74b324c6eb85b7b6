"""Disguised spellings keep nearly all that plain ones say, and ordinary questions stay ordinary however they are written.

Measured on the texts that phrases are worked out on; those that are kept apart are not touched here.
"""

import gzip
import html
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from rules.keywords import KeywordMatcher
from rules.keywords.sets import starter_sets

DATA: Final = Path(__file__).parent / "data"
HEARD: Final = 3
"""From this level on, a person hears of it."""
_LEET: Final = str.maketrans("aeiost", "431057")
_CYRILLIC: Final = str.maketrans("aceopxysi", "асеорхуѕі")
_GREEK: Final = str.maketrans("ao", "αο")


def stretched(text: str) -> str:
    """Return the text with one letter of every longer word written three times."""
    chosen = random.Random(text)

    def stretch(word: re.Match[str]) -> str:
        at = chosen.randrange(len(word[0]))
        return f"{word[0][:at]}{word[0][at] * 3}{word[0][at + 1 :]}"

    return re.sub(r"[a-z]{4,}", stretch, text)


DISGUISES: Final[dict[str, Callable[[str], str]]] = {
    "signs for letters": lambda text: text.translate(_LEET),
    "letters repeated": stretched,
    "letters set apart": lambda text: "   ".join(" ".join(word) for word in text.split()),
    "zero-width": "\u200b".join,
    "Cyrillic look-alikes": lambda text: text.translate(_CYRILLIC),
    "Greek look-alikes": lambda text: text.translate(_GREEK),
    "HTML entities": lambda text: "".join(f"&#{ord(char)};" if char.isalpha() else html.escape(char) for char in text),
    "percent": lambda text: "".join(f"%{ord(char):02X}" if char.isascii() and char.isalpha() else quote(char, " ?'") for char in text),
}


@pytest.fixture(scope="module")
def starter() -> KeywordMatcher:
    return KeywordMatcher.build(starter_sets())


def heard(matcher: KeywordMatcher, text: str, context: str) -> bool:
    return any(theme.level >= HEARD for theme in matcher.weigh(text, context).themes)


def tuning_texts() -> Iterator[tuple[str, str]]:
    """Yield harmful texts and where they are written."""
    for name, context in (("harms_prompts", "prompt"), ("harms_hate", "form"), ("welfare", "form")):
        file = f"{name}_tuning{'_first_person' if name == 'welfare' else ''}.jsonl"
        for line in (DATA / file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("harmful", True):
                yield row["text"].lower(), row.get("context", context)


@pytest.fixture(scope="module")
def plainly_heard(starter: KeywordMatcher) -> list[tuple[str, str]]:
    texts = [one for one in tuning_texts() if heard(starter, *one)]
    assert len(texts) >= 500
    return random.Random(4).sample(texts, 400)


@pytest.fixture(scope="module")
def questions(shared_data: Path) -> list[str]:
    """A sample of questions to a search engine (NQ) and of medical ones (MedQuAD)."""
    texts: list[str] = []
    for name in ("nq_open_dev", "medquad_dev"):
        with gzip.open(shared_data / "benign" / f"{name}.jsonl.gz", "rt") as lines:
            texts += [json.loads(line)["question"].lower() for line in lines]
    return random.Random(4).sample(texts, 3_000)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_keeps_nearly_all_that_is_heard(starter: KeywordMatcher, plainly_heard: list[tuple[str, str]], disguise: str) -> None:
    # A stretched letter beside its double ("keeeep pretttending") may be one or two: each text is read with one and with two.
    least = 0.85 if disguise == "letters repeated" else 0.9
    lost = [text for text, context in plainly_heard if not heard(starter, DISGUISES[disguise](text), context)]
    assert len(lost) <= (1 - least) * len(plainly_heard), lost


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_question_makes_no_alert_that_the_plain_one_does_not(
    starter: KeywordMatcher, questions: list[str], disguise: str
) -> None:
    """At most 0.1 in 1,000."""
    gained = [text for text in questions if heard(starter, DISGUISES[disguise](text), "search") and not heard(starter, text, "search")]
    assert len(gained) <= 0.1 * len(questions) / 1_000, gained
