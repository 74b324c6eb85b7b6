"""Paths that are one page to one server and another to the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import UrlError, canonicalise
from rules.explain import question
from rules.request import climbs
from rules.ruleset import Ruleset


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/a/..", "/a%2f..%2fb", "/a/%2e%2e/b", "/a/.%2E/b", "/a%252f%252e%252e%252fb", "/a%25%32%66..%2fb", "/a\\..\\b",
     "/a/..%5cb", "/a/..;/b", "/a/..;x=1/b", "/a/%2e%2e%3b/b", "/%" + "25" * 2000 + "2e./b"],
)  # fmt: skip
def test_hidden_and_plain_ways_up_are_found(path: str) -> None:
    assert climbs(path)


@pytest.mark.parametrize(
    "path", ["/", "*", "/a..b", "/..a", "/a../b", "/...", "/a/./b", "/caf%C3%A9%20..x", "/%25", "/a%2fb", "/%5C", "/100%..5"]
)
def test_other_dots_lead_nowhere(path: str) -> None:
    assert not climbs(path)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "%2e", "%2f", "%5c", "%25", "2e", "2f", ";", "/", "\\"]), max_size=12))
def test_what_does_not_climb_is_judged_below_where_it_begins(parts: list[str]) -> None:
    """The start of an address is what folders, grants and allow entries are compared with."""
    path = "/start/" + "".join(parts)
    try:
        judged = canonicalise(f"http://host.test{path}").path
    except UrlError:
        return
    if not climbs(path):
        assert judged == "/start" or judged.startswith("/start/")


def test_explain_refuses_what_the_gateway_refuses(school: Ruleset) -> None:
    with pytest.raises(ValueError, match="refuses"):
        question("http://host.test/secret%2f..%2flesson", school)
    # A browser resolves what stands there plainly, before it asks.
    assert question("http://host.test/secret/../lesson", school).url.path == "/lesson"
