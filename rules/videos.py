"""Titles of the videos that somebody opens: short texts that say what is shown."""

import html
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from blocklists.url import CanonicalUrl

LONGEST = 1_000
_PLAYER = re.compile(r"/(?:youtubei/v\d+/player|player/|oembed|api/(?:player|v\d+/video)|video/\d+/config)", re.IGNORECASE)
"""Calls by which players ask what they are to show; lists of further videos come by others."""
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,2000})", re.IGNORECASE)
_SHARED = re.compile(
    rb"""<meta\s[^>]{0,200}?(?:property|name)\s*=\s*["']?(?:og|twitter):title["'\s][^>]{0,200}?content\s*=\s*(?:"([^"]{1,2000})"|'([^']{1,2000})')""",
    re.IGNORECASE,
)
_HEAD = 200_000
"""Bytes of a page in which its title stands; video sites have long heads."""
_HOLDERS = ("videoDetails", "video", "clip", "itemInfo", "itemStruct", "data")
_decoder = msgspec.json.Decoder()


@lru_cache(maxsize=1)
def _hosts() -> frozenset[str]:
    lines = (Path(__file__).with_name("data") / "video_hosts.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(entry for line in lines if (entry := line.partition("#")[0].strip().lower()))


@lru_cache(maxsize=8_192)
def _shows_videos(host: str) -> bool:
    labels = host.split(".")
    return any(".".join(labels[start:]) in _hosts() for start in range(len(labels)))


def shows_videos(url: CanonicalUrl) -> bool:
    """True for an address of a video site."""
    return _shows_videos(url.host)


def is_player_call(url: CanonicalUrl) -> bool:
    """True for a call by which a video site's player asks for one video."""
    return shows_videos(url) and _PLAYER.match(url.path) is not None


def title_of(body: bytes, media_type: str) -> str:
    """Return the title of the video in a page or in a player's answer, at most `LONGEST` characters; empty when there is none."""
    if "json" in media_type.lower():
        return _title_in(body)[:LONGEST]
    found = _SHARED.search(body, 0, _HEAD) or _TITLE.search(body, 0, _HEAD)
    if found is None:
        return ""
    text = next(group for group in found.groups() if group is not None).decode("utf-8", "replace")
    return " ".join(html.unescape(text).split())[:LONGEST]


def _title_in(body: bytes) -> str:
    try:
        value: Any = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    for _ in range(len(_HOLDERS)):
        if not isinstance(value, dict):
            return ""
        for key in ("title", "desc"):
            if isinstance(value.get(key), str):
                return str(value[key])
        value = next((value[name] for name in _HOLDERS if isinstance(value.get(name), dict)), None)
    return ""
