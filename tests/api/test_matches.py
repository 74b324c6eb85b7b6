"""What matched, for those who may see it: in events, alerts and their page; and phrases tried through the console."""

import contextlib
import threading

import msgspec
import pytest

from rules.keywords.sets import KeywordSet, Phrase, starter_sets
from rules.kinds import TEXT_CONTEXTS
from schoolgate import ask, keywording
from schoolgate.paths import StatePaths
from schoolgate.storelock import store_lock

SEARCH = "please tell me how to hurt myself tonight"


@pytest.fixture(scope="module")
def match(world):
    """The phrase that stands in the search, by the sets that come with Schoolgate."""
    return world.analyser.ruleset.keywords.weigh(SEARCH, "search").matches[0]


@pytest.fixture(scope="module")
def alert(world, match):
    """An alert about a search in which a phrase stood that is still watched for, and one that is not."""
    world.happen(
        user="match-pupil", action="block", reason="typed-text", category="self-harm", categories=("self-harm",), level=5, search=SEARCH,
        path="/search", host="www.google.com", registrable_domain="google.com", matches=(match.phrase, "an old phrase"),
        excerpt=SEARCH, rule=match.phrase,
    )  # fmt: skip
    return world.eventually(lambda: next((a for a in world.alerts() if a["subject"] == "match-pupil"), None))


def test_an_alert_tells_of_each_phrase_its_category_level_weight_and_place(world, match, alert):
    with world.client("dsl") as client:
        (event,) = client.get(f"/api/v1/alerts/{alert['id']}").json()["events"]
    first, second = event["matched"]
    assert SEARCH[match.start : match.end] == SEARCH[first["start"] : first["end"]] == first["words"]
    assert "hurt" in first["words"]
    assert (first["theme"], first["title"]) == ("self-harm", "Suicide and self-harm")
    assert first["level"] >= 4
    assert first["weight"] >= 50
    assert (second["phrase"], second["theme"], second["words"]) == ("an old phrase", "", "")


def test_events_tell_the_same_and_only_to_those_who_may_read_them(world, match, alert):
    with world.client("dsl") as client:
        rows = client.get("/api/v1/events", params={"user": "match-pupil", "reason": "a test"}).json()["events"]
    assert [one["phrase"] for one in rows[0]["matched"]] == [match.phrase, "an old phrase"]
    for role in ("teacher", "technician", "governor"):
        with world.client(role) as client:
            for path in (f"/api/v1/alerts/{alert['id']}", "/api/v1/events", f"/alerts/{alert['id']}"):
                answer = client.get(path, headers={"accept": "text/html" if path.startswith("/alerts") else "application/json"})
                assert answer.status_code == 403
                assert "hurt" not in answer.text


def test_the_page_quotes_the_words_and_says_in_plain_english_what_they_weigh(world, match, alert):
    with contextlib.closing(world.browser("dsl")[0]) as client:
        text = " ".join(client.get(f"/alerts/{alert['id']}").text.split())
    assert f"{SEARCH[: match.start]}<mark>{SEARCH[match.start : match.end]}</mark>{SEARCH[match.end :]}" in text
    assert "Suicide and self-harm" in text
    assert "(enough: 50)" in text
    assert "no longer among the phrases" in text


def test_the_page_that_explains_shows_the_words_with_their_weight(world):
    with contextlib.closing(world.browser("teacher")[0]) as client:
        text = " ".join(client.get("/why", params={"url": "https://www.google.com/search?q=how+to+hurt+myself"}).text.split())
    assert "Words that matched" in text
    assert "(enough: 50)" in text


def test_words_on_the_page_are_text_and_no_markup(world):
    world.happen(
        user="markup-pupil", action="block", reason="typed-text", category="self-harm", level=5, path="/search",
        search='<img src=x onerror=alert(1)> how to hurt myself "', matches=("how to hurt myself", "<b>odd</b>"), rule="how to hurt myself",
    )  # fmt: skip
    found = world.eventually(lambda: next((a for a in world.alerts() if a["subject"] == "markup-pupil"), None))
    with contextlib.closing(world.browser("headteacher")[0]) as client:
        text = client.get(f"/alerts/{found['id']}").text
    assert "<img src=x" not in text
    assert "<b>odd" not in text
    assert "&lt;img src=x" in text


def trial(world, *sets):
    path = world.root / "run" / "keywords-abc123.json"
    path.write_bytes(msgspec.json.encode(sets))
    return {"file": path.name}


def operator(world):
    client = world.client()
    client.headers |= {"Authorization": "Bearer operator-secret", "X-Schoolgate-Operator": "ann"}
    return client


def test_the_command_line_tries_phrases_over_the_searches_of_the_running_console(world):
    world.happen(search="zebra crossing rules", user="zoe")
    mine = KeywordSet("self-harm", (Phrase("zebra crossing", 100, 5, TEXT_CONTEXTS),), "mine.toml:1")
    body = trial(world, *starter_sets(), mine)
    with operator(world) as client:
        found = world.eventually(lambda: (f := client.post("/api/v1/keyword-preview", json=body).json())["met"] and f)
        assert found["met"]["alerted"]["searches"] == 1
        assert found["met"]["alerted"]["phrases"] == [{"name": "zebra crossing", "searches": 1, "users": 1}]
        assert "zoe" not in msgspec.json.encode(found).decode()
        assert found["met"]["alerted"]["terms"] == []
        named = client.post("/api/v1/keyword-preview", json=body | {"terms": True}).json()
        assert named["met"]["alerted"]["terms"][0]["name"] == "zebra crossing rules"
        entries = client.get("/api/v1/audit", params={"limit": 1000}).json()["entries"]
    assert any(one["action"] == "events.read" and "other phrases" in str(one["detail"]) for one in entries)


@pytest.mark.parametrize("name", ["../policy.toml", "keywords-abc123.json/..", "operator.token", "keywords-.json", "keywords-nowhere.json"])
def test_no_other_file_is_read(world, name):
    with operator(world) as client:
        assert client.post("/api/v1/keyword-preview", json={"file": name}).status_code == 422


def test_phrases_that_are_no_phrases_are_refused(world):
    (world.root / "run" / "keywords-broken1.json").write_text("[{]")
    with operator(world) as client:
        assert client.post("/api/v1/keyword-preview", json={"file": "keywords-broken1.json"}).status_code == 422


def test_nobody_but_the_command_line_tries_phrases(world):
    body = trial(world)
    for role, status in (("administrator", 403), ("technician", 403), ("dsl", 403), ("teacher", 403), ("governor", 403)):
        with world.client(role) as client:
            assert client.post("/api/v1/keyword-preview", json=body).status_code == status
    with world.client() as client:
        assert client.post("/api/v1/keyword-preview", json=body).status_code == 401


def test_the_command_line_asks_the_running_console_and_leaves_nothing_behind(world):
    paths = StatePaths(world.root)
    paths.console_file.write_bytes(msgspec.json.encode({"url": world.url, "people": world.url}))
    world.happen(search="giraffe spotting", user="gus")
    mine = KeywordSet("self-harm", (Phrase("giraffe spotting", 100, 5, TEXT_CONTEXTS),), "mine.toml:1")
    before = set(paths.run.glob("keywords-*"))
    with store_lock(paths) as held:
        assert held
        found = world.eventually(
            lambda: (f := keywording.replay_of(paths, world.analyser.ruleset, (*starter_sets(), mine))) is not None and f.met and f
        )
    assert set(found.met) == {"alerted", "blocked"}
    assert (found.met["alerted"].searches, found.met["alerted"].phrases[0].name) == (1, "giraffe spotting")
    assert set(paths.run.glob("keywords-*")) == before


def test_a_console_that_is_still_starting_is_no_end_of_the_command(world, capsys, monkeypatch):
    monkeypatch.setattr(ask, "PATIENCE", 0.3)
    paths = StatePaths(world.root)
    paths.console_file.unlink(missing_ok=True)
    with store_lock(paths) as held:
        assert held
        assert keywording.replay_of(paths, world.analyser.ruleset, starter_sets()) is None
    assert "starting or stopping" in capsys.readouterr().err


def test_a_command_waits_for_a_console_that_starts_after_one_that_was_killed(world):
    paths = StatePaths(world.root)
    paths.console_file.write_bytes(msgspec.json.encode({"url": "http://127.0.0.1:1", "people": ""}))  # its address stays behind
    timer = threading.Timer(0.5, lambda: paths.console_file.write_bytes(msgspec.json.encode({"url": world.url, "people": world.url})))
    timer.start()
    try:
        ask.console_of(paths).close()
    finally:
        timer.join()
