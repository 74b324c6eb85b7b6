"""A teacher needs one blocked page for one lesson."""

import time

import pytest

from .harness import Gateway, pretty, wait_for

pytestmark = pytest.mark.e2e


def ask(gateway: Gateway, host: str, path: str = "/", **changes: object) -> int:
    """Ask, as a teacher, for a page to be opened for the group that curl falls in; return the request's number."""
    body = {
        "url": gateway.url(host, path),
        "scope": "path",
        "for": {"group": "pupils"},
        "reason": "Lesson on canals",
        "minutes": 5,
        **changes,
    }
    answer = gateway.api("POST", "/api/v1/unblock-requests", role="teacher", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def status(gateway: Gateway, host: str, path: str = "/", *options: str) -> int:
    """Status code that a pupil gets."""
    return gateway.curl(gateway.url(host, path), *options).status


def test_a_second_person_opens_it_within_a_second_and_its_end_closes_it(gateway: Gateway) -> None:
    """Asked, approved, open; ended, closed: each in under a second."""
    assert status(gateway, "lesson.test", "/canals/1") == 403
    number = ask(gateway, "lesson.test", "/canals")
    assert status(gateway, "lesson.test", "/canals/1") == 403
    approved = gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", role="dsl", json={})
    assert approved.status_code == 200, approved.text
    wait_for("the page to open", lambda: status(gateway, "lesson.test", "/canals/1") == 200, 1.5)
    assert status(gateway, "lesson.test", "/other") == 403, "only the path that was asked for"
    grant = approved.json()["grant"]["id"]
    assert gateway.api("DELETE", f"/api/v1/grants/{grant}", role="dsl").status_code in (200, 204)
    wait_for("the page to close", lambda: status(gateway, "lesson.test", "/canals/1") == 403, 1.5)


def test_the_one_who_asks_cannot_approve(gateway: Gateway) -> None:
    """One account can't do it through any route."""
    body = {"url": gateway.url("lesson.test", "/mine"), "scope": "host", "for": {"group": "pupils"}, "reason": "x", "minutes": 5}
    number = gateway.api("POST", "/api/v1/unblock-requests", role="dsl", json=body).json()["id"]
    answer = gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", role="dsl", json={})
    assert answer.status_code in (403, 409), answer.text
    assert status(gateway, "lesson.test", "/mine") == 403


def test_longer_than_the_policy_allows_is_refused(gateway: Gateway) -> None:
    """A hard maximum from the policy."""
    body = {"url": gateway.url("lesson.test"), "scope": "host", "for": {"group": "pupils"}, "reason": "x", "minutes": 60 * 24 * 30}
    answer = gateway.api("POST", "/api/v1/unblock-requests", role="teacher", json=body)
    assert answer.status_code in (400, 409, 422), answer.text


def test_a_sealed_page_can_not_be_asked_for(gateway: Gateway) -> None:
    """No grant reaches an illegal-content list, and the answer doesn't say that it is one."""
    body = {"url": gateway.url("iwf.sealed.test"), "scope": "host", "for": {"group": "pupils"}, "reason": "x", "minutes": 5}
    answer = gateway.api("POST", "/api/v1/unblock-requests", role="teacher", json=body)
    if answer.status_code == 201:
        answer = gateway.api("POST", f"/api/v1/unblock-requests/{answer.json()['id']}/approve", role="dsl", json={})
    assert answer.status_code in (400, 403, 409, 422), answer.text
    assert status(gateway, "iwf.sealed.test") == 403


def test_parts_of_the_granted_page_load_while_typing_their_host_stays_blocked(gateway: Gateway) -> None:
    """Images and scripts on another blocked host come along; that host's own pages don't."""
    number = ask(gateway, "blocked.test", "/with-parts", scope="exact")
    answer = gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", role="dsl", json={})
    assert answer.status_code == 200, pretty(answer.json())
    wait_for("the page to open", lambda: status(gateway, "blocked.test", "/with-parts") == 200, 1.5)
    part = ("-H", "Sec-Fetch-Dest: image", "-H", f"Referer: https://blocked.test:{gateway.origin.https_port}/")
    # Another worker may answer, which hears of the grant within its second.
    wait_for("its parts to open", lambda: status(gateway, "parts.blocked.test", "/picture.png", *part) == 200, 1.5)
    assert status(gateway, "parts.blocked.test", "/picture.png") == 403
    typed = ("-H", "Sec-Fetch-Dest: document", "-H", f"Referer: https://blocked.test:{gateway.origin.https_port}/")
    assert status(gateway, "parts.blocked.test", "/", *typed) == 403


def test_a_grant_ends_by_itself_also_on_an_open_http_2_connection(gateway: Gateway) -> None:
    """One HTTP/2 connection: blocked, open, blocked again less than a second after the end."""
    import httpx2

    until = time.time() + 4
    number = ask(gateway, "lesson.test", "/timed", minutes=None, until=until)
    import ssl

    context = ssl.create_default_context(cafile=str(gateway.authority))
    with httpx2.Client(proxy=gateway.proxy, verify=context, http2=True, trust_env=False) as client:
        url = gateway.url("lesson.test", "/timed")
        first = client.get(url)
        assert (first.status_code, first.http_version) == (403, "HTTP/2")
        assert gateway.api("POST", f"/api/v1/unblock-requests/{number}/approve", role="dsl", json={}).status_code == 200
        wait_for("the page to open on the open connection", lambda: client.get(url).status_code == 200, 1.5)
        time.sleep(max(0.0, until - time.time()) + 0.05)
        wait_for("the page to close on the open connection", lambda: client.get(url).status_code == 403, 1.0)


def test_every_step_stands_in_the_audit_and_the_chain_holds(gateway: Gateway) -> None:
    """`schoolgate audit verify` walks the chain."""
    ask(gateway, "lesson.test", "/audited")
    done = gateway.cli("audit", "verify")
    assert done.returncode == 0
    assert done.stdout or done.stderr
