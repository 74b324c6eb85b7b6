"""Phrases looked at before they count: each kind of mistake is found at its line, and what is right passes."""

from pathlib import Path

import pytest

from rules.keywords.checking import amounts, look_over, ordinary_words, read_located, unknown_categories
from rules.keywords.sets import STARTER_FOLDER
from rules.problems import PolicyError

HEAD = '[[keyword_sets]]\ncategory = "bullying"\n'


@pytest.fixture
def problems(tmp_path: Path):
    """Return the problems of a keyword file of one set: `problems('words = ["x"]')`, as "line: message"."""

    def look(text: str, name: str = "ours.toml") -> list[str]:
        path = tmp_path / name
        path.write_text(HEAD + text, encoding="utf-8")
        return [f"{one.line}: {one.message}" for one in look_over(read_located(path))]

    return look


def test_phrases_that_are_right_have_no_problem(problems) -> None:
    assert problems('words = ["you smell", "nobody likes {you|her}", "go ... away from me", "小心", "🔪"]\nunless = ["lyrics"]\n') == []


def test_a_phrase_that_stands_there_twice_is_named_at_the_second_place(problems, tmp_path: Path) -> None:
    (one,) = problems('words = [\n  "you smell",\n  "You  SMELL",\n]\n')
    assert one == f'5: "You  SMELL" stands in {tmp_path}/ours.toml:4 already, as part of "you smell": take one of them out.'
    assert len(problems('words = ["{you|they} smell", "they smell"]\n')) == 1
    assert len(problems('words = ["they smell", "{you|they} smell"]\n')) == 1
    # Phrases that share some of their wordings weigh more there, which is what their author may want.
    assert problems('words = ["{you|they} smell", "they {smell|stink}"]\n') == []


def test_the_same_words_elsewhere_or_under_other_conditions_are_not_twice(problems) -> None:
    assert problems('words = ["you smell"]\n[[keyword_sets.phrases]]\ntext = "you smell"\nwith = ["bad"]\n') == []
    search, page = (f'[[keyword_sets.phrases]]\ntext = "you smell"\ncontexts = ["{one}"]\n' for one in ("search", "page"))
    assert problems(search + page) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('words = ["song lyrics"]\nunless = ["lyrics"]\n', "can never match: its `unless`"),
        ('words = ["you smell"]\nwith = ["of roses"]\nunless = ["roses"]\n', "can never match: its `unless`"),
        ('words = ["you smell"]\ncontexts = []\n', "its contexts are empty"),
    ],
)
def test_a_phrase_that_can_never_match_says_why(problems, text: str, why: str) -> None:
    (one,) = problems(text)
    assert one.startswith("3: ")
    assert why in one


def test_a_phrase_that_ordinary_words_contain_names_some_and_what_to_do(problems) -> None:
    (one,) = problems('words = ["cock*"]\n')
    assert "Cockermouth, Cockfosters" in one
    assert "Write it without *" in one
    assert problems('words = ["cock"]\n') == []
    assert problems('words = ["sext*"]\nunless = ["sextant", "sextet", "sextuplet", "sexton"]\n') == []


def test_a_sign_of_which_nothing_is_left_is_named(problems) -> None:
    (one,) = problems('words = ["you smell", "lend me £20"]\n')
    assert one == '3: "lend me £20" loses its £ when texts are made plain, and the rest is found alone: write it as a word.'
    assert problems('words = ["{you|they} smell", "🔪 you", "don\'t, ever"]\n') == []


def test_every_line_with_a_mistake_of_the_reader_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(HEAD + 'words = ["a", "{b"]\nwith = ["{c"]\nlevle = 3\n', encoding="utf-8")
    with pytest.raises(PolicyError) as wrong:
        read_located(path)
    assert [one.line for one in wrong.value.problems] == [5]
    path.write_text(HEAD + 'words = [\n"a",\n"{b",\n]\nwith = ["{c"]\n', encoding="utf-8")
    with pytest.raises(PolicyError) as wrong:
        read_located(path)
    assert [one.line for one in wrong.value.problems] == [4, 5, 7]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[[keyword_sets]\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ours.toml").write_bytes(data)
    with pytest.raises(PolicyError):
        read_located(tmp_path / "ours.toml")
    with pytest.raises(PolicyError, match="can't be read"):
        read_located(tmp_path / "nothing.toml")


def test_a_category_that_the_policy_lacks_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(HEAD + 'words = ["you smell", "you stink"]\n', encoding="utf-8")
    phrases = read_located(path)
    assert [one.line for one in unknown_categories(phrases, ["drugs"])] == [3]
    assert unknown_categories(phrases, ["bullying"]) == []


def test_phrases_are_counted_by_category_and_language(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        HEAD + 'words = ["you smell", "you stink"]\n' + HEAD + 'language = "cy"\nlevel = 5\nlowers = 1\nwords = ["drewi di"]\n',
        encoding="utf-8",
    )
    assert [(one.language, one.phrases, one.levels, one.lowering) for one in amounts(read_located(path))] == [
        ("cy", 1, {5: 1}, 1),
        ("en", 2, {3: 2}, 0),
    ]


def test_ordinary_words_are_many_and_each_stands_there_once() -> None:
    assert len(ordinary_words()) > 500
    assert len({word.casefold() for word in ordinary_words()}) == len(ordinary_words())


def test_the_phrases_that_come_with_schoolgate_pass_their_own_check() -> None:
    phrases = [one for path in sorted(STARTER_FOLDER.glob("*.toml")) for one in read_located(path)]
    assert [str(one) for one in look_over(phrases)] == []
