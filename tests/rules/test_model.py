"""The text model: features, reading, examples, and what a second reading does to a verdict."""

import json
import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.decision import Action
from rules.keywords import Verdict
from rules.look import Look
from rules.model import corpora, features
from rules.model.classes import CLASS_HASHES
from rules.model.corpus import FOLDS, fold_of
from rules.model.examples import examples, fill
from rules.model.features import BUCKETS, LETTER_BUCKETS, buckets, named
from rules.model.glance import Glance
from rules.model.heads import EXPERTS, HEADS, NAMES, THEMES
from rules.model.kinds import heard
from rules.model.reader import CONTEXTS, FOLDER, Facts, Finding, Opinion, TextModel, shipped_model
from rules.model.reading import MAX_CHARACTERS, reading
from rules.request import Request, TypedText
from rules.ruleset import Ruleset
from rules.second_reader import LEVEL, MARK, second_reading
from rules.settings import ThemeScore
from rules.state import State


@pytest.fixture(scope="module")
def model() -> TextModel:
    return shipped_model()


class Fixed(TextModel):
    """A model with an opinion given beforehand."""

    def __init__(self, opinion: Opinion) -> None:
        self.opinion = opinion

    def read(self, text: str, context: str, *, also_harmless: bool = True) -> Opinion:
        return self.opinion

    def reasons(self, text: str, head: str) -> tuple[str, ...]:
        return ("some words",)


HATE = Opinion((Finding("hate", "hate", 0.93),), False)


# --- features ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=400))
def test_features_are_distinct_sorted_and_letters_come_first(text: str) -> None:
    found, letters = buckets(reading(text))
    assert (np.diff(found) > 0).all()
    assert (found[:letters] < LETTER_BUCKETS).all()
    assert ((found[letters:] >= LETTER_BUCKETS) & (found[letters:] < BUCKETS)).all()


SOME_WORDS = st.lists(st.sampled_from(["hate", "not", "women", "tea", "garden", "you"]), min_size=1, max_size=8)


@given(SOME_WORDS, SOME_WORDS)
def test_a_stretch_of_words_has_the_same_features_wherever_it_stands(middle: list[str], before: list[str]) -> None:
    alone = buckets(f" {' '.join(middle)} ")[0]
    among = buckets(f" {' '.join([*before, *middle])} ")[0]
    assert set(alone.tolist()) <= set(among.tolist())


@given(st.lists(st.sampled_from(["i", "hate", "all", "women", "kill", "chess", "é", "", "😂", "table"]), min_size=3, max_size=30))
def test_a_long_text_has_the_features_that_it_would_have_if_plans_were_kept_for_it(words: list[str]) -> None:
    plain = f" {' '.join(words)} about it "
    with pytest.MonkeyPatch.context() as patch:
        found, letters = buckets(plain)
        patch.setattr(features, "_SHORT", 4)
        again, letters_again = buckets(plain)
        assert (found.tolist(), letters) == (again.tolist(), letters_again)
        assert named(plain, set(found.tolist())).keys() == set(found.tolist())


def test_word_features_are_named_by_their_words_and_classes() -> None:
    plain = reading("I hate all women")
    names = set(named(plain, set(buckets(plain)[0].tolist())).values())
    assert {"hate all women", "⟨hate⟩ all ⟨group⟩", "⟨hate⟩ … ⟨group⟩", "…hate…"} <= names


def test_two_groups_share_the_features_of_their_class() -> None:
    assert CLASS_HASHES["women"] == CLASS_HASHES["muslims"] != CLASS_HASHES["hate"]
    one, other = (buckets(reading(f"i hate all {group}"))[0] for group in ("women", "muslims"))
    assert len(np.intersect1d(one, other)) > 20


@pytest.mark.parametrize("text", ["", " ", "a", "死", "\ud800", "%zz", "&#x;", "1" * 5_000, "a " * 5_000])
def test_odd_texts_have_features_too(text: str, model: TextModel) -> None:
    found, _ = buckets(reading(text))
    assert found.ndim == 1
    for context in CONTEXTS:
        assert model.read(text, context).findings == ()


# --- glance -----------------------------------------------------------------------------------------------------------


class Counting(TextModel):
    """The shipped model, which counts how often it works out scores."""

    def __init__(self, glance: Glance | None) -> None:
        shipped = shipped_model()
        super().__init__(shipped._table, shipped._names, shipped.facts, glance)
        self.counted = 0

    def scores(self, plain: str) -> NDArray[np.float64] | None:
        self.counted += 1
        return super().scores(plain)


def test_a_search_whose_words_never_matter_is_not_scored_and_other_texts_always_are() -> None:
    model = Counting(Glance(-1.0, {"grave": 2.0}))
    model.read("how do volcanoes work", "search", also_harmless=False)
    assert model.counted == 0
    model.read("how do volcanoes work", "form", also_harmless=False)
    model.read("how do volcanoes work", "search")
    model.read("how deep is a grave", "search", also_harmless=False)
    assert model.counted == 3


def test_a_disguised_word_is_seen_at_a_glance() -> None:
    assert Glance(-1.0, {"kill": 2.0}).may_matter(reading("k1ll them all"))


def test_the_shipped_glance_misses_next_to_nothing_that_the_model_sees_in_searches() -> None:
    files = corpora.TUNING.glob("*.jsonl")
    texts = [json.loads(line)["text"] for path in files for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    careful = Counting(None)
    seen = [text for text in texts if careful.read(text, "search", also_harmless=False).findings]
    glancing = shipped_model()
    kept = [text for text in seen if glancing.read(text, "search", also_harmless=False).findings]
    assert len(seen) > 100
    assert len(kept) >= 0.97 * len(seen)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("k1ll 4ll w0m3n", " kill all women "),
        ("k i l l   t h e m", " kill them "),
        ("k\u200bi\u200bl\u200bl them", " kill them "),
        ("&#107;&#105;ll them", " kill them "),
        ("%6b%69ll them", " kill them "),
        ("RT @somebody: hello https://example.org/x?y=z there", " hello there "),
        ("2nd place!", " 2nd place "),
    ],
)
def test_the_model_reads_disguised_words_plainly_and_no_links_or_names(written: str, read: str) -> None:
    got = reading(written)
    assert got == read or written.startswith("2nd")


@given(st.text(max_size=3_000))
def test_a_reading_is_words_between_single_spaces(text: str) -> None:
    plain = reading(text)
    assert plain.startswith(" ")
    assert plain.endswith(" ")
    assert "  " not in plain.strip()


def test_only_the_start_of_a_long_text_is_read() -> None:
    assert len(reading("word " * 10_000)) <= MAX_CHARACTERS + 2


# --- the shipped model ------------------------------------------------------------------------------------------------


def test_the_model_is_small_and_mapped_not_copied(model: TextModel) -> None:
    assert (FOLDER / "model.npy").stat().st_size <= 10_000_000
    start = time.perf_counter()
    TextModel.load()
    assert time.perf_counter() - start < 2.0


def test_how_the_model_was_made_stands_beside_it() -> None:
    facts = json.loads((FOLDER / "model.json").read_bytes())
    assert facts["made"]["seed"]
    assert facts["made"]["weights"]
    assert all(len(digest) == 64 for digest in facts["made"]["data"].values())
    assert facts["heads"] == [head.name for head in HEADS]
    for context in CONTEXTS:
        assert set(facts["limits"][context]) == {head.name for head in (*EXPERTS, *THEMES)}


def test_a_file_of_another_shape_is_refused(model: TextModel) -> None:
    with pytest.raises(ValueError, match="another version"):
        TextModel(np.zeros((4, 2), dtype=np.int8), model._names, model.facts)


def test_a_missing_model_is_a_sentence(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        TextModel.load(tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "what time does the library open on saturday",
        "how do plants make food from sunlight",
        "can you help me with my french homework please",
        "when did the second world war end",
        "i had a really nice day at the zoo with my cousins",
    ],
)
def test_ordinary_talk_raises_nothing(text: str, model: TextModel) -> None:
    for context in CONTEXTS:
        assert model.read(text, context).findings == ()


def test_reasons_are_words_of_the_text_or_their_classes(model: TextModel) -> None:
    text = "I really hate all of those disgusting immigrants"
    reasons = model.reasons(text, "hate")
    assert 1 <= len(reasons) <= 4
    spoken = set(reading(text).split())
    for reason in reasons:
        assert all(word.startswith("⟨") or word == "…" or word in spoken for word in reason.split())


def test_few_words_have_to_say_more_before_the_wide_heads_and_the_expert_on_talk_pages_speak() -> None:
    wide = [HEADS.index(head) for head in THEMES if head.name in NAMES]
    talk = next(place for place, head in enumerate(HEADS) if head.kind == "kind: talk page")
    lengths = [3, 6, 9, 12, 40]
    scores = heard(np.ones((len(lengths), len(HEADS))), [words + 1 for words in lengths])
    told = scores[:, wide[0]]
    assert told[0] < -10  # of three words the model says nothing
    assert (np.diff(told[1:4]) > 0).all()
    assert told[3] == told[4] == 1
    assert scores[0, talk] < scores[1, talk] < scores[2, talk]
    assert scores[2, talk] == scores[4, talk] == 1
    assert (np.delete(scores, [*wide, talk], axis=1) == 1).all()


def test_pages_are_not_read_by_the_model(model: TextModel) -> None:
    assert model.read("I hate all those disgusting immigrants", "page") == Opinion((), False)


# --- second reading ---------------------------------------------------------------------------------------------------


def test_what_only_the_model_sees_gets_level_3_and_a_match_that_says_so() -> None:
    second = second_reading(Verdict((), ()), "such words", "form", Fixed(HATE))
    assert second.model_only == {"hate"}
    (theme,) = second.verdict.themes
    assert (theme.category, theme.level) == ("hate", LEVEL)
    (match,) = second.verdict.matches
    assert match.phrase == f"{MARK}some words"
    assert (match.weight, match.kind, match.start, match.end) == (93, "model", 0, 10)


def test_a_keyword_of_the_same_theme_is_raised_and_keeps_its_phrase() -> None:
    low = ThemeScore("hate", 2, 60, "a phrase")
    second = second_reading(Verdict((low,), ()), "such words", "form", Fixed(HATE))
    assert second.verdict.themes == (low._replace(level=LEVEL),)
    assert second.model_only == frozenset()


def test_a_theme_that_harmless_words_lowered_stays_low() -> None:
    low = ThemeScore("hate", 2, 60, "a phrase", 1)
    assert second_reading(Verdict((low,), ()), "such words", "form", Fixed(HATE)).verdict.themes == (low,)


@pytest.mark.parametrize(
    ("category", "level", "after"),
    [("hate", 3, 2), ("vawg", 4, 3), ("self-harm", 4, 4), ("suicide", 5, 5), ("help-seeking", 3, 3), ("drugs", 2, 2)],
)
def test_a_surely_harmless_text_falls_by_one_level_but_never_from_level_5(category: str, level: int, after: int) -> None:
    verdict = Verdict((ThemeScore(category, level, 60, "a phrase"),), ())
    assert second_reading(verdict, "such words", "form", Fixed(Opinion((), True))).verdict.themes[0].level == after


def test_without_a_model_and_on_pages_a_verdict_stays_as_it_is() -> None:
    verdict = Verdict((ThemeScore("hate", 3, 60, "a phrase"),), ())
    assert second_reading(verdict, "such words", "page", Fixed(HATE)).verdict is verdict
    assert second_reading(verdict, "such words", "form", None).verdict is verdict


def typed(ruleset: Ruleset, ask: Callable[..., Request], text: str) -> Look:
    return Look(ask("https://chat.test/", typed=(TypedText(text, "form"),)), ruleset, State())


def test_the_model_alone_blocks_nothing_unless_the_policy_says_so(school: Ruleset, ask: Callable[..., Request]) -> None:
    import msgspec

    ruleset = msgspec.structs.replace(school, model=Fixed(HATE))
    decision = typed(ruleset, ask, "such ordinary words here").typed_decision()
    assert decision is not None
    assert (decision.action, decision.level, decision.category) == (Action.LOG, 3, "hate")
    text = msgspec.structs.replace(school.policy.text, model_blocks=True)
    stricter = msgspec.structs.replace(ruleset, policy=msgspec.structs.replace(school.policy, text=text))
    decision = typed(stricter, ask, "such ordinary words here").typed_decision()
    assert decision is not None
    assert decision.action is Action.BLOCK


def test_the_policy_can_do_without_the_model(school: Ruleset, ask: Callable[..., Request]) -> None:
    import msgspec

    text = msgspec.structs.replace(school.policy.text, model=False)
    ruleset = msgspec.structs.replace(school, model=Fixed(HATE), policy=msgspec.structs.replace(school.policy, text=text))
    assert typed(ruleset, ask, "such ordinary words here").typed_decision() is None


def test_what_a_site_answers_is_not_read_by_the_model(school: Ruleset, ask: Callable[..., Request]) -> None:
    import msgspec

    ruleset = msgspec.structs.replace(school, model=Fixed(HATE))
    request = ask("https://chat.test/", typed=(TypedText("such ordinary words here", "prompt", answer=True),))
    assert Look(request, ruleset, State()).typed_decision() is None


# --- training ---------------------------------------------------------------------------------------------------------


def test_examples_are_the_same_for_the_same_seed() -> None:
    once, again = examples(3), examples(3)
    assert once == again
    assert len(once) > 20_000
    assert not any("{" in one.text or "}" in one.text or "=" in one.text for one in once if not one.whole)


def test_choices_nest_and_lists_are_filled_in() -> None:
    import random

    chance = random.Random(1)
    made = {fill("{a|b{c|d}} {=animal}{!|=}", {"animal": "cat|{big |}dog"}, chance) for _ in range(300)}
    assert made == {f"{first} {second}{end}" for first in ("a", "bc", "bd") for second in ("cat", "dog", "big dog") for end in ("!", "")}


def test_a_text_lies_in_the_same_fold_always() -> None:
    assert {fold_of("some text") for _ in range(3)} == {fold_of(" some text ")}
    assert {fold_of(str(number)) for number in range(50)} == set(range(FOLDS))


def test_the_data_is_read_whole(shared_data: os.PathLike[str]) -> None:
    data = corpora.DATA
    assert sum(one.label for one in corpora.davidson(data)) == 20_620
    assert len(corpora.edos(data, "dev")) == 2_000
    assert sum(one.label for one in corpora.wikipedia(data)) == 248
    for read in corpora.BENIGN.values():
        assert len(read(data)) > 500


def test_facts_of_the_model_survive_reading_and_writing(model: TextModel) -> None:
    import msgspec

    assert msgspec.json.decode(msgspec.json.encode(model.facts), type=Facts) == model.facts
