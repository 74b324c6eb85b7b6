"""Help sites and curriculum hosts: which addresses lower a match, by how much, and that a level 5 is never hidden."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import canonicalise
from rules.curriculum import STARTER_FILE, CurriculumHosts, lowered, lowers_at, starter_hosts


@pytest.mark.parametrize(
    ("url", "levels"),
    [
        ("https://www.childline.org.uk/info-advice/", 2),
        ("https://childline.org.uk./", 2),
        ("https://www.nhs.uk/mental-health/", 2),
        ("https://en.wikipedia.org/wiki/Suicide", 1),
        ("https://www.bbc.co.uk/bitesize/topics/z7vs34j", 1),
        ("https://www.bbc.co.uk/BITESIZE", 1),
        ("https://www.gov.uk/government/publications", 1),
        ("https://www.leeds.gov.uk/", 1),
        ("https://www.bbc.co.uk/bitesizes", 0),
        ("https://www.bbc.co.uk/sounds", 0),
        ("https://notnhs.uk/", 0),
        ("https://nhs.uk.example.com/", 0),
        ("https://wikipedia.org.evil.test/", 0),
        ("https://www.example.org/childline.org.uk", 0),
        ("http://10.0.0.1/", 0),
        ("http://localhost/", 0),
    ],
)
def test_the_host_and_its_subdomains_lower_and_lookalikes_do_not(url: str, levels: int) -> None:
    assert lowers_at(canonicalise(url)) == levels


def test_of_several_entries_for_an_address_the_one_that_lowers_most_counts() -> None:
    hosts = CurriculumHosts([("example.org", 1), ("help.example.org", 3), ("example.org/help", 2)])
    assert [hosts.lowers_at(canonicalise(f"https://{at}")) for at in ("example.org/", "a.help.example.org/", "example.org/help/x")] == [
        1,
        3,
        2,
    ]


def test_the_list_names_no_host_twice_and_every_group_says_where_it_comes_from() -> None:
    lines = STARTER_FILE.read_text(encoding="utf-8").splitlines()
    entries = [line.split()[1] for line in lines if line and not line.startswith("#")]
    assert len(entries) == len(set(entries)) == len(starter_hosts())
    blocks = STARTER_FILE.read_text(encoding="utf-8").split("\n\n")
    assert all(block.startswith("#") for block in blocks)


@pytest.mark.parametrize("line", ["childline.org.uk", "9 nhs.uk", "0 nhs.uk", "2 NHS UK", "2 nhs", "2", "two nhs.uk", "² nhs.uk", "1 -/x"])
def test_a_line_that_says_nothing_is_refused_with_its_place(tmp_path, line: str) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text(f"# ours\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"hosts\.txt:2: write a number from 1 to 3"):
        CurriculumHosts.load(path)


def test_a_list_that_is_not_text_is_refused(tmp_path) -> None:
    (tmp_path / "hosts.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="can't be read"):
        CurriculumHosts.load(tmp_path / "hosts.txt")


@given(st.integers(0, 5), st.integers(0, 9))
def test_lowering_never_raises_never_drops_to_nothing_and_never_hides_a_level_five(level: int, levels: int) -> None:
    less = lowered(level, levels)
    assert min(level, 1) <= less <= level
    assert level < 5 or less >= 4
    assert levels > 0 or less == level
