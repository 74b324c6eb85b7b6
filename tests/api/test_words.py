"""How pages name themes, people and moments."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from api.labels import themes, who
from api.times import clock, day
from rules.policy import load_policy

POLICY = """
[school]
name = "Elm Road School"

[categories.filter-bypass]
title = "Ways around the filter"
theme = "bypass"

[categories.pornography]
title = "Pornography"
theme = "sexual"

[categories.grooming]
title = "Grooming"
theme = "sexual"

[groups.pupils]
default = "allow"
"""


def test_a_theme_of_one_category_bears_its_title_and_one_of_several_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    names = themes(load_policy(path))
    assert (names["bypass"], names["sexual"], names["grooming"]) == ("Ways around the filter", "Sexual", "Grooming")
    assert names["school"] == "Closed by the school"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("ann", "ann"), ("user:ann", "ann"), ("address:10.0.0.7", "somebody at 10.0.0.7"), ("address:fd00::7", "somebody at fd00::7"),
        ("token:monitoring", "the program monitoring"), ("os:root", "root (command line)"), ("gateway", "gateway"), ("odd:one", "odd:one"),
    ],
)  # fmt: skip
def test_somebody_who_acted_is_named_in_words(written: str, shown: str) -> None:
    assert who(written) == shown


def test_moments_are_shown_in_the_schools_time_however_they_are_given() -> None:
    london = ZoneInfo("Europe/London")
    assert clock("2026-06-30T23:30:05Z", london) == clock(1782862205, london) == "1 Jul 2026, 00:30:05"
    assert day("2026-06-30T23:30:05Z", london) == "1 Jul 2026"
