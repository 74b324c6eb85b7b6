"""Temporary unblocks over the API, the pages and the block page's form."""

import time
from typing import Any

import msgspec
import pytest

from rules import tokens
from rules.decision import Action
from rules.state import Snapshot, read_snapshot

ASK = {"url": "https://casino.test/maths?q=1", "scope": "exact", "group": "pupils", "reason": "probability lesson", "minutes": 30}


def snapshot(world: Any) -> Snapshot:
    return read_snapshot((world.root / "snapshot.json").read_bytes())


def asked(world: Any, **changes: object) -> int:
    with world.client("teacher") as teacher:
        answer = teacher.post("/api/v1/unblock-requests", json=ASK | changes)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])


def test_asked_approved_in_force_and_ended_each_reaches_the_workers_file(world: Any) -> None:
    number = asked(world)
    with world.client("dsl") as dsl:
        began = time.monotonic()
        approved = dsl.post(f"/api/v1/unblock-requests/{number}/approve", json={"note": "fine"}).json()
        grant = approved["grant"]["id"]
        world.eventually(lambda: grant in {g.id for g in snapshot(world).grants}, 1.0)
        assert time.monotonic() - began < 1.0
        assert grant in {g["id"] for g in dsl.get("/api/v1/grants").json()["grants"]}
        assert dsl.delete(f"/api/v1/grants/{grant}").json()["status"] == "ended"
        world.eventually(lambda: grant not in {g.id for g in snapshot(world).grants}, 1.0)
        assert dsl.delete(f"/api/v1/grants/{grant}").status_code == 409
        assert dsl.post(f"/api/v1/unblock-requests/{number}/approve").status_code == 409
    with world.client("administrator") as administrator:
        assert administrator.get("/api/v1/audit/verify").json()["ok"] is True
        actions = [entry["action"] for entry in administrator.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]]
    assert [a for a in actions if a.startswith(("unblock.", "grant."))][-3:] == ["unblock.ask", "unblock.approve", "grant.end"]


def test_the_one_who_asked_cannot_approve(world: Any) -> None:
    with world.client("dsl") as dsl:
        number = dsl.post("/api/v1/unblock-requests", json=ASK).json()["id"]
        answer = dsl.post(f"/api/v1/unblock-requests/{number}/approve")
        assert answer.status_code == 403
        assert "asked" in answer.json()["error"]


@pytest.mark.parametrize("url", ["http://10.1.2.3/", "https://casino.test:8888/", "http://93.184.216.34/", "http://printer.local/"])
def test_what_no_grant_could_open_is_refused_at_once_and_says_who_can_help(world: Any, url: str) -> None:
    with world.client("teacher") as teacher:
        answer = teacher.post("/api/v1/unblock-requests", json=ASK | {"url": url})
        assert answer.status_code == 422
        assert "ask the technician" in answer.json()["error"]


def test_a_sealed_address_is_never_opened(world: Any) -> None:
    with world.client("teacher") as teacher:
        answer = teacher.post("/api/v1/unblock-requests", json=ASK | {"url": "https://unlawful.sealed.test/x"})
        assert answer.status_code == 403
        assert "unlawful.sealed" not in answer.text
        assert "unlawful.sealed" not in teacher.get("/api/v1/explain", params={"url": "https://unlawful.sealed.test/x"}).text


@pytest.mark.parametrize(
    "change",
    [
        {"minutes": 0}, {"minutes": 100_000}, {"minutes": None}, {"until": "2020-01-01T00:00:00Z", "minutes": None}, {"reason": ""},
        {"scope": "everything"}, {"group": "nobody"}, {"user": "x"}, {"url": "javascript:1"},
        {"colour": "red"}, {"until": "soon", "minutes": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_can_not_be_asked_is_refused_with_one_sentence(world: Any, change: dict[str, object]) -> None:
    with world.client("teacher") as teacher:
        answer = teacher.post("/api/v1/unblock-requests", json=ASK | change)
        assert answer.status_code == 422
        assert list(answer.json()) == ["error"]


def test_teachers_see_their_own_requests_only(world: Any) -> None:
    own = asked(world)
    with world.client("technician") as technician, world.client("teacher") as teacher:
        other = technician.post("/api/v1/unblock-requests", json=ASK).json()["id"]
        seen = {row["id"] for row in teacher.get("/api/v1/unblock-requests").json()["unblock_requests"]}
        assert own in seen
        assert other not in seen
        assert teacher.get(f"/api/v1/unblock-requests/{other}").status_code == 404


def form(world: Any, url: str, subject: str, action: Action = Action.BLOCK) -> dict[str, str]:
    return {"url": url, "ref": "r1", "token": tokens.sign(world.gateway_key, url, subject, action, time.time())}


def test_the_block_pages_form_asks_for_exactly_the_one_who_was_stopped(world: Any) -> None:
    url = "https://casino.test/a"
    with world.client() as pupil, world.client("dsl") as dsl:
        answer = pupil.post("/unblock", headers=world.forwarded(), data=form(world, url, "pupil7") | {"reason": "for maths"})
        assert answer.status_code == 200, answer.text
        row = dsl.get("/api/v1/unblock-requests").json()["unblock_requests"][0]
    assert (row["url"], row["subject_kind"], row["subject"], row["source"], row["requested_by"]) == (
        url,
        "user",
        "pupil7",
        "block-page",
        "user:pupil7",
    )


def test_a_forged_or_foreign_form_is_refused(world: Any) -> None:
    url, good = "https://casino.test/b", {"reason": "x"}
    with world.client(accept="application/json") as pupil:
        mine = form(world, url, "pupil7") | good
        for headers, data in (
            (world.forwarded("pupil8"), mine),
            (world.forwarded(key=b"x" * 32), mine),
            (world.forwarded(age=3600), mine),
            ({"Host": "schoolgate.internal"}, mine),
            (world.forwarded(), mine | {"url": "https://casino.test/c"}),
            (world.forwarded(), form(world, url, "pupil7", Action.WARN) | good),
        ):
            assert pupil.post("/unblock", headers=headers, data=data).status_code == 403


def test_somebody_who_asks_too_often_waits(world: Any) -> None:
    with world.client(accept="application/json") as pupil:
        data = form(world, "https://casino.test/often", "pupil8") | {"reason": "x"}
        codes = [pupil.post("/unblock", headers=world.forwarded("pupil8"), data=data).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]


def test_going_on_past_a_warning_lifts_the_warning_only(world: Any) -> None:
    url = "https://bets.example.org/odds"
    with world.client() as person:
        headers = world.forwarded("mr.smith", "10.0.0.9")
        answer = person.post("/continue", headers=headers, data=form(world, url, "mr.smith", Action.WARN))
        assert answer.status_code == 200
        assert answer.headers["refresh"].endswith(url)
        assert person.post("/continue", headers=headers, data=form(world, url, "mr.smith", Action.BLOCK)).status_code == 403
    grant = next(g for g in snapshot(world).grants if g.subject == "mr.smith")
    assert (grant.lifts, grant.host, grant.scope) == ("warn", "bets.example.org", "host")
    assert msgspec.json.encode(grant)


def test_the_block_pages_form_does_not_tell_what_is_sealed(world: Any) -> None:
    sealed, ending = "https://unlawful.sealed.test/x", "https://co.uk/"
    with world.client(accept="application/json") as pupil, world.client("headteacher") as head:
        headers = world.forwarded("pupil9", "10.0.0.99")
        answers = [
            pupil.post("/unblock", headers=headers, data=form(world, url, "pupil9") | {"reason": "homework"}) for url in (sealed, ending)
        ]
        assert (answers[0].status_code, answers[0].text) == (answers[1].status_code, answers[1].text)
        assert answers[0].status_code == 422
        entries = head.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
    (entry,) = [e for e in entries if e["action"] == "unblock.sealed" and e["actor"] == "user:pupil9"]
    assert len(entry["detail"]["digest"]) == 64
    assert "unlawful" not in str(entries)


def test_a_look_at_everybodys_requests_is_audited(world: Any) -> None:
    asked(world)
    with world.client("technician", **{"X-Reason": "queue"}) as technician, world.client("headteacher") as head:
        technician.get("/api/v1/unblock-requests")
        technician.get("/api/v1/grants")
        entries = head.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
    looks = [(e["actor"], e["action"]) for e in entries if e["detail"].get("reason") == "queue"]
    assert looks == [("token:technician-1", "unblocks.read"), ("token:technician-1", "grants.read")]
