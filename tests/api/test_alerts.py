"""Alerts over the API: list, read, acknowledge, outcome, and the stream of changes."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from analyser.casework import accounts
from analyser.casework.people import Actor


def messages(answer: httpx2.Response) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif fields:
            yield fields
            fields = {}


def test_an_alert_goes_from_open_to_closed_and_every_look_is_audited(world: Any) -> None:
    alert = world.grave("ann")
    with world.client("dsl") as dsl, world.client("administrator") as administrator:
        whole = dsl.get(f"/api/v1/alerts/{alert['id']}", params={"reason": "morning round"}).json()
        assert whole["events"][0]["search"] == "how to hurt myself"
        assert alert["id"] in {a["id"] for a in world.alerts(status="open")}
        assert dsl.post(f"/api/v1/alerts/{alert['id']}/acknowledge").json()["status"] == "acknowledged"
        for lacking in (
            {},
            {"triage": "true_positive", "actions": [], "note": "x"},
            {"triage": "true_positive", "actions": ["headteacher"]},
        ):
            assert dsl.post(f"/api/v1/alerts/{alert['id']}/outcome", json=lacking).status_code == 422
        outcome = {"triage": "true_positive", "actions": ["inform_parents", "headteacher"], "note": "spoke to her"}
        assert dsl.post(f"/api/v1/alerts/{alert['id']}/outcome", json=outcome | {"actions": ["dance"]}).status_code == 422
        closed = dsl.post(f"/api/v1/alerts/{alert['id']}/outcome", json=outcome).json()
        assert (closed["status"], closed["outcomes"][0]["actions"]) == ("closed", outcome["actions"])
        assert dsl.post(f"/api/v1/alerts/{alert['id']}/acknowledge").status_code == 409
        assert dsl.get("/api/v1/alerts/424242").status_code == 404
        entries = administrator.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
    look = next(e for e in entries if e["action"] == "alert.read" and e["object"] == f"alert:{alert['id']}")
    assert (look["actor"], look["detail"]["whom"], look["detail"]["reason"]) == ("token:dsl-1", "ann", "morning round")


def test_a_look_at_somebodys_history_is_audited_with_whom_and_why(world: Any) -> None:
    event = world.happen(user="ben", host="history.example.org")
    with world.client("dsl", **{"X-Reason": "parents asked"}) as dsl, world.client("headteacher") as head:
        world.eventually(lambda: dsl.get("/api/v1/events", params={"user": "ben", "since": "1h"}).json()["events"])
        found = dsl.get("/api/v1/events", params={"user": "ben", "host": "example.org", "limit": "5"}).json()["events"]
        assert [row["id"] for row in found] == [event.id]
        entries = head.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
        assert dsl.get("/api/v1/events", params={"since": "yesterday"}).status_code == 422
    detail = [e for e in entries if e["action"] == "events.read"][-1]["detail"]
    assert (detail["whom"], detail["reason"]) == ("ben", "parents asked")


def test_the_stream_tells_of_a_new_alert_within_a_second_and_goes_on_where_it_was_left(world: Any) -> None:
    with world.client("dsl") as dsl:
        with dsl.stream("GET", "/api/v1/alerts/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            began = time.monotonic()
            world.happen(user="cat", action="block", reason="typed-text", category="self-harm", level=5, search="x", matches=("x",))
            first = next(m for m in messages(answer) if m.get("event") == "alert")
            assert time.monotonic() - began < 2.0
        alert = json.loads(first["data"])
        assert (alert["subject"], first["id"]) == ("cat", str(alert["revision"]))
        dsl.post(f"/api/v1/alerts/{alert['id']}/acknowledge")
        with dsl.stream("GET", "/api/v1/alerts/stream", headers={"Last-Event-ID": first["id"]}) as answer:
            second = next(m for m in messages(answer) if m.get("event") == "alert")
    assert json.loads(second["data"])["status"] == "acknowledged"


def test_a_silent_stream_is_kept_alive_by_comments(world: Any) -> None:
    with world.client("dsl") as dsl, dsl.stream("GET", "/api/v1/alerts/stream") as answer:
        assert any(line == ": still here" for line in answer.iter_lines())


def test_streams_end_when_the_console_stops(world: Any, tmp_path: Path) -> None:
    own = type(world)(tmp_path)
    own.start()
    ended = threading.Event()

    def follow() -> None:
        with own.client("dsl") as dsl, dsl.stream("GET", "/api/v1/alerts/stream") as answer:
            for _ in answer.iter_lines():
                started.set()
        ended.set()

    started = threading.Event()
    thread = threading.Thread(target=follow)
    thread.start()
    assert started.wait(5)
    began = time.monotonic()
    own.stop()
    assert ended.wait(5)
    thread.join()
    assert time.monotonic() - began < 5


def test_governors_get_counts_without_names_and_without_small_cells(world: Any) -> None:
    world.grave("dora")
    with world.client("governor") as governor:
        answer = governor.get("/api/v1/numbers", params={"period": "week"})
        assert answer.status_code == 200
        assert "dora" not in answer.text


def test_every_role_that_reads_the_alert_list_is_audited_with_its_reason(world: Any) -> None:
    with world.client("headteacher") as head:
        for role in ("dsl", "headteacher", "administrator"):
            with world.client(role) as client:
                client.get("/api/v1/alerts", params={"reason": f"round of {role}"})
                client.get("/api/v1/alerts", params={"reason": f"round of {role}"})  # within a minute: the same look
        entries = head.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
    looks = [(e["actor"], e["detail"]["reason"]) for e in entries if e["action"] == "alerts.read" and "round of" in e["detail"]["reason"]]
    assert looks == [(f"token:{role}-1", f"round of {role}") for role in ("dsl", "headteacher", "administrator")]


def test_a_stream_ends_when_its_reader_is_disabled_though_alerts_keep_coming(world: Any) -> None:
    browser, name = world.browser("dsl")
    began = 0.0
    with contextlib.closing(browser), browser.stream("GET", "/api/v1/alerts/stream") as answer:
        for number, _ in enumerate(answer.iter_lines()):
            world.happen(user=f"flow-{number}", action="block", reason="typed-text", category="self-harm", level=5, search="x")
            if number == 3:
                with world.analyser.casework.session() as session:
                    accounts.change(session, Actor("os", "t"), accounts.find(session, name), role="dsl", group=None, disabled=True)
                began = time.monotonic()
    assert 0 < time.monotonic() - began < 5


def test_an_outcome_on_a_closed_alert_has_to_be_a_correction(world: Any) -> None:
    alert = world.grave("eve")
    outcome = {"triage": "unclear", "actions": ["warning"], "note": "x"}
    with world.client("dsl") as dsl:
        where = f"/api/v1/alerts/{alert['id']}/outcome"
        assert [dsl.post(where, json=body).status_code for body in (outcome, outcome, outcome | {"correction": True})] == [200, 409, 200]
