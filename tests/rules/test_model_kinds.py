"""How the text model weighs what its experts and themes say by the kind of a text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rules.model.features import BUCKETS, LETTER_BUCKETS, NAME_BUCKETS
from rules.model.heads import EXPERTS, HEADS, KINDS, NAMED, THEMES
from rules.model.kinds import Scores, margins, shares
from rules.model.reader import Facts, TextModel, shipped_model

SCORES = arrays(np.float64, len(HEADS), elements=st.floats(-12, 12))
POST, PLAIN, PRINT = 0, 3, 4
OFFENCE, HATE = len(KINDS), len(KINDS) + len(EXPERTS)
LIMITS = np.zeros(len(EXPERTS) + len(THEMES))
AS_THEY_ARE: Scores = np.hstack([np.eye(len(KINDS)), np.zeros((len(KINDS), 1))])
TEXT = "four words are enough"


def scores(**heads: float) -> Scores:
    """Scores of -5 for every head but those named."""
    places = {"post": POST, "plain": PLAIN, "printed": PRINT, "offence": OFFENCE, "hate": HATE}
    found = np.full(len(HEADS), -5.0)
    for name, value in heads.items():
        found[places[name]] = value
    return found


def model_with(found: Scores, search: float = 0.0) -> TextModel:
    """A model that has these scores for every text; limits are 0, in searches `search`."""
    judged = [head.name for head in (*EXPERTS, *THEMES)]
    facts = Facts(
        heads=tuple(head.name for head in HEADS), scale=(1.0,) * len(HEADS), bias=tuple(found.tolist()),
        limits={"search": dict.fromkeys(judged, search), "form": dict.fromkeys(judged, 0.0)},
        sureness=dict.fromkeys(judged, (1.0, 0.0)), kinds=tuple(map(tuple, AS_THEY_ARE.tolist())), harmless=2.0,
    )  # fmt: skip
    names = np.zeros((NAME_BUCKETS, len(NAMED)), dtype=np.int8)
    return TextModel(np.zeros((BUCKETS, len(HEADS)), dtype=np.int8), names, facts)


@given(arrays(np.float64, (3, len(KINDS)), elements=st.floats(-50, 50)))
def test_shares_of_kinds_add_up_to_one(values: Scores) -> None:
    found = shares(values)
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(1.0)


@given(SCORES)
def test_nobody_speaks_where_every_score_is_below_its_limit(values: Scores) -> None:
    values[len(KINDS) :] = np.minimum(values[len(KINDS) :], 0.0)
    found = margins(values, LIMITS, AS_THEY_ARE)
    assert found.experts.max() <= 0
    assert found.themes.max() <= 0


@given(SCORES)
def test_at_most_one_expert_speaks_for_a_text(values: Scores) -> None:
    assert (margins(values, LIMITS, AS_THEY_ARE).experts > 0).sum() <= 1


@given(arrays(np.float64, (4, len(HEADS)), elements=st.floats(-12, 12)))
def test_many_texts_are_weighed_as_each_of_them_alone(rows: Scores) -> None:
    together = margins(rows, LIMITS, AS_THEY_ARE)
    for place, row in enumerate(rows):
        alone = margins(row, LIMITS, AS_THEY_ARE)
        assert together.experts[place] == pytest.approx(alone.experts)
        assert together.themes[place] == pytest.approx(alone.themes)


def test_an_expert_is_believed_in_its_kind_of_text_and_never_in_a_plain_one() -> None:
    post, plain = scores(post=4.0, offence=3.0), scores(plain=4.0, offence=9.0)
    assert margins(post, LIMITS, AS_THEY_ARE).experts.argmax() == 0
    assert margins(post, LIMITS, AS_THEY_ARE).experts.max() > 0
    assert margins(plain, LIMITS, AS_THEY_ARE).experts.max() < 0
    assert margins(plain, LIMITS, AS_THEY_ARE).plain == 1.0


def test_in_what_was_printed_a_theme_has_to_say_more_and_no_expert_speaks() -> None:
    printed = margins(scores(printed=4.0, offence=9.0, hate=1.0), LIMITS, AS_THEY_ARE)
    plain = margins(scores(plain=4.0, offence=9.0, hate=1.0), LIMITS, AS_THEY_ARE)
    assert plain.themes.max() == pytest.approx(1.0, abs=0.01)
    assert printed.themes.max() < -1
    assert printed.experts.max() < 0
    assert printed.plain == 1.0


def test_a_post_in_which_nobody_speaks_is_harmless_and_a_plain_text_only_far_from_every_theme() -> None:
    near, far = {"hate": -0.5}, {"hate": -4.0}
    assert model_with(scores(post=4.0, offence=-1.0, **near)).read(TEXT, "form").harmless
    assert not model_with(scores(plain=4.0, **near)).read(TEXT, "form").harmless
    assert model_with(scores(plain=4.0, **far)).read(TEXT, "form").harmless


def test_a_search_below_the_stricter_limit_is_no_harmless_text() -> None:
    opinion = model_with(scores(post=4.0, offence=1.0), search=3.0).read(TEXT, "search")
    assert opinion.findings == ()
    assert not opinion.harmless


def test_the_shipped_weights_of_kinds_tell_each_kind_by_its_own_score() -> None:
    weights = np.array(shipped_model().facts.kinds)
    assert (weights[:, :-1].argmax(axis=0) == np.arange(len(KINDS))).all()


def test_a_feature_that_one_label_has_counts_more_than_one_that_both_have() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    fit = pytest.importorskip("rules.model.fit")
    both, one = 7, LETTER_BUCKETS - 1
    rows = sparse.csr_matrix((np.ones(6), ([0, 0, 1, 1, 2, 3], [both, one, both, one, both, both])), shape=(4, BUCKETS))
    factor = fit._telling(rows, np.array([True, True, False, False]), np.ones(4))
    assert factor[one] > 1.2 * factor[both] > 0
