import msgspec
import pytest

from analyser import alerts
from analyser.alerts import AlertError
from analyser.casework import audit
from analyser.casework.people import Actor
from analyser.detect.draft import AlertDraft
from analyser.joining import SHOWN_EVENTS, join

DSL = Actor("account", "dsl")


def draft(events=(), *, kind="grave-match", level=4, theme="self-harm", subject="ann", at=1_795_000_000.0, why="Why."):
    return AlertDraft(kind, level, theme, subject, "user", "ks2", why, max([at, *(e.time for e in events)]), tuple(events))


def apply(database, *drafts):
    with database.session() as session:
        return join(session, drafts)


def read(database, alert_id):
    with database.reading() as session:
        return alerts.full_view(alerts.get(session, alert_id))


def test_repeats_join_the_open_alert(database, make_event):
    first, second = apply(database, draft([make_event(0)]), draft([make_event(5)], why="Again."))
    assert first == second
    seen = read(database, first)
    assert (seen["event_count"], len(seen["events"]), seen["why"], seen["status"]) == (2, 2, "Again.", "open")
    msgspec.json.encode(seen)


def test_other_themes_people_and_kinds_are_other_alerts(database, make_event):
    ids = apply(
        database, draft([make_event(0)]), draft([make_event(0)], theme="drugs"), draft([make_event(0)], subject="ben"),
        draft([make_event(0)], kind="sealed-hit"),
    )  # fmt: skip
    assert len(set(ids)) == 4


def test_repeated_blocks_join_the_grave_match_of_the_same_story(database, make_event):
    grave, blocks = apply(database, draft([make_event(0)]), draft([make_event(1)], kind="repeated-blocks", level=3, why="Milder."))
    assert grave == blocks
    assert read(database, grave)["why"] == "Why."


def test_an_acknowledged_alert_takes_repeats_and_opens_again_when_the_level_rises(database, make_event):
    (alert_id,) = apply(database, draft([make_event(0)]))
    with database.session() as session:
        alerts.acknowledge(session, DSL, alert_id)
    assert apply(database, draft([make_event(1)])) == [alert_id]
    assert read(database, alert_id)["status"] == "acknowledged"
    assert apply(database, draft([make_event(2)], level=5)) == [alert_id]
    seen = read(database, alert_id)
    assert (seen["status"], seen["level"]) == ("open", 5)
    with database.reading() as session:
        assert [entry["action"] for entry in audit.entries(session)][-2:] == ["alert.acknowledge", "alert.reopen"]


def test_a_closed_alert_stays_closed_and_news_is_a_new_one(database, make_event):
    (alert_id,) = apply(database, draft([make_event(0)]))
    with database.session() as session:
        alerts.record_outcome(
            session, DSL, alert_id, triage="true_positive", actions=["inform_parents", "class_teacher"], note="Spoke with her."
        )
    assert apply(database, draft([make_event(1)])) != [alert_id]
    seen = read(database, alert_id)
    assert (seen["status"], seen["event_count"], seen["acknowledged_by"]) == ("closed", 1, "dsl")
    assert seen["outcomes"][0]["actions"] == ["inform_parents", "class_teacher"]
    with pytest.raises(AlertError) as caught, database.session() as session:
        alerts.acknowledge(session, DSL, alert_id)
    assert caught.value.code == "closed"


@pytest.mark.parametrize(
    ("triage", "actions"),
    [("", ["warning"]), ("maybe", ["warning"]), ("unclear", []), ("unclear", ["party"]), ("unclear", ["no_action", "warning"])],
)
def test_an_alert_cannot_close_without_triage_and_actions(database, make_event, triage, actions):
    (alert_id,) = apply(database, draft([make_event(0)]))
    with pytest.raises(AlertError), database.session() as session:
        alerts.record_outcome(session, DSL, alert_id, triage=triage, actions=actions)
    assert read(database, alert_id)["status"] == "open"


def test_a_search_and_its_autocomplete_calls_count_once_in_an_alert(database, make_event):
    parts = [make_event(n * 0.5, search="how to hurt myself"[: 15 + n], search_partial=True, level=4) for n in range(4)]
    (alert_id,) = apply(database, draft(parts[:2]))
    apply(database, draft(parts[2:]), draft([make_event(3, search="how to hurt myself", level=4, page=True)]))
    seen = read(database, alert_id)
    assert seen["event_count"] == 1
    assert [event["search"] for event in seen["events"]] == ["how to hurt myself"]
    assert seen["events"][0]["page"]


def test_references_are_bounded_and_the_count_is_not(database, make_event):
    (alert_id,) = apply(database, draft([make_event(n) for n in range(300)]))
    seen = read(database, alert_id)
    assert (seen["event_count"], len(seen["events"])) == (300, SHOWN_EVENTS)


def test_revisions_grow_with_every_change_and_give_what_is_new(database, make_event):
    first, second = apply(database, draft([make_event(0)]), draft([make_event(0)], subject="ben"))
    with database.session() as session:
        seen = alerts.latest_revision(session)
        alerts.acknowledge(session, DSL, first)
    with database.reading() as session:
        assert [alert.id for alert in alerts.find(session, after_revision=seen)] == [first]
        assert [alert.id for alert in alerts.find(session, after_revision=0)] == [second, first]
        assert [alert.id for alert in alerts.find(session, status="open")] == [second]
        assert alerts.find(session, level_min=5) == []


def test_what_does_not_exist_is_said_plainly(database):
    with database.session() as session:
        for work in (
            lambda: alerts.get(session, 9),
            lambda: alerts.acknowledge(session, DSL, 9),
            lambda: alerts.record_outcome(session, DSL, 9, triage="unclear", actions=["no_action"]),
        ):
            with pytest.raises(AlertError, match="no alert 9"):
                work()
        with pytest.raises(AlertError, match="no status"):
            alerts.find(session, status="lost")


def test_a_batch_of_many_subjects_is_one_alert_each_with_a_revision_of_its_own(database, make_event):
    drafts = [draft([make_event(n, user=f"u{n}")], subject=f"u{n}") for n in range(700)]
    ids = apply(database, *drafts, *drafts[:2])
    assert ids[700:] == ids[:2]
    with database.reading() as session:
        found = alerts.find(session, limit=1000)
        assert {alert.revision for alert in found} == set(range(1, 701))
        assert {(alert.id, alert.subject, alert.event_count) for alert in found} == {(ids[n], f"u{n}", 1) for n in range(700)}
    again = [draft([make_event(n + 1, user=f"u{n}")], subject=f"u{n}", why="Again.") for n in range(700)]
    assert apply(database, *again) == ids[:700]
    assert {(a["event_count"], a["why"]) for a in (read(database, n) for n in ids[:3])} == {(2, "Again.")}


@pytest.mark.parametrize("grave_first", [True, False])
def test_repeated_blocks_and_a_grave_match_of_one_batch_are_one_alert(database, make_event, grave_first):
    both = [draft([make_event(0)]), draft([make_event(1)], kind="repeated-blocks", level=3, why="Milder.")]
    first, second = apply(database, *(both if grave_first else reversed(both)))
    assert first == second
    seen = read(database, first)
    assert (seen["kind"], seen["level"], seen["event_count"]) == ("grave-match", 4, 2)


def test_a_second_outcome_is_refused_unless_it_is_a_correction(database, make_event):
    (alert_id,) = apply(database, draft([make_event(0)]))

    def close(**more):
        with database.session() as session:
            alerts.record_outcome(session, DSL, alert_id, triage="unclear", actions=["warning"], note="x", **more)

    close(now=10.0)
    with pytest.raises(AlertError, match="closed already") as caught:
        close(now=20.0)
    assert caught.value.code == "closed"
    close(correction=True, now=30.0)
    seen = read(database, alert_id)
    assert (len(seen["outcomes"]), seen["closed_at"]) == (2, "1970-01-01T00:00:10.000Z")
