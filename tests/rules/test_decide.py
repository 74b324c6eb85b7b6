"""The decision: its order, and what can never be reached around it."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklists.sealed import SealedLists
from blocklists.url import CanonicalUrl, UrlError, canonicalise
from rules.decide import STEPS, decide, explain
from rules.decision import Action, Reason
from rules.explain import SEALED_URL, explained, question
from rules.policy import parse_policy
from rules.request import Destination, Request, TypedText
from rules.ruleset import Ruleset, RulesetError
from rules.state import Grant, Scope, State

Ask = Callable[..., Request]
SEALED_URLS = [
    "http://sealed.test/",
    "https://a.iwf.sealed-test.test/x",
    "https://sealed-pages.test/folder/a/b",
    "http://sealed-pages.test/one/page.html",
]
NOW = 1_790_000_000.0

hosts = st.sampled_from(
    [
        "sealed.test",
        "iwf.sealed-test.test",
        "sealed-pages.test",
        "example.org",
        "www.example.org",
        "google.co.uk",
        "childline.org.uk",
        "127.0.0.1",
        "10.0.0.5",
        "8.8.8.8",
        "[::1]",
        "localhost",
        "printer",
        "schoolgate.internal",
        "x.internal",
    ]
)
paths = st.sampled_from(
    ["/", "/folder/", "/folder/x", "/one/page.html", "/query?id=1", "/search?q=kill+myself", "/search?q=volcano", "/a/../folder/x"]
)
urls = st.builds(
    lambda scheme, host, port, path: canonicalise(f"{scheme}://{host}{port}{path}"),
    st.sampled_from(["http", "https"]),
    hosts,
    st.sampled_from(["", ":8080", ":22"]),
    paths,
)
groups = st.sampled_from(["ks1", "ks2", "guest", "staff", "no-such-group"])


def grant_of(number: int, scope: Scope, host: str, target: str, kind: str, subject: str, starts: float, until: float, lifts: str) -> Grant:
    return Grant(f"g{number}", scope, host, target, kind, subject, starts, until, lifts)  # type: ignore[arg-type]


grant_values = st.builds(
    grant_of,
    st.integers(0, 9),
    st.sampled_from(["exact", "path", "host"]),
    hosts,
    st.sampled_from(["/", "/folder/", "/folder", "/one/page.html", "/query?id=1", "/search?q=volcano"]),
    st.sampled_from(["user", "group", "room", "address"]),
    st.sampled_from(["ann", "ks1", "staff", "10.0.0.1", "Office"]),
    st.floats(NOW - 7200, NOW + 3600),
    st.floats(NOW - 3600, NOW + 7200),
    st.sampled_from(["block", "warn"]),
)


def requests_for(
    addresses: st.SearchStrategy[CanonicalUrl], claimed: st.SearchStrategy[tuple[str, ...]]
) -> st.SearchStrategy[tuple[object, ...]]:
    """Return what `request_of` makes a request of, for some addresses and some hosts that are claimed beside them."""
    return st.tuples(
        addresses,
        st.sampled_from([None, "ann"]),
        groups,
        st.floats(NOW - 7200, NOW + 7200),
        st.sampled_from(Destination),
        st.none() | urls,
        claimed,
        st.lists(st.sampled_from(["kill myself", "volcano", "porn", ""]), max_size=2).map(lambda texts: tuple(map(TypedText, texts))),
        st.sampled_from([None, "", "porn porn xxx hentai milf xvideos", "a quiet page"]),
        st.sampled_from(["GET", "POST", "CONNECT"]),
    )


requests = requests_for(urls, st.lists(hosts, max_size=2).map(tuple))
sealed_hosts = st.sampled_from(["sealed.test", "iwf.sealed-test.test", "a.b.ctiru.sealed-test.test"])
sealed_requests = st.one_of(
    requests_for(st.sampled_from([canonicalise(text) for text in SEALED_URLS]), st.lists(hosts, max_size=2).map(tuple)),
    requests_for(
        urls,
        st.tuples(st.lists(hosts, max_size=1), sealed_hosts).map(lambda parts: (*parts[0], parts[1])),
    ),
)


def request_of(ruleset: Ruleset, values: tuple[object, ...]) -> Request:
    url, user, group, at, destination, referrer, claimed, words, page, method = values
    subject = ruleset.policy.identify("10.0.0.1", user, group)  # type: ignore[arg-type]
    return Request(url, subject, at, method, destination, referrer, claimed, words, page)  # type: ignore[arg-type]


@given(requests, st.lists(grant_values, max_size=6))
def test_explain_says_what_decide_does(school: Ruleset, values: tuple[object, ...], grants: list[Grant]) -> None:
    request, state = request_of(school, values), State.of(grants)
    decision = decide(request, school, state)
    explained_decision, answers = explain(request, school, state)
    assert explained_decision == decision
    assert sum(answer.decided for answer in answers) == 1
    shown = explained(request.url.text, request, school, state)
    assert (shown["action"], shown["reason"], shown["category"], shown["rule"]) == (
        decision.action,
        decision.reason,
        decision.category,
        decision.rule,
    )
    assert len(shown["steps"]) == len(STEPS) + 1


@given(sealed_requests, st.lists(grant_values, max_size=6))
def test_sealed_addresses_are_blocked_whatever_is_granted(school: Ruleset, values: tuple[object, ...], grants: list[Grant]) -> None:
    request = request_of(school, values)
    decision = decide(request, school, State.of(grants))
    assert (decision.action, decision.reason) == (Action.BLOCK, Reason.SEALED_LIST)


entry_texts = st.sampled_from(
    [
        "sealed.test",
        "iwf.sealed-test.test",
        "sealed-pages.test",
        "sealed-pages.test/folder",
        "http://sealed-pages.test/query?id=1",
        "*.sealed-test.test",
    ]
)


# The first example compiles the phrases of the starter sets.
@settings(deadline=None)
@given(
    st.lists(entry_texts, min_size=1, max_size=4),
    st.sampled_from(["allow", "log"]),
    st.booleans(),
    st.sampled_from(SEALED_URLS),
    st.lists(grant_values, max_size=4),
    st.sampled_from(["sealed.test", "sealed-pages.test", "schoolgate.internal", "iwf.sealed-test.test"]),
)
def test_no_policy_opens_a_sealed_address(
    sealed: SealedLists, entries: list[str], action: str, pages: bool, address: str, grants: list[Grant], spliced: str
) -> None:
    quoted = ", ".join(f'"{entry}"' for entry in entries)
    policy = parse_policy(
        f'[gateway]\nsplice = ["{spliced}"]\nprivate_targets = ["{spliced}"]\n'
        f'[gateway.hosts]\n"{spliced}" = "10.0.0.9"\n[text]\npages = {str(pages).lower()}\n'
        f'[categories.illegal]\n[groups.staff]\ndefault = "{action}"\nother_categories = "{action}"\nactions = {{ illegal = "allow" }}\n'
        f"[[allow]]\nentries = [{quoted}]\n"
    )
    ruleset = Ruleset.of(policy, sealed)
    for group in ("staff", "elsewhere"):
        request = Request(canonicalise(address), policy.identify("10.0.0.1", "ann", group), NOW)
        assert decide(request, ruleset, State.of(grants)).reason is Reason.SEALED_LIST


def test_own_host_can_not_be_set_to_a_sealed_address(sealed: SealedLists) -> None:
    policy = parse_policy('[gateway]\nown_host = "sealed.test"\n[groups.a]\n')
    with pytest.raises(RulesetError, match="own_host"):
        Ruleset.of(policy, sealed)


@given(requests, st.lists(grant_values, max_size=6))
def test_grants_never_hold_outside_their_time(school: Ruleset, values: tuple[object, ...], grants: list[Grant]) -> None:
    request = request_of(school, values)
    decision = decide(request, school, State.of(grants))
    if decision.grant is not None:
        assert any(grant.id == decision.grant and grant.starts <= request.at < grant.until and grant.holds_for(request) for grant in grants)
    over = State.of([grant for grant in grants if grant.until <= request.at or request.at < grant.starts])
    assert decide(request, school, over) == decide(request, school, State())


@given(st.text(max_size=60), groups)
def test_any_readable_address_gets_a_decision(school: Ruleset, text: str, group: str) -> None:
    try:
        url: CanonicalUrl = canonicalise(text)
    except UrlError:
        return
    assert decide(Request(url, school.policy.identify("10.0.0.1", "x", group), NOW), school, State()) is not None


@pytest.mark.parametrize(
    ("url", "rest", "reason"),
    [
        ("http://schoolgate.internal/help", {}, Reason.OWN_HOST),
        ("http://example.org:22/", {}, Reason.UNSAFE_PORT),
        ("https://example.org:8080/", {"method": "CONNECT"}, Reason.UNSAFE_PORT),
        ("http://127.0.0.1/", {}, Reason.PRIVATE_ADDRESS),
        ("http://0x7f.1/", {}, Reason.PRIVATE_ADDRESS),
        ("http://[::1]/", {}, Reason.PRIVATE_ADDRESS),
        ("http://[::ffff:10.0.0.1]/", {}, Reason.PRIVATE_ADDRESS),
        ("http://169.254.169.254/latest", {}, Reason.PRIVATE_ADDRESS),
        ("http://100.64.0.1/", {}, Reason.PRIVATE_ADDRESS),
        ("http://localhost/", {}, Reason.PRIVATE_ADDRESS),
        ("http://printer/", {}, Reason.PRIVATE_ADDRESS),
        ("http://nas.local/", {}, Reason.PRIVATE_ADDRESS),
        ("http://8.8.8.8/", {}, Reason.ADDRESS_LITERAL),
        ("https://example.org/", {"claimed_hosts": ("other.example",)}, Reason.HOST_MISMATCH),
        ("https://example.org/", {"claimed_hosts": ("www.example.org", "example.org")}, Reason.DEFAULT),
        ("https://childline.org.uk/", {}, Reason.SCHOOL_ALLOW),
        ("https://childline.org.uk/", {"typed": "kill myself"}, Reason.SCHOOL_ALLOW),
        ("https://example.org/", {"typed": "how to kill myself"}, Reason.TYPED_TEXT),
        ("https://example.org/", {"page_text": "porn porn xxx hentai milf xvideos pornhub"}, Reason.PAGE_TEXT),
        ("https://example.org/", {}, Reason.DEFAULT),
    ],
)
def test_reason_of(ask: Ask, school: Ruleset, url: str, rest: dict[str, object], reason: Reason) -> None:
    assert decide(ask(url, **rest), school, State()).reason is reason


def test_named_private_targets_are_reachable(sealed: SealedLists) -> None:
    policy = parse_policy(
        '[gateway]\nprivate_targets = ["10.1.0.0/16", "library.lan"]\nnumeric_targets = ["8.8.8.0/24"]\n'
        '[gateway.hosts]\n"map.internal" = "10.9.9.9"\n[groups.a]\n'
    )
    ruleset = Ruleset.of(policy, sealed)
    for url in ("http://10.1.2.3/", "http://www.library.lan/", "http://8.8.8.8/", "http://map.internal/"):
        assert decide(Request(canonicalise(url), policy.identify("10.0.0.1"), NOW), ruleset, State()).reason is Reason.DEFAULT
    assert policy.safety.permits_address("www.library.lan", "192.168.1.1")
    assert policy.safety.permits_address("anything.example", "10.1.9.9")
    assert policy.safety.permits_address("anything.example", "93.184.216.34")
    for address in (
        "192.168.1.1",
        "127.0.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:192.168.1.1",
        "64:ff9b::c0a8:101",
        "2002:c0a8:101::",
        "224.0.0.1",
        "0.0.0.0",
        "nonsense",
    ):
        assert not policy.safety.permits_address("anything.example", address), address


def test_grant_opens_a_page_and_its_parts_but_not_the_other_site(school: Ruleset, ask: Ask) -> None:
    grant = Grant("g", "host", "blocked.example", "/", "group", "ks1", NOW, NOW + 60)
    state = State.of([grant])
    part = ask(
        "https://cdn.example/a.js", at=NOW, destination=Destination.SUBRESOURCE, referrer=canonicalise("https://www.blocked.example/")
    )
    typed = ask("https://cdn.example/a.js", at=NOW, destination=Destination.DOCUMENT, referrer=canonicalise("https://www.blocked.example/"))
    assert decide(part, school, state).reason is Reason.GRANT
    assert decide(typed, school, state).reason is not Reason.GRANT
    assert decide(ask("https://www.blocked.example/", at=NOW + 60), school, state).reason is not Reason.GRANT


def test_grave_words_keep_their_level_on_a_page_that_was_opened_for_a_while(school: Ruleset) -> None:
    state = State.of([Grant("g", "host", "www.google.co.uk", "/", "group", "ks2", NOW, NOW + 60)])
    request = question("https://www.google.co.uk/search?q=how+to+kill+myself", school, group="ks2", at=NOW)
    decision = decide(request, school, state)
    assert (decision.reason, decision.action, decision.category, decision.level) == (Reason.GRANT, Action.LOG, "suicide", 5)
    assert decision.matches


def test_question_reads_search_terms_and_names_unknown_groups(school: Ruleset) -> None:
    request = question("https://www.google.co.uk/search?q=how+to+kill+myself", school, group="ks2", at=NOW)
    shown = explained("x", request, school, State())
    assert (shown["action"], shown["category"], shown["level"]) == ("block", "suicide", 5)
    with pytest.raises(ValueError, match="The groups are: ks1"):
        question("http://example.org/", school, group="ks9")


def test_explanation_of_a_sealed_address_does_not_repeat_it(school: Ruleset) -> None:
    shown = explained(SEALED_URLS[0], question(SEALED_URLS[0], school), school, State())
    assert shown["url"] == SEALED_URL
    assert "sealed.test" not in str(shown)


@pytest.mark.parametrize(
    ("scope", "target", "path", "covered"),
    [
        ("exact", "/a?x=1&y=2", "/a?x=1&y=2", True),
        ("exact", "/a?x=1&y=2", "/a?x=1%26y=2", False),
        ("exact", "/a?x=1%26y=2", "/a?x=1%26y=2", True),
        ("exact", "/a?x=1%26y=2", "/a?x=1&y=2", False),
        ("exact", "/a?x=%2B1", "/a?x=%2B1", True),
        ("exact", "/a?x=1", "/a?x=1&", False),
        ("exact", "/a", "/a", True),
        ("path", "/canals", "/canals/1", True),
        ("path", "/canals", "/canals/..;/secret", False),
        ("path", "/canals", "/canals/x%5C..%5csecret", False),
    ],
)
def test_a_grant_covers_no_address_that_a_site_may_read_as_another(scope: Scope, target: str, path: str, covered: bool) -> None:
    grant = Grant("g", scope, "example.org", target, "group", "pupils", 0, 9e9)
    assert grant.covers(canonicalise("https://example.org" + path)) is covered
