"""Who is asking, and what their role lets them see."""

import json
from collections.abc import Callable

import pytest

from .harness import Gateway, pretty, wait_for

pytestmark = pytest.mark.e2e


def test_somebody_who_signs_in_gets_their_own_group_and_name(gateway: Gateway) -> None:
    """A member of staff at a pupil's address is staff; the event says how that is known."""
    gateway.cli("account", "add", "mr-jones", "--group", "staff", "--password-stdin", text="correct-horse-battery\n")

    def as_staff() -> dict[str, object] | None:
        gateway.curl(gateway.url("allowed.test", "/as-staff"), user="mr-jones:correct-horse-battery")
        return next((event for event in gateway.events() if event["path"] == "/as-staff" and event["user"] == "mr-jones"), None)

    event = wait_for("an event with the name", as_staff)
    assert (event["group"], event["identity_source"]) == ("staff", "proxy-auth"), pretty(event)


def test_an_unknown_person_falls_into_the_strictest_group(gateway: Gateway) -> None:
    """No name, no subnet entry: the strictest group, and the event says that it is a guess."""
    gateway.curl(gateway.url("allowed.test", "/as-nobody"))
    event = wait_for("the event", lambda: next((e for e in gateway.events() if e["path"] == "/as-nobody"), None))
    assert (event["group"], event["user"], event["identity_source"]) == ("pupils", "", "none"), pretty(event)


def test_where_sign_in_is_required_nobody_browses_without(fresh: Callable[..., Gateway]) -> None:
    """407 without and with a wrong password, the page with the right one."""
    gateway = fresh("--workers", "1", extra='\n[[subnets]]\nnetworks = ["127.0.0.1"]\ngroup = "staff"\nrequire_sign_in = true\n')
    gateway.cli("account", "add", "ann", "--group", "pupils", "--password-stdin", text="correct-horse-battery\n")
    url = gateway.url("allowed.test", "/", secure=False)
    wait_for("sign-in", lambda: gateway.curl(url, user="ann:correct-horse-battery").status == 200, 5)
    assert gateway.curl(url).status == 407
    assert gateway.curl(url, user="ann:wrong-wrong-wrong").status == 407
    assert gateway.curl(gateway.url("allowed.test")).exit_code != 0


def test_a_look_at_a_named_person_is_audited_with_its_reason(gateway: Gateway) -> None:
    """Who looked, at whom, why."""
    answer = gateway.api("GET", "/api/v1/events", params={"user": "mr-jones", "reason": "Concern of 12 November"})
    assert answer.status_code == 200
    entries = json.dumps(gateway.api("GET", "/api/v1/audit", role="administrator").json())
    assert "Concern of 12 November" in entries
    assert "mr-jones" in entries


def test_a_governor_sees_numbers_and_no_names(gateway: Gateway) -> None:
    """Neither events, alerts, nor requests."""
    for path in ("/api/v1/events", "/api/v1/alerts", "/api/v1/unblock-requests", "/api/v1/accounts", "/api/v1/audit"):
        assert gateway.api("GET", path, role="governor").status_code == 403, path
    assert gateway.api("GET", "/api/v1/numbers", role="governor").status_code == 200


def test_nobody_gets_in_without_a_token(gateway: Gateway) -> None:
    """No default password and no open door."""
    import httpx2

    for path in ("events", "alerts", "unblock-requests", "health", "audit", "accounts", "numbers", "grants"):
        assert httpx2.get(f"{gateway.console}/api/v1/{path}", trust_env=False).status_code == 401, path
        wrong = {"Authorization": "Bearer sgt_wrong"}
        assert httpx2.get(f"{gateway.console}/api/v1/{path}", headers=wrong, trust_env=False).status_code == 401, path


def test_the_help_page_certificate_and_pac_file_come_through_the_gateway(gateway: Gateway) -> None:
    """On our own host, over HTTP and HTTPS; nothing else of the console is there."""
    for scheme in ("http", "https"):
        assert gateway.curl(f"{scheme}://schoolgate.internal/help").status == 200
        assert "BEGIN CERTIFICATE" in gateway.curl(f"{scheme}://schoolgate.internal/ca.crt").body
        assert "FindProxyForURL" in gateway.curl(f"{scheme}://schoolgate.internal/proxy.pac").body
        for path in ("/alerts", "/api/v1/events", "/sign-in", "/health"):
            assert gateway.curl(f"{scheme}://schoolgate.internal{path}").status in (403, 404), path
