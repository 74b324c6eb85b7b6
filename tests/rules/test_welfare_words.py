"""Phrases for children in trouble: how many cries they hear, and how much ordinary talk they leave alone.

The texts in `data/welfare_*.jsonl` were written for this project. Those named `held` were written before the phrases and
are kept apart from them: they are what the rates are asserted on. Those named `tuning` are what phrases are worked out on.
"""

import gzip
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from rules.keywords import KeywordMatcher
from rules.keywords.sets import KeywordSet, starter_sets
from rules.settings import ThemeScore

DATA = Path(__file__).parent / "data"
HEARD = 3
"""The level from which a person hears of a text."""
FILES = ("self-harm", "suicide", "eating-disorders", "bullying", "grooming", "sexual", "vawg", "challenges", "help-seeking")


@pytest.fixture(scope="module")
def welfare_sets() -> list[KeywordSet]:
    return [one for one in starter_sets() if any(f"/{name}.toml:" in one.source for name in FILES)]


@pytest.fixture(scope="module")
def welfare(welfare_sets: list[KeywordSet]) -> KeywordMatcher:
    return KeywordMatcher.build(welfare_sets)


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / f"welfare_{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def heard(matcher: KeywordMatcher, text: str, context: str) -> list[ThemeScore]:
    return [theme for theme in matcher.weigh(text, context).themes if theme.level >= HEARD]


def unheard(matcher: KeywordMatcher, texts: Iterable[dict[str, str]]) -> list[str]:
    return [row["text"] for row in texts if not heard(matcher, row["text"], row["context"])]


def test_first_person_texts_kept_apart_are_heard(welfare: KeywordMatcher) -> None:
    """At least 85 % of what children write of their own self-harm and suicide."""
    texts = rows("held_first_person")
    assert len(texts) >= 200
    missed = unheard(welfare, texts)
    assert len(missed) <= 0.15 * len(texts), missed


def test_ordinary_teenage_talk_kept_apart_is_left_alone(welfare: KeywordMatcher) -> None:
    """At most 5 % of it makes an alert, look-alikes included."""
    texts = rows("held_ordinary")
    assert len(texts) >= 300
    false = [row["text"] for row in texts if heard(welfare, row["text"], row["context"])]
    assert len(false) <= 0.05 * len(texts), false


def test_other_themes_kept_apart_are_heard(welfare: KeywordMatcher) -> None:
    texts = rows("held_other")
    for theme in sorted({row["theme"] for row in texts}):
        of_theme = [row for row in texts if row["theme"] == theme]
        missed = unheard(welfare, of_theme)
        assert len(missed) <= 0.15 * len(of_theme), (theme, missed)


def test_tuning_texts_keep_their_rates(welfare: KeywordMatcher) -> None:
    first, ordinary = rows("tuning_first_person"), rows("tuning_ordinary")
    assert len(unheard(welfare, first)) <= 0.15 * len(first)
    assert len(ordinary) - len(unheard(welfare, ordinary)) <= 0.03 * len(ordinary)


def test_texts_kept_apart_and_tuning_texts_share_nothing() -> None:
    held = {row["text"].casefold() for name in ("held_first_person", "held_ordinary", "held_other") for row in rows(name)}
    tuning = {row["text"].casefold() for name in ("tuning_first_person", "tuning_ordinary") for row in rows(name)}
    assert not held & tuning


def test_every_set_says_why_it_stands_there(welfare_sets: list[KeywordSet]) -> None:
    assert welfare_sets
    assert [one.source for one in welfare_sets if not all(phrase.note for phrase in one.phrases)] == []


def test_gravest_themes_speak_eight_languages(welfare_sets: list[KeywordSet]) -> None:
    for category in ("suicide", "self-harm", "grooming", "eating-disorders"):
        languages = {phrase.language for one in welfare_sets if one.category == category for phrase in one.phrases if phrase.level >= 4}
        assert languages >= {"en", "cy", "pl", "ur", "ar", "ro", "fr", "es"}, category


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("dwi ddim isio byw", "suicide"),
        ("Chcę umrzeć", "suicide"),
        ("میں مرنا چاہتی ہوں", "suicide"),
        ("mujhe marna hai", "suicide"),
        ("أريد أن أموت", "suicide"),
        ("اريد ان اموت", "suicide"),
        ("vreau să mor", "suicide"),
        ("j'ai envie de mourir", "suicide"),
        ("ojalá no hubiera nacido", "suicide"),
        ("je me scarifie", "self-harm"),
        ("tnę się", "self-harm"),
        ("mi tío me toca", "grooming"),
        ("il menace de publier mes photos", "grooming"),
        ("jak zostać anorektyczką", "eating-disorders"),
    ],
)
def test_other_languages_are_heard_with_and_without_accents(welfare: KeywordMatcher, text: str, category: str) -> None:
    assert category in {theme.category for theme in heard(welfare, text, "search")}


@pytest.mark.parametrize(
    "text",
    [
        "childline number",
        "how to stop self harming",
        "how do i stop cutting myself",
        "how to get help for an eating disorder",
        "someone is hurting me who do i tell",
        "what happens when you call childline",
        "is kooth confidential",
    ],
)
def test_asking_for_help_is_heard_and_never_a_theme_that_is_blocked(welfare: KeywordMatcher, text: str) -> None:
    themes = welfare.weigh(text, "search").themes
    assert {theme.category for theme in themes} == {"help-seeking"}
    assert max(theme.level for theme in themes) >= HEARD


@pytest.mark.parametrize(
    "text",
    [
        "breast cancer symptoms",
        "chicken breast recipe",
        "breaststroke drills",
        "is breast cancer inherited",
        "what is consent",
        "how do condoms work",
        "puberty stages boys",
        "what is menstruation",
        "sexual reproduction in plants",
        "sex linked inheritance",
        "romeo and juliet suicide scene",
        "how does romeo die",
        "a suicide in literature essay",
        "an inspector calls eva smith death",
        "how to die less in dark souls",
        "how to kill yourself in minecraft",
        "killed myself laughing at that",
        "i died in fortnite again",
        "suicide squad cast",
        "what is self harm pshe",
        "signs of an eating disorder",
        "how to cut paper snowflakes",
        "how to cut my own hair",
        "grass cutting machine",
        "dog grooming near me",
        "ana de armas films",
        "mamma mia songs",
        "anti bullying week poster",
        "ice bucket challenge",
        "egg drop challenge",
        "naked mole rat",
        "renaissance nude painting",
        "essex police",
        "scunthorpe united",
        "paracetamol dose for a 6 year old",
        "history of forced marriage law",
        "violence against women statistics",
        "samaritans sponsored walk",
    ],
)
def test_lessons_health_games_and_place_names_pass(welfare: KeywordMatcher, text: str) -> None:
    assert welfare.weigh(text, "search").themes == ()


@pytest.mark.parametrize("context", ["search", "form", "prompt"])
@pytest.mark.parametrize(
    "text", ["k i l l m y s e l f", "k1ll mys3lf", "kiiiill myself", "ｋｉｌｌ ｍｙｓｅｌｆ", "self h4rm tips", "pr0 4na"]
)
def test_disguised_spellings_of_the_gravest_are_heard(welfare: KeywordMatcher, text: str, context: str) -> None:
    assert heard(welfare, text, context)


def test_lessons_and_literature_lower_what_stands_beside_them_but_not_level_5(welfare: KeywordMatcher) -> None:
    plain = heard(welfare, "i want to end it all", "form")
    beside = welfare.weigh("i want to end it all, suicide prevention leaflet", "form").themes
    assert plain[0].level == 4
    assert beside[0].level == 3
    assert heard(welfare, "i want to kill myself, suicide prevention", "form")[0].level == 5


def paragraphs(archive: Path) -> Iterator[str]:
    """Speeches of plays (XML) and paragraphs of plain text."""
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            text = files.read(name).decode("utf-8", "replace")
            if name.endswith(".xml"):
                found = [re.sub("<[^>]+>", " ", speech) for speech in re.findall(r"<SPEECH>.*?</SPEECH>", text, re.DOTALL)]
            else:
                found = re.split(r"\n\s*\n", text) if name.endswith(".txt") else []
            yield from (plain for one in found if len(plain := " ".join(one.split())) > 30)


def test_public_questions_answers_speeches_and_plays_make_hardly_an_alert(welfare: KeywordMatcher, shared_data: Path) -> None:
    """At most 1 alert in 1,000, and none of the medical pages: what people search, read and study."""
    folder = shared_data / "benign"
    texts: list[tuple[str, str]] = []
    with gzip.open(folder / "nq_open_dev.jsonl.gz", "rt") as lines:
        texts += [("search", json.loads(line)["question"]) for line in lines]
    with gzip.open(folder / "medquad_dev.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            texts += [("search", row["question"]), ("page", row["answer"] or "")]
    for name in ("nltk_inaugural", "nltk_state_union", "nltk_shakespeare"):
        texts += [("page", one) for one in paragraphs(folder / f"{name}.zip")]
    assert len(texts) > 15_000
    found = [text[:80] for context, text in texts if heard(welfare, text, context)]
    assert len(found) <= len(texts) / 1_000, found
