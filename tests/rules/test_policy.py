"""The policy file: what is read, what is refused, and what it answers."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import canonicalise
from rules.decision import Action
from rules.policy import Policy, PolicyError, load_policy, parse_policy
from rules.request import IdentitySource
from rules.schema import schema_reference

SMALL = """
[school]
timezone = "Europe/London"

[categories.games]
includes = ["ut1-games"]

[categories.gambling]
level = 2
theme = "money"

[groups.pupils]
default = "allow"
[groups.pupils.actions]
games = "block"
[[groups.pupils.timed]]
name = "lunch"
days = ["mon-fri"]
times = ["12:15-13:00"]
actions = { games = "allow" }
default = "log"

[groups.staff]
other_categories = "allow"
users = ["Head"]
[groups.staff.text]
gambling = "log"

[[subnets]]
networks = ["10.0.0.0/8"]
group = "pupils"

[[subnets]]
networks = ["10.1.2.0/24"]
group = "staff"
room = "Office"
require_sign_in = true

[[allow]]
entries = ["example.org/lesson", "https://exact.example/page?id=1"]
[[allow]]
entries = ["staff.example"]
groups = ["staff"]
[[deny]]
entries = ["bad.example"]
category = "school-rules"
"""


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def small() -> Policy:
    return parse_policy(SMALL)


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as error:
        parse_policy(text, "policy.toml")
    return [str(problem) for problem in error.value.problems]


def test_starter_policy_is_valid_and_treats_the_unknown_like_the_youngest(starter_policy: Policy) -> None:
    assert starter_policy.strictest_group == "ks1"
    assert starter_policy.identify("203.0.113.9").group == "ks1"


def test_starter_policy_maps_every_ut1_category(starter_policy: Policy, shared_data: Path) -> None:
    with (shared_data / "domains" / "ut1-category-counts.csv").open() as file:
        names = {row["category"] for row in csv.DictReader(file)}
    assert {name for name in names if starter_policy.category_named(name) not in starter_policy.categories} == set()


def test_starter_policy_allows_white_ut1_categories_to_pupils(starter_policy: Policy) -> None:
    for name in (
        "child",
        "cleaning",
        "educational_games",
        "liste_blanche",
        "liste_bu",
        "sexual_education",
        "translation",
        "update",
        "bank",
    ):
        assert starter_policy.action_for("ks1", starter_policy.category_named(name), 0)[0] is Action.ALLOW, name


def test_unknown_key_names_file_line_and_the_keys_that_exist() -> None:
    (problem,) = problems('[groups.a]\n\n[school]\nnmae = "x"\n')
    assert problem.startswith("policy.toml:4: ")
    assert '"nmae"' in problem
    assert 'Did you mean "name"?' in problem
    assert "name, site, timezone, contact" in problem


def test_unknown_key_in_a_table_of_a_list_has_its_own_line() -> None:
    assert problems(
        '[groups.a]\n[[subnets]]\nnetworks=["10.0.0.0/8"]\ngroup="a"\n[[subnets]]\nnetworks=["11.0.0.0/8"]\ngroup="a"\nromo="x"\n'
    )[0].startswith("policy.toml:8: ")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[groups.a]\ndefault = "alow"\n', 2, '"allow", "log", "warn" or "block"'),
        ('[groups.a.actions]\ngamez = "block"\n', 2, 'no category "gamez"'),
        ('[groups.a]\n[[subnets]]\nnetworks = [\n  "10.0.0.0/8",\n  "10.0.0.300",\n]\ngroup = "a"\n', 5, "expected a network"),
        ('[groups.a]\n[[subnets]]\nnetworks = ["10.0.0.0/8"]\ngroup = "b"\n', 4, 'no group "b"'),
        ('[groups.a]\n[[subnets]]\ngroup = "a"\n', 2, '"networks" is missing'),
        ('[groups.a]\n[[allow]]\nentries = ["ok.example",\n"co.uk"]\n', 4, "too wide"),
        ('[groups.a]\n[[allow]]\nentries = ["*"]\n', 3, '"*"'),
        ("[groups.a]\n[limits]\ngrant_minutes = 0\n", 3, "whole number from 1"),
        ('[groups.a]\n[[groups.a.timed]]\ntimes = ["9-10"]\n', 3, "span of time"),
        ('[groups.a]\n[[groups.a.timed]]\ndays = ["monday"]\n', 3, "not a day"),
        ('[groups.a]\n[school]\ntimezone = "Europe/Atlantis"\n', 3, "time zone"),
        ('[groups.a]\n[keywords]\nfiles = ["absent.toml"]\n', 0, "can't be read"),
        ('[groups.a]\n[gateway.hosts]\n"a b/c" = "10.0.0.1"\n', 3, "not a host name"),
        ("[school\n", 1, "not valid TOML"),
        ("", 1, "has no group"),
        ('[groups.a]\nusers = ["Ann"]\n[groups.b]\nusers = ["ann"]\n', 4, 'already belongs to group "a"'),
        ('[categories.a]\nincludes = ["x"]\n[categories.b]\nincludes = ["y", "x"]\n[groups.a]\n', 4, 'already belongs to category "a"'),
        ('[groups.a]\n[[keyword_sets]]\ncategory = "zzz"\nwords = ["some words"]\n', 3, 'no category "zzz"'),
        ('[categories.x]\n[groups.a]\n[[keyword_sets]]\ncategory = "x"\nwords = ["ok words", "!"]\n', 5, "too few letters"),
        ("groups = 3\n", 1, "table"),
        ('[groups.a]\nallow = "x"\n', 2, 'no key "allow"'),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, line: int, words: str) -> None:
    found = problems(text)
    assert any(words in problem for problem in found), found
    if line:
        assert any(problem.startswith(f"policy.toml:{line}: ") and words in problem for problem in found), found


def test_every_fault_is_told_in_one_pass() -> None:
    assert len(problems('[school]\nnmae = 1\n[limits]\ngrant_minutes = "x"\n[groups.a]\ndefault = 1\n')) == 3


def test_default_group_milder_than_the_strictest_is_refused() -> None:
    text = 'default_group = "b"\n[categories.c]\n[groups.a]\n[groups.b]\nother_categories = "allow"\n'
    assert 'milder than group "a"' in problems(text)[0]
    assert parse_policy(text.replace('"b"', '"a"', 1)).strictest_group == "a"


def test_missing_file_and_wrong_encoding_are_policy_errors(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="can't be read"):
        load_policy(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'[school]\nname = "\xe9"\n')
    with pytest.raises(PolicyError, match="UTF-8"):
        load_policy(tmp_path / "latin.toml")


def test_lunch_opens_games_in_school_time_and_not_in_utc(small: Policy) -> None:
    # 11:30 UTC is 12:30 in London in July, and a Wednesday.
    assert small.action_for("pupils", "games", at("2026-07-01T11:30:00")) == (Action.ALLOW, "groups.pupils.timed[1].actions.games")
    assert small.action_for("pupils", "games", at("2026-07-01T12:30:00")) == (Action.BLOCK, "groups.pupils.actions.games")
    assert small.action_for("pupils", "games", at("2026-12-02T12:30:00"))[0] is Action.ALLOW
    assert small.action_for("pupils", "games", at("2026-12-05T12:30:00"))[0] is Action.BLOCK  # a Saturday
    assert small.default_action("pupils", at("2026-12-02T12:59:59")) is Action.LOG
    assert small.default_action("pupils", at("2026-12-02T13:00:00")) is Action.ALLOW


def test_category_that_the_policy_does_not_name_gets_other_categories(small: Policy) -> None:
    assert small.action_for("pupils", "something-new", 0) == (Action.BLOCK, "groups.pupils.other_categories")
    assert small.category_named("something-new") == "something-new"
    assert small.category_named("ut1-games") == "games"


def test_group_that_no_longer_exists_is_treated_like_the_strictest(small: Policy) -> None:
    assert small.action_for("gone", "games", at("2026-12-05T12:30:00"))[0] is Action.BLOCK


def test_identity_comes_from_user_then_subnet_then_strictest(small: Policy) -> None:
    assert small.identify("10.9.9.9").group == "pupils"
    office = small.identify("10.1.2.3")
    assert (office.group, office.room, office.identity_source) == ("staff", "Office", IdentitySource.SUBNET)
    assert small.identify("10.9.9.9", "head").group == "staff"
    assert small.identify("10.9.9.9", "someone", "staff").group == "staff"
    assert small.identify("10.1.2.3", "someone", "no-such-group").group == "pupils"
    assert small.identify("192.0.2.1").identity_source is IdentitySource.NONE
    assert small.identify("::ffff:10.1.2.3").group == "staff"
    assert small.identify("not an address").group == "pupils"


def test_sign_in_is_asked_where_the_policy_says(small: Policy) -> None:
    assert small.sign_in_required("10.1.2.3")
    assert not small.sign_in_required("10.9.9.9")


@pytest.mark.parametrize(
    ("url", "group", "allowed"),
    [
        ("http://example.org/lesson", "pupils", True),
        ("http://sub.example.org/lesson/1?x=2", "pupils", True),
        ("http://example.org/lessons", "pupils", False),
        ("http://example.org/", "pupils", False),
        ("http://badexample.org/lesson", "pupils", False),
        ("https://exact.example/page?id=1", "pupils", True),
        ("https://exact.example/page?id=2", "pupils", False),
        ("https://exact.example/page", "pupils", False),
        ("https://staff.example/", "pupils", False),
        ("https://www.staff.example/", "staff", True),
    ],
)
def test_allow_entries_match_at_label_and_path_edges(small: Policy, url: str, group: str, allowed: bool) -> None:
    assert (small.allowed(canonicalise(url), group) is not None) is allowed


def test_text_actions_of_a_group_go_before_its_actions(starter_policy: Policy) -> None:
    from rules.settings import ThemeScore

    theme = ThemeScore("suicide", 5, 100, "x")
    assert starter_policy.text_action("staff", theme, "search", 0) is Action.LOG
    assert starter_policy.text_action("ks2", theme, "search", 0) is Action.BLOCK


def test_private_public_bodies_may_be_named_whole() -> None:
    policy = parse_policy('[groups.a]\n[[allow]]\nentries = ["nhs.uk", "gov.uk"]\n')
    assert policy.allowed(canonicalise("https://www.gov.uk/x"), "a") is not None


def test_every_setting_is_documented() -> None:
    reference = schema_reference()
    assert len(reference) == len({one.key for one in reference}) > 60
    assert all(one.doc.endswith(".") and one.type and one.default for one in reference)


def test_school_keyword_sets_and_files_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('[[keyword_sets]]\ncategory = "x"\nwords = ["purple banana"]\n')
    (tmp_path / "policy.toml").write_text(
        '[categories.x]\n[groups.a]\n[keywords]\nstarter = false\nfiles = ["more.toml"]\n'
        '[[keyword_sets]]\ncategory = "x"\nlevel = 4\nphrases = [{ text = "green apple", weight = 5 }]\n'
    )
    policy = load_policy(tmp_path / "policy.toml")
    found = {phrase.text: (phrase.weight, phrase.level) for one in policy.keyword_sets for phrase in one.phrases}
    assert found == {"green apple": (5, 4), "purple banana": (60, 3)}
    (tmp_path / "more.toml").write_text('[[keyword_sets]]\nwords = ["purple banana"]\n')
    with pytest.raises(PolicyError, match=r"more\.toml:1: .*category"):
        load_policy(tmp_path / "policy.toml")


KEYS = [*sorted({part.strip("[]<>") for one in schema_reference() for part in one.key.split(".")}), "x", "0"]
SCALARS = st.one_of(
    st.sampled_from(
        [
            '"allow"',
            '"x"',
            '"10.0.0.0/8"',
            '"mon-fri"',
            '"12:00-13:00"',
            '""',
            "1",
            "-1",
            "true",
            "1.5",
            "1979-05-27",
            "[]",
            "{}",
            "inf",
            '"\\u0000"',
        ]
    ),
    st.text(max_size=20).map(lambda text: '"' + text.replace("\\", "").replace('"', "").replace("\n", "") + '"'),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    st.tuples(st.sampled_from(KEYS), SCALARS).map(lambda p: f"{{ {p[0]} = {p[1]} }}"),
)
HEADERS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([f"[{'.'.join(keys)}]", f"[[{'.'.join(keys)}]]"])
)
LINES = st.one_of(HEADERS, st.tuples(st.sampled_from(KEYS), VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"))


@given(st.one_of(st.text(max_size=200), st.lists(LINES, max_size=12).map("\n".join)))
def test_parser_raises_nothing_but_policy_errors(text: str) -> None:
    try:
        parse_policy("[groups.a]\n" + text)
    except PolicyError as error:
        told = error.problems
    else:
        return
    assert told
    assert all(problem.line >= 0 and problem.message for problem in told)
