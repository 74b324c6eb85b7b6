"""What holds for every route: host names, cross-site changes, sizes, headers, errors, signing in."""

import contextlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyser.casework import accounts, signins
from analyser.casework.people import Actor
from api import passwords
from api.hosts import Door, door_of
from api.limits import AttemptLimit
from api.pages.sign_in import local_path
from api.subject import read_subject
from api.v1.numbers import suppressed


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "schoolgate.internal.evil.example", ""])
def test_an_unknown_host_name_is_refused(world: Any, host: str) -> None:
    with world.client("administrator", Host=host) as client:
        assert client.get("/api/v1/me").status_code in (400, 421)


@pytest.mark.parametrize("path", ["/", "/help", "/ca.crt", "/proxy.pac", "/unblock", "/static/console.css"])
def test_the_own_host_serves_its_public_pages(world: Any, path: str) -> None:
    with world.client(Host="schoolgate.internal") as client:
        assert client.get(path).status_code in (200, 303)


@pytest.mark.parametrize("path", ["/api/v1/me", "/sign-in", "/alerts", "/health", "/helpx", "//api/v1/me", "/static/../api/v1/me"])
def test_the_own_host_serves_nothing_of_the_console(world: Any, path: str) -> None:
    with world.client("administrator", Host="schoolgate.internal") as client:
        assert client.get(path).status_code == 404


def test_the_certificate_is_a_pem_download(world: Any) -> None:
    with world.client(Host="schoolgate.internal") as client:
        answer = client.get("/ca.crt")
    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")
    assert answer.headers["content-type"] == "application/x-x509-ca-cert"
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 303), ({}, 303),
    ],
)  # fmt: skip
def test_a_change_asked_for_by_another_site_is_refused(world: Any, headers: dict[str, str], status: int) -> None:
    with contextlib.closing(world.browser("dsl")[0]) as browser:
        assert browser.post("/sign-out", headers=headers).status_code == status


def test_a_large_body_is_refused_announced_or_not(world: Any) -> None:
    with world.client("teacher") as client:
        assert client.post("/api/v1/unblock-requests", content=b"x" * 100_000).status_code == 413
        assert client.post("/api/v1/unblock-requests", content=iter([b"x" * 40_000] * 3)).status_code == 413


def test_every_answer_carries_careful_headers(world: Any) -> None:
    with world.client("dsl") as client:
        for path in ("/sign-in", "/api/v1/me", "/nothing", "/api/v1/alerts"):
            headers = client.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'self'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/me", 405), ("GET", "/api/v1/alerts?limit=x", 422)]
)
def test_errors_are_one_sentence_of_json(world: Any, method: str, path: str, status: int) -> None:
    with world.client("dsl") as client:
        answer = client.request(method, path)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


def test_a_one_time_link_sets_a_password_once_and_the_person_signs_in(world: Any) -> None:
    tester = Actor("os", "tester")
    with world.analyser.casework.session() as session:
        account = accounts.add(session, tester, "new.head", role="headteacher")
        secret = signins.make_link(session, tester, account)
    with world.client(accept="text/html") as browser:
        page = f"/set-password/{secret}"
        assert "new.head" in browser.get(page).text
        for weak in ("short", "password1234", "123412341234", "qwertyuiop12"):
            assert browser.post(page, data={"password": weak, "again": weak}).status_code == 422
        assert browser.post(page, data={"password": "green lamp over hill", "again": "other"}).status_code == 422
        assert browser.post(page, data={"password": "green lamp over hill", "again": "green lamp over hill"}).status_code == 303
        assert browser.get(page).status_code == 410
        answer = browser.post("/sign-in", data={"name": "new.head", "password": "green lamp over hill"})
        assert answer.status_code == 303
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert browser.get("/alerts").status_code == 200
        browser.post("/sign-out")
        assert browser.get("/alerts").headers["location"].startswith("/sign-in")


def test_ten_wrong_guesses_lock_an_account(world: Any) -> None:
    name = world.account("dsl")
    with world.client() as browser:
        codes = [browser.post("/sign-in", data={"name": name, "password": "wrong guess"}).status_code for _ in range(11)]
        assert codes == [401] * 10 + [429]
        assert browser.post("/sign-in", data={"name": name, "password": "four dull green lamps"}).status_code == 429


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nb", ""])
def test_signing_in_never_leads_to_another_site(path: str) -> None:
    assert local_path(path) == "/"


@settings(deadline=None)
@given(st.text())
def test_a_strange_host_header_is_never_an_error(text: str) -> None:
    assert isinstance(door_of(text, frozenset({"schoolgate.internal"}), frozenset()), Door)


@settings(deadline=None)
@given(st.text())
def test_a_strange_subject_header_is_nobody(text: str) -> None:
    assert read_subject(text, b"key", 0.0) is None


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_password_gets_an_answer(password: str, name: str) -> None:
    fault = passwords.fault_of(password, name)
    assert fault is None or (len(password) >= passwords.LEAST) or "12" in fault


def test_ordinary_long_passwords_are_accepted() -> None:
    for password in ("green lamp over hill", "correct staple horse 9", "Mxq-77-plum-boat", "naan bread at midnight"):
        assert passwords.fault_of(password, "ann") is None


def test_attempts_are_counted_in_a_moving_window_for_few_keys() -> None:
    limit = AttemptLimit(2, 10, keys=2)
    assert [limit.wait_for("a", now=0), limit.wait_for("a", now=1), limit.wait_for("a", now=2)] == [0, 0, 8]
    assert limit.wait_for("a", now=10.5) == 0
    limit.wait_for("b", now=11)
    limit.wait_for("c", now=11)
    assert len(limit._seen) == 2


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30)))
def test_no_small_count_is_shown_or_can_be_worked_out_from_the_sum(counts: dict[str, int]) -> None:
    shown = suppressed(Counter(counts))
    assert all(count is None or count >= 5 for count in shown.values())
    assert len([count for count in shown.values() if count is None]) != 1 or len(shown) == 1


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(world: Any) -> None:
    world.server._app.state.console.token_limit = AttemptLimit(10, 60)
    with world.client() as stranger, world.client("dsl") as dsl:
        codes = [stranger.get("/api/v1/me", headers={"Authorization": f"Bearer sgt_{n}"}).status_code for n in range(12)]
        assert codes == [401] * 10 + [429] * 2
        assert dsl.get("/api/v1/me").status_code == 200
    world.server._app.state.console.token_limit = AttemptLimit(10, 60)


def test_an_answer_never_repeats_what_was_typed(world: Any) -> None:
    secret = "planted-secret-value"
    with world.client("dsl") as dsl, world.client(accept="text/html") as page:
        answers = [
            dsl.post("/api/v1/unblock-requests", json={"url": [secret], "reason": {"x": secret}, "minutes": secret}),
            dsl.post("/api/v1/unblock-requests", content=f'{{"reason": "{secret}'),
            dsl.get("/api/v1/alerts", params={"limit": secret, "status": secret}),
            page.post("/sign-in", data={"name": "x", "password": secret * 60}),
            page.post("/sign-in", data={"password": secret}),
        ]
    for answer in answers:
        assert answer.status_code == 422
        assert secret not in answer.text


def test_signing_in_gives_a_new_cookie_and_ends_the_old_one(world: Any) -> None:
    browser, name = world.browser("dsl")
    with contextlib.closing(browser):
        old = browser.cookies["schoolgate"]
        browser.post("/sign-in", data={"name": name, "password": "four dull green lamps"})
        assert browser.cookies["schoolgate"] != old
    with world.client(Cookie=f"schoolgate={old}") as thief:
        assert thief.get("/api/v1/me").status_code == 401
