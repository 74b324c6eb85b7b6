import random

import pytest

from analyser.detect.detectors import Detectors, DetectorSettings

THEMES = {"vpn": "bypass", "casino": "gambling", "suicide": "self-harm"}


@pytest.fixture
def detectors():
    return Detectors(lambda category: THEMES.get(category, category or "other"))


def blocked(make_event, at, **more):
    fields = {"action": "block", "reason": "list", "category": "casino", "level": 2, "page": True, "host": f"bet{at}.example"} | more
    return make_event(at, **fields)


def test_a_grave_match_is_an_alert_at_once(detectors, make_event):
    event = make_event(
        level=4, action="block", reason="typed-text", category="suicide", search="how to hurt myself", matches=("hurt myself",), page=True
    )
    (draft,) = detectors.feed([event])
    assert (draft.kind, draft.level, draft.theme, draft.subject, draft.events) == ("grave-match", 4, "self-harm", "ann", (event,))
    assert draft.why == "ann (ks2) searched for “how to hurt myself”, which speaks of self harm; it was blocked."


def test_a_grave_match_on_an_allowed_page_says_that_it_was_not_blocked(detectors, make_event):
    event = make_event(
        level=5, action="log", reason="page-text", category="suicide", host="forum.example", matches=("the method",), user=""
    )
    (draft,) = detectors.feed([event])
    assert (
        draft.why
        == "Somebody at 10.0.0.7 (ks2) opened a page on forum.example whose text speaks of self harm (“the method”); it was not blocked."
    )
    assert draft.subject_kind == "address"


def test_a_grave_match_in_an_answer_that_streams_says_so(detectors, make_event):
    for more in ({"method": "MESSAGE"}, {"media_type": "text/event-stream"}):
        event = make_event(level=5, action="block", reason="page-text", category="suicide", host=f"{len(more)}.example", **more)
        (draft,) = Detectors(lambda category: THEMES.get(category, category or "other")).feed([event])
        assert "was sent an answer or a message on" in draft.why
        assert "that speaks of self harm" in draft.why


def test_a_grave_site_is_told_by_its_list_or_by_its_name(detectors, make_event):
    for reason, why in (("list", "which is listed under self harm"), ("host-words", "whose name speaks of self harm")):
        event = make_event(level=5, action="block", reason=reason, category="suicide", host=f"{reason}.example", page=True)
        (draft,) = Detectors(lambda category: THEMES.get(category, category)).feed([event])
        assert draft.why == f"ann (ks2) asked for {reason}.example, {why}; it was blocked."


def test_what_is_below_level_four_is_no_alert_by_itself(detectors, make_event):
    assert detectors.feed([blocked(make_event, 0, level=3), make_event(1), make_event(2, level=3, action="log", reason="list")]) == []


def test_sealed_hits_never_show_an_address_and_become_a_pattern(detectors, make_event):
    def hit(at):
        return make_event(
            at, action="block", reason="sealed-list", category="illegal", level=4, list="iwf", host="", registrable_domain="", page=True,
            url_digest="d" * 64,
        )  # fmt: skip

    (first,) = detectors.feed([hit(0)])
    assert (first.kind, first.level) == ("sealed-hit", 4)
    assert "iwf" in first.why
    assert "http" not in first.why
    detectors.feed([hit(3600)])
    (third,) = detectors.feed([hit(7200)])
    assert third.level == 5


def test_five_blocked_pages_of_one_theme_within_ten_minutes_are_an_alert(detectors, make_event):
    events = [blocked(make_event, at) for at in (0, 60, 120, 180, 240)]
    for event in events[:4]:
        assert detectors.feed([event]) == []
    (draft,) = detectors.feed([events[4]])
    assert (draft.kind, draft.level, draft.theme) == ("repeated-blocks", 3, "gambling")
    assert draft.events == tuple(events)
    assert draft.why == (
        "ann (ks2) was blocked 5 times within 4 minutes on pages about gambling: bet0.example, bet60.example, bet120.example and 2 more."
    )
    (again,) = detectors.feed([sixth := blocked(make_event, 250)])
    assert again.events == (sixth,)


@pytest.mark.parametrize(
    ("reason", "category", "words"),
    [("host-words", "casino", "on pages about gambling"), ("school-deny", "school", "on pages that the school closed itself")],
)
def test_blocks_by_a_sites_name_and_by_the_schools_own_entries_count_too(detectors, make_event, reason, category, words):
    (draft,) = detectors.feed([blocked(make_event, at, reason=reason, category=category) for at in range(5)])
    assert draft.kind == "repeated-blocks"
    assert words in draft.why


def test_sustained_blocks_rise_one_level_more(detectors, make_event):
    drafts = detectors.feed([blocked(make_event, at) for at in range(15)])
    assert [(draft.level, len(draft.events)) for draft in drafts] == [(4, 15)]


@pytest.mark.parametrize(
    "change",
    [{"page": False}, {"action": "warn"}, {"action": "log"}, {"reason": "unsafe-port"}, {"reason": "authentication"}],
)
def test_parts_of_pages_and_other_answers_do_not_count_as_blocks(detectors, make_event, change):
    assert detectors.feed([blocked(make_event, at, **change) for at in range(20)]) == []


def test_slow_blocks_other_people_and_other_themes_are_not_added_up(detectors, make_event):
    assert detectors.feed([blocked(make_event, at * 200) for at in range(10)]) == []
    assert detectors.feed([blocked(make_event, 5000 + n, user=f"user{n}") for n in range(10)]) == []
    assert detectors.feed([blocked(make_event, 6000 + n, category=f"c{n}") for n in range(10)]) == []


def test_the_order_of_arrival_makes_no_difference(make_event):
    events = [blocked(make_event, at * 30) for at in range(5)]
    random.Random(1).shuffle(events)
    detectors = Detectors()
    drafts = [draft for event in events for draft in detectors.feed([event])]
    assert len(drafts) == 1
    assert [event.time for event in drafts[0].events] == sorted(event.time for event in events)


def test_attempts_to_get_around_the_filter_are_one_story(detectors, make_event):
    drafts = [
        draft
        for event in (
            make_event(0, action="block", reason="list", category="filter-bypass", level=3, page=True, host="vpn.example"),
            make_event(1, action="block", reason="address-literal", category="filter-bypass", level=2, host="192.0.2.1"),
            blocked(make_event, 2, category="vpn", host="other-vpn.example"),
        )
        for draft in detectors.feed([event])
    ]
    assert {draft.joins for draft in drafts} == {("circumvention", "bypass", "user", "ann")}
    assert drafts[-1].why == "ann (ks2) tried 3 times to get around the filter, last at other-vpn.example; it was blocked."
    many = detectors.feed([make_event(10 + n, action="block", reason="host-mismatch", level=3) for n in range(10)])
    assert [draft.level for draft in many] == [4]


def test_one_odd_call_of_a_program_is_no_attempt(detectors, make_event):
    event = make_event(action="block", reason="address-literal", category="filter-bypass", level=2)
    assert detectors.feed([event]) == []


def test_faults_of_the_gateway_are_one_alert_for_each_cause(detectors, make_event):
    events = [make_event(n, action="error", reason="fault", fault="decide failed: KeyError", status=503) for n in range(50)]
    events += [make_event(60, action="error", reason="fault", fault="The sealed list iwf is gone.")]
    drafts = {draft.theme: draft for draft in detectors.feed(events)}
    assert set(drafts) == {"gateway-fault", "gateway-sealed"}
    assert len(drafts["gateway-fault"].events) == 50
    assert drafts["gateway-sealed"].level == 4


def test_settings_move_the_thresholds(make_event):
    detectors = Detectors(settings=DetectorSettings(repeated_blocks=2, alert_level=3))
    assert len(detectors.feed([blocked(make_event, 0), blocked(make_event, 1)])) == 1
    assert len(detectors.feed([make_event(2, level=3, reason="list", category="x")])) == 1


def test_memory_stays_bounded(make_event):
    detectors = Detectors()
    for n in range(5000):
        detectors.feed([blocked(make_event, n * 10, user=f"u{n}")])
    assert len(detectors._blocks) < 1500
