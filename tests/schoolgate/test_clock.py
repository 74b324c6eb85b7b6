"""Times on the command line are the school's own, with the name of their zone."""

from pathlib import Path

import pytest

from schoolgate import wiring


@pytest.mark.parametrize(
    ("policy", "moment", "text"),
    [
        ('[school]\ntimezone = "Europe/London"\n', "2026-07-01T09:30:00+00:00", "1 Jul 2026, 10:30 BST"),
        ('[school]\ntimezone = "Europe/London"\n', 1_795_341_600.0, "22 Nov 2026, 10:00 GMT"),
        ('[school]\ntimezone = "Europe/Paris"\n', "2026-11-22T10:00:00+00:00", "22 Nov 2026, 11:00 CET"),
        ('[school]\ntimezone = "Nowhere/At-all"\n', "2026-07-01T09:30:00+00:00", "1 Jul 2026, 10:30 BST"),
        ("this is no policy", "2026-07-01T09:30:00+00:00", "1 Jul 2026, 10:30 BST"),
        ("", None, ""),
    ],
)
def test_a_moment_is_written_in_the_policys_zone_and_a_wrong_policy_is_no_hindrance(
    tmp_path: Path, policy: str, moment: float | str | None, text: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy)
    assert wiring.clock(path)(moment) == text
    assert wiring.clock(tmp_path / "absent.toml")("") == ""
