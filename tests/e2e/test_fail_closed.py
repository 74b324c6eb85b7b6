"""Something of ours breaks: nothing passes, and somebody hears of it."""

import os
import signal
from collections.abc import Callable

import pytest

from .harness import Gateway, processes, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_sealed_list_that_vanishes_stops_everything_until_it_is_back(fresh: Callable[..., Gateway]) -> None:
    """503 for every page, an alert, and service again once the file is there."""
    gateway = fresh("--workers", "1")
    url = gateway.url("allowed.test")
    assert gateway.curl(url).status == 200
    files = [file for file in (gateway.state / "sealed").iterdir() if file.is_file() and not file.name.startswith(".")]
    content = {file: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    wait_for("every page to stop", lambda: stopped(gateway), 5)
    alerts = wait_for("the alert", lambda: fault_alerts(gateway), 20)
    assert alerts
    for file, data in content.items():
        file.write_bytes(data)
    wait_for("service", lambda: gateway.curl(url).status == 200, 10)


def test_a_sealed_list_that_is_damaged_at_the_start_lets_nothing_through_and_is_said(fresh: Callable[..., Gateway]) -> None:
    """The system starts, so that people can be told; every page is a 503."""
    gateway = fresh("--workers", "1")
    assert gateway.curl(gateway.url("allowed.test")).status == 200
    gateway.stop()
    for file in (gateway.state / "sealed").iterdir():
        if file.is_file() and file.suffix not in (".json", ".lock"):
            file.write_bytes(b"damaged")
    again = fresh("--workers", "1", state=gateway.state)
    assert stopped(again)
    assert wait_for("the alert", lambda: fault_alerts(again), 20)


def test_a_policy_that_requires_a_sealed_list_which_is_not_loaded_is_refused(gateway: Gateway) -> None:
    """`[sealed] required` is a promise; `check` and the running system hold the technician to it."""
    good = gateway.policy_file.read_text()
    try:
        gateway.policy_file.write_text(good + '\n[sealed]\nrequired = ["iwf"]\n')
        health = wait_for(
            "health to say so", lambda: gateway.api("GET", "/api/v1/health", role="technician").json()["ruleset"]["last_error"], 4
        )
        assert "iwf" in health
    finally:
        gateway.policy_file.write_text(good)


def test_a_worker_whose_ruleset_is_damaged_lets_nothing_through(fresh: Callable[..., Gateway]) -> None:
    """Killed and started again on a ruleset that can't be read, it answers with 503 until the console has built a whole one."""
    gateway = fresh("--workers", "1")
    assert gateway.curl(gateway.url("allowed.test")).status == 200
    (gateway.state / "rulesets" / "current").resolve().joinpath("manifest.json").write_text("{")
    victim = processes(gateway, "worker")[0]
    os.kill(victim, signal.SIGKILL)
    wait_for("a new worker", lambda: (pids := processes(gateway, "worker")) and victim not in pids, 15)
    answer = wait_for("an answer", lambda: (a := gateway.curl(gateway.url("allowed.test", secure=False))).status and a, 20)
    assert answer.status == 503
    assert gateway.curl(gateway.url("denied.test", secure=False)).status == 503


def stopped(gateway: Gateway) -> bool:
    """True when HTTP and HTTPS alike get a 503 of ours, in the tunnel or in place of it."""
    plain = gateway.curl(gateway.url("allowed.test", secure=False))
    tunnel = gateway.curl(gateway.url("allowed.test"))
    return plain.status == 503 and (tunnel.status == 503 or "response 503" in tunnel.error)


def fault_alerts(gateway: Gateway) -> list[dict[str, object]]:
    """Open alerts about the gateway itself."""
    rows = gateway.api("GET", "/api/v1/alerts", params={"status": "open"}).json()["alerts"]
    return [row for row in rows if row["kind"] == "gateway-fault"]
