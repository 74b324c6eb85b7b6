import threading

import pytest

from analyser.casework import audit, unblock
from analyser.casework.people import Actor
from analyser.casework.signins import create_token, token_actor, token_for
from analyser.casework.snapshot import publish_snapshot
from analyser.casework.unblock import UnblockError, UnblockRules
from rules.state import read_snapshot

RULES = UnblockRules(sealed=lambda url: url.host.endswith("sealed.test"), maximum_minutes=60, groups=frozenset({"ks2"}))
TEACHER, BOSS = Actor("account", "Teacher"), Actor("account", "boss")


def ask(database, actor=TEACHER, now=1000.0, **changes):
    values = {
        "url": "https://games.example.org/maths/?level=1", "scope": "path", "subject_kind": "group", "subject": "ks2", "reason": "lesson",
        "minutes": 30,
    } | changes  # fmt: skip
    with database.session() as session:
        return unblock.ask(session, actor, RULES, now=now, **values).id


def approve(database, request_id, actor=BOSS, now=1100.0, rules=RULES, **more):
    with database.session() as session:
        return unblock.approve(session, actor, rules, request_id, now=now, **more)


def test_an_approved_request_becomes_a_grant_in_the_snapshot_and_ends(database, tmp_path):
    grant = approve(database, ask(database))
    path = tmp_path / "snapshot.json"
    with database.reading() as session:
        first = publish_snapshot(session, path, now=1200)
    seen = read_snapshot(path.read_bytes()).grants[0]
    assert (seen.host, seen.target, seen.scope, seen.subject) == ("games.example.org", "/maths/", "path", "ks2")
    assert seen.until == 1100 + 30 * 60
    with database.reading() as session:
        second = publish_snapshot(session, path, now=seen.until)
    assert second.grants == ()
    assert second.generation > first.generation
    with database.session() as session:
        assert [row.id for row in unblock.run_out(session, now=seen.until)] == [grant.id]
        assert unblock.run_out(session, now=seen.until + 1) == []
        actions = [entry["action"] for entry in audit.entries(session)]
    assert actions == ["casework.create", "unblock.ask", "unblock.approve", "grant.expire"]
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_closed_for_everybody_is_not_asked_for_nor_approved(database):
    request_id = ask(database)
    closed = UnblockRules(sealed=RULES.sealed, maximum_minutes=60, groups=RULES.groups, closed=lambda url: url.host == "games.example.org")
    with pytest.raises(UnblockError, match="closed for everybody"):
        approve(database, request_id, rules=closed)
    with pytest.raises(UnblockError, match="closed for everybody"), database.session() as session:
        unblock.ask(
            session, TEACHER, closed, url="https://games.example.org/", scope="exact", subject_kind="group", subject="ks2",
            reason="lesson", minutes=30,
        )  # fmt: skip


def test_the_generation_grows_when_the_file_was_lost(database, tmp_path):
    path = tmp_path / "snapshot.json"
    with database.reading() as session:
        first = publish_snapshot(session, path)
        path.unlink()
        assert publish_snapshot(session, path).generation >= first.generation


@pytest.mark.parametrize(
    ("asker", "approver"),
    [
        (TEACHER, Actor("account", "TEACHER ")),
        (Actor("user", "teacher"), TEACHER),
        (TEACHER, Actor("user", "Teacher")),
        (Actor("token", "t"), Actor("token", "T")),
        (TEACHER, Actor("token", "mine", maker="teacher")),
        (Actor("os", "root"), Actor("os", "root")),
    ],
)
def test_the_one_who_asked_cannot_approve(database, asker, approver):
    request_id = ask(database, asker)
    with pytest.raises(UnblockError, match="can't approve") as caught:
        approve(database, request_id, approver)
    assert caught.value.code == "same-person"


def test_a_token_of_the_approver_counts_as_the_approver(database):
    with database.session() as session:
        asker = token_actor(token_for(session, create_token(session, BOSS, "helper", "teacher")))
    request_id = ask(database, asker)
    with pytest.raises(UnblockError, match="can't approve"):
        approve(database, request_id)


def test_no_length_passes_the_policys_maximum(database):
    for wrong in (
        {"minutes": 61},
        {"minutes": None, "until": 1000 + 3601.0},
        {"minutes": 0},
        {"minutes": -5},
        {"minutes": None},
        {"until": 2000.0},
    ):
        with pytest.raises(UnblockError):
            ask(database, **wrong)
    request_id = ask(database, minutes=60)
    tighter = UnblockRules(sealed=RULES.sealed, maximum_minutes=10)
    with pytest.raises(UnblockError, match="at most 10"):
        approve(database, request_id, rules=tighter)
    with pytest.raises(UnblockError, match="at most 60"):
        approve(database, request_id, minutes=600)
    assert approve(database, request_id, rules=tighter, minutes=5).until == 1100 + 300


def test_until_is_a_moment_and_not_a_length(database):
    assert approve(database, ask(database, minutes=None, until=2000.0)).until == 2000
    late = ask(database, minutes=None, until=2000.0)
    with pytest.raises(UnblockError, match="past"):
        approve(database, late, now=2000.0)


def test_sealed_addresses_can_be_neither_asked_for_nor_approved(database):
    for scope in ("exact", "path", "host"):
        with pytest.raises(UnblockError, match="unlawful") as caught:
            ask(database, url="http://iwf.sealed.test/x", scope=scope)
        assert caught.value.code == "sealed"
    request_id = ask(database)
    with pytest.raises(UnblockError, match="unlawful"):
        approve(database, request_id, rules=UnblockRules(sealed=lambda url: True, maximum_minutes=60))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "site"}, {"subject_kind": "school"}, {"subject": "nobody"}, {"subject": ""}, {"reason": " "}, {"url": "http://"},
        {"url": "https://co.uk/", "scope": "host"}, {"url": "x" * 5000}, {"subject_kind": "address", "subject": "10.0.0"},
        {"url": "ftp://example.org/"},
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(database, wrong):
    with pytest.raises(UnblockError):
        ask(database, **wrong)


def test_a_request_is_decided_once(database):
    request_id = ask(database)
    with database.session() as session:
        unblock.refuse(session, BOSS, request_id, note="not for us")
    with pytest.raises(UnblockError) as caught:
        approve(database, request_id)
    assert caught.value.code == "decided"


def test_a_grant_can_be_ended_once(database):
    grant = approve(database, ask(database))
    with database.session() as session:
        unblock.end_grant(session, TEACHER, grant.id, now=1200)
        assert unblock.in_force(session, now=1200) == []
    with pytest.raises(UnblockError), database.session() as session:
        unblock.end_grant(session, TEACHER, grant.id, now=1201)


def test_going_on_past_a_warning_lifts_warnings_only_and_is_given_once(database):
    pupil = Actor("user", "ann")
    with database.session() as session:
        first = unblock.go_on(session, pupil, RULES, url="https://a.example.org/x", subject_kind="user", subject="ann", now=1000)
        again = unblock.go_on(session, pupil, RULES, url="https://a.example.org/y", subject_kind="user", subject="ann", now=1010)
    assert first.id == again.id
    assert (first.lifts, first.until) == ("warn", 1000 + 1800)


def test_names_in_requests_are_not_readable_in_the_file(database):
    ask(database, Actor("user", "planted.pupil"), reason="planted reason", url="https://planted.example.org/")
    data = b"".join(path.read_bytes() for path in database.path.parent.glob("casework.db*"))
    assert b"planted" not in data


def test_a_grant_that_ran_out_stays_over_when_the_clock_is_set_back(database):
    grant = approve(database, ask(database))
    with database.session() as session:
        unblock.run_out(session, now=grant.until)
        assert unblock.in_force(session, now=grant.until - 600) == []


def test_of_approvals_at_the_same_moment_one_makes_a_grant(database):
    request_id, answers = ask(database), []

    def decide(number):
        try:
            answers.append(approve(database, request_id, Actor("account", f"boss-{number}")))
        except UnblockError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer for answer in answers if isinstance(answer, str)] == ["decided"] * 5
    with database.reading() as session:
        assert len(unblock.in_force(session, now=1200)) == 1


def test_an_unblock_for_a_room_names_one_of_the_policy(database):
    rules = UnblockRules(sealed=lambda url: False, maximum_minutes=60, rooms=frozenset({"R1", "Hall"}))
    with database.session() as session:
        values = {"url": "https://example.org/", "scope": "host", "subject_kind": "room", "reason": "x", "minutes": 5}
        assert unblock.ask(session, TEACHER, rules, subject="Hall", **values).subject == "Hall"
        with pytest.raises(UnblockError, match=r"no room 'R9'.*Hall, R1"):
            unblock.ask(session, TEACHER, rules, subject="R9", **values)
