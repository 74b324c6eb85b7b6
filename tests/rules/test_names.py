"""Several names for one request, and grants that would reach further than they were given for."""

import msgspec
import pytest

from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from rules.decide import decide
from rules.decision import Action, Decision, Reason
from rules.forms import typed_texts
from rules.policy import parse_policy
from rules.request import Destination, Request, TypedText
from rules.ruleset import Ruleset
from rules.searches import SearchEngines
from rules.state import Grant, State

NOW = 1_790_000_000.0
POLICY = """
version = 1
[school]
name = "Canal Road"
[groups.pupils]
title = "Pupils"
default = "warn"
[[deny]]
entries = ["games.site.test", "site.test/closed"]
[[allow]]
entries = ["quiet.site.test"]
"""
BAD = "how to kill myself tonight"


@pytest.fixture(scope="module")
def small(sealed: SealedLists) -> Ruleset:
    return Ruleset.of(parse_policy(POLICY, "policy.toml"), sealed)


def decided(ruleset: Ruleset, url: str, *claimed: str, state: State | None = None, **rest: object) -> Decision:
    request = Request(canonicalise(url), ruleset.policy.identify("10.0.0.1"), NOW, claimed_hosts=claimed)
    return decide(msgspec.structs.replace(request, **rest), ruleset, state or State())


def grant(host: str, target: str = "/", scope: str = "host", lifts: str = "block") -> Grant:
    return Grant("g", scope, host, target, "address", "10.0.0.1", NOW - 1, NOW + 1, lifts)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [("www.site.test", "games.site.test"), ("games.site.test", "www.site.test")])
def test_a_closed_host_stays_closed_under_the_name_of_its_sister(small: Ruleset, names: tuple[str, str]) -> None:
    decision = decided(small, f"https://{names[0]}/", names[1])
    assert (decision.action, decision.reason) == (Action.BLOCK, Reason.SCHOOL_DENY)


def test_a_closed_folder_stays_closed_under_the_name_of_another_host(small: Ruleset) -> None:
    assert decided(small, "https://www.site.test/closed/x", "site.test").reason is Reason.SCHOOL_DENY


def test_a_sealed_page_stays_sealed_under_the_name_of_its_sister(small: Ruleset) -> None:
    decision = decided(small, "http://www.sealed-pages.test/one/page.html", "sealed-pages.test")
    assert decision.sealed


def test_an_allowed_host_opens_no_sister_of_it(small: Ruleset) -> None:
    assert decided(small, "https://quiet.site.test/").reason is Reason.SCHOOL_ALLOW
    assert decided(small, "https://quiet.site.test/", "loud.site.test").reason is Reason.DEFAULT


def test_a_grant_opens_no_sister_of_its_host(small: Ruleset) -> None:
    state = State.of([grant("games.site.test")])
    assert decided(small, "https://games.site.test/", state=state).reason is Reason.GRANT
    assert decided(small, "https://games.site.test/", "www.site.test", state=state).reason is Reason.SCHOOL_DENY


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "console.school.test"])
def test_our_own_host_under_another_name_is_not_our_own_host(small: Ruleset, name: str) -> None:
    assert decided(small, "http://schoolgate.internal/help").reason is Reason.OWN_HOST
    assert decided(small, "http://schoolgate.internal/alerts", name).action is Action.BLOCK


def test_going_on_past_a_warning_lifts_neither_deny_entries_nor_words(small: Ruleset) -> None:
    state = State.of([grant("site.test", lifts="warn")])
    assert decided(small, "https://site.test/", state=state).reason is Reason.GRANT
    assert decided(small, "https://site.test/closed", state=state).reason is Reason.SCHOOL_DENY
    assert decided(small, "https://games.site.test/", state=state).reason is Reason.SCHOOL_DENY
    assert decided(small, "https://site.test/", state=state, typed=(TypedText(BAD),)).reason is Reason.TYPED_TEXT


def test_parts_of_an_opened_page_load_from_closed_hosts(small: Ruleset) -> None:
    state, page = State.of([grant("lesson.test")]), canonicalise("https://lesson.test/")
    part = decided(small, "https://games.site.test/x.png", state=state, referrer=page, destination=Destination.SUBRESOURCE)
    assert part.reason is Reason.GRANT


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("&".join(f"f{number}=word" for number in range(3000)) + f"&q={BAD}", "application/x-www-form-urlencoded"),
        (f"author={BAD}", "application/x-www-form-urlencoded"),
        (f"postcard={BAD}", "application/x-www-form-urlencoded"),
        ("q=" + "".join(f"%{byte:02x}" for byte in BAD.encode("utf-16-le")), "application/x-www-form-urlencoded"),
        (f"q={BAD}", ""),
        (BAD, ""),
        (f'{{"q": "{BAD}"}}', ""),
        (f"<q>{BAD}</q>", "application/xml"),
        (f"<q>{BAD}</q>", "text/html"),
        (f'{{"q": "{BAD}"}}\n{{"q": "x"}}', "application/x-ndjson"),
        ("[" * 300 + f'"{BAD}"' + "]" * 300, "application/json"),
        ('{"q": "' + "".join(f"\\u{ord(letter):04x}" for letter in BAD) + '",}', "application/json"),
        (f'{{"{BAD}": 1}}', "application/json"),
        (f"--X\r\nContent-Disposition: form-data; name=q\r\n\r\n{BAD}\r\n--X--", "multipart/form-data; boundary=X"),
        (f"--X\nContent-Disposition: form-data; name=q\n\n{BAD}\n--X--", "multipart/form-data; boundary=X"),
        (f'--X\r\nContent-Disposition: form-data; name="; filename=x"\r\n\r\n{BAD}\r\n--X--', "multipart/form-data; boundary=X"),
        (f'--X Y\r\nContent-Disposition: form-data; name="q"\r\n\r\n{BAD}\r\n--X Y--', 'multipart/form-data; boundary="X Y"'),
    ],
)
def test_words_are_found_wherever_a_body_hides_them(body: str, kind: str) -> None:
    assert any(BAD in typed.text for typed in typed_texts(body.encode(), kind))


@pytest.mark.parametrize("kind", ["application/json; charset=utf-16", "text/plain;charset=UTF-16"])
def test_bodies_in_utf_16_are_read(kind: str) -> None:
    body = (f'{{"q": "{BAD}"}}' if "json" in kind else BAD).encode("utf-16")
    assert [typed.text for typed in typed_texts(body, kind)] == [BAD]


def test_text_of_a_body_can_always_be_written_down() -> None:
    (typed,) = typed_texts(f'{{"q": "\\ud800 {BAD}",}}'.encode(), "application/json")
    typed.text.encode("utf-8")


def test_a_search_behind_many_fields_is_read() -> None:
    url = canonicalise("https://www.google.com/search?" + "&".join(f"a{number}=1" for number in range(900)) + "&q=volcano")
    term = SearchEngines.load().term_of(url)
    assert term is not None
    assert term.text == "volcano"
