"""Values of the policy's plain sections, and the score of one category of words."""

from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec


class School(msgspec.Struct, frozen=True):
    """Section `[school]`."""

    name: str
    site: str
    timezone: ZoneInfo
    contact: str


class Gateway(msgspec.Struct, frozen=True):
    """Section `[gateway]`, apart from what `Safety` holds."""

    own_host: str
    connect_ports: frozenset[int]
    trusted_ca: str
    """Full path, or empty."""
    hosts: dict[str, str]
    """Address by canonical host: taken instead of DNS."""
    splice: frozenset[str]
    require_sign_in: bool
    header_seconds: int
    idle_seconds: int
    max_connections: int


class Limits(msgspec.Struct, frozen=True):
    """Section `[limits]`."""

    grant_minutes: int
    continue_minutes: int
    form_bytes: int
    page_bytes: int
    page_characters: int


class Retention(msgspec.Struct, frozen=True):
    """Section `[retention]`."""

    event_days: int = 90


class TextSettings(msgspec.Struct, frozen=True):
    """Section `[text]`."""

    pages: bool
    typed: bool
    skip_hosts: frozenset[str]
    alert_level: int
    thresholds: dict[str, int]
    """Weight to reach, by context."""
    private_categories: frozenset[str] = frozenset()
    model: bool = True
    model_blocks: bool = False


class Category(msgspec.Struct, frozen=True):
    """Section `[categories.<name>]`."""

    name: str
    title: str
    theme: str
    level: int
    includes: tuple[str, ...]


class ThemeScore(NamedTuple):
    """What a text weighs in one category."""

    category: str
    level: int
    score: float
    phrase: str
    """The phrase that weighed most."""
    lowered: int = 0
    """Levels that harmless words took off."""
    stops: bool = True
    """False when its weight comes from words that somebody should hear of and that nothing is stopped for: despair, worry."""
