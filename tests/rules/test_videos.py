"""Titles of videos: where they stand in pages and in what players load."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import canonicalise
from rules.videos import LONGEST, is_player_call, shows_videos, title_of


@pytest.mark.parametrize(
    ("url", "site", "player"),
    [
        ("https://www.youtube.com/watch?v=x", True, False), ("https://www.youtube.com/youtubei/v1/player?key=x", True, True),
        ("https://www.youtube.com/youtubei/v1/next", True, False), ("https://player.vimeo.com/video/123/config", True, True),
        ("https://notyoutube.com/youtubei/v1/player", False, False), ("https://youtube.com.example.org/", False, False),
    ],
)  # fmt: skip
def test_video_sites_and_the_calls_of_their_players(url: str, site: bool, player: bool) -> None:
    assert (shows_videos(canonicalise(url)), is_player_call(canonicalise(url))) == (site, player)


@pytest.mark.parametrize(
    ("page", "title"),
    [
        (b"<html><head><title>Canals &amp; ships - YouTube</title>", "Canals & ships - YouTube"),
        (b'<title>YouTube</title><meta property="og:title" content="Canals &amp; ships">', "Canals & ships"),
        (b"<title></title>", ""), (b"no page", ""),
    ],
)  # fmt: skip
def test_the_title_of_a_page(page: bytes, title: str) -> None:
    assert title_of(page, "text/html; charset=utf-8") == title


@pytest.mark.parametrize(
    "answer",
    [
        {"videoDetails": {"videoId": "x", "title": "Canals"}}, {"title": "Canals", "thumbnail": {}},
        {"request": {}, "video": {"title": "Canals", "id": 1}}, {"itemInfo": {"itemStruct": {"desc": "Canals"}}},
    ],
)  # fmt: skip
def test_the_title_in_what_a_player_loads(answer: object) -> None:
    assert title_of(json.dumps(answer).encode(), "application/json") == "Canals"


@given(st.binary(max_size=300), st.sampled_from(["text/html", "application/json"]))
def test_no_body_makes_it_fail(body: bytes, media_type: str) -> None:
    assert len(title_of(body, media_type)) <= LONGEST


@given(
    st.recursive(st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from(["title", "video", "data", "x"]), inner), max_leaves=8)
)
def test_no_answer_makes_it_fail(answer: object) -> None:
    title_of(json.dumps(answer).encode(), "application/json")
