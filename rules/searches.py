"""What somebody searches for: the term in the address of a search engine (facts of the Matomo list, CC0)."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote_to_bytes

import yaml

from blocklists.url import CanonicalUrl
from rules.fields import form_fields

STARTER_FILE = Path(__file__).with_name("data") / "search_engines.yml"
MAX_TERM = 2_000
"""Characters of a term that are kept."""
_GRAPHQL = re.compile(r"\s*(?:(?:query|mutation|subscription)\b[^{]{0,2000})?\{")
_SECOND_LEVEL = frozenset({"co", "com", "org", "net", "edu", "gov", "ac", "or", "ne", "go", "in", "web"})


class SearchTerm(NamedTuple):
    """A search."""

    text: str
    partial: bool
    """True for a call for suggestions while somebody still types."""
    engine: str


class _Engine(NamedTuple):
    name: str
    path: str
    """Only addresses whose path starts with this; empty for all."""
    params: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    """Search terms inside the path: first group."""
    charsets: tuple[str, ...]
    partial: bool


class SearchEngines:
    """Search engines by host; for any other host a look-up costs one cached call."""

    def __init__(self, engines: Mapping[str, tuple[_Engine, ...]]) -> None:
        self._by_host = dict(engines)
        self._engines_of = lru_cache(maxsize=8_192)(self._find)

    @classmethod
    def load(cls, path: Path = STARTER_FILE) -> Self:
        """Read a file of engines; raises `ValueError` with a sentence when it is damaged."""
        try:
            data = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe loaders
            return cls.of(data)
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, re.error) as error:
            raise ValueError(f"The list of search engines {path} can't be read: {error}.") from None

    @classmethod
    def of(cls, data: Mapping[str, Iterable[Mapping[str, Any]]]) -> Self:
        """Build from values in the form of the Matomo list: name -> [{urls, params, charsets, partial}]."""
        by_host: dict[str, list[_Engine]] = {}
        for name, definitions in data.items():
            for definition in definitions:
                params = [str(param) for param in definition.get("params") or () if param]
                plain = tuple(param for param in params if not _is_pattern(param))
                patterns = tuple(_compiled(param) for param in params if _is_pattern(param))
                charsets = tuple(str(charset) for charset in definition.get("charsets") or ())
                for address in definition["urls"]:
                    host, slash, path = str(address).lower().partition("/")
                    engine = _Engine(str(name), slash + path, plain, patterns, charsets, bool(definition.get("partial")))
                    by_host.setdefault(host, []).append(engine)
        # The longest path first: "/complete/search" before the engine's every other page.
        return cls({host: tuple(sorted(found, key=lambda one: -len(one.path))) for host, found in by_host.items()})

    def __len__(self) -> int:
        return len(self._by_host)

    def term_of(self, url: CanonicalUrl) -> SearchTerm | None:
        """Return what the address searches for, or None."""
        engines = self._engines_of(url.host)
        if not engines:
            return None
        query = url.raw_query
        return self._term(engines, url, _pairs(query) if query else {})

    def term_of_body(self, url: CanonicalUrl, body: bytes, media_type: str) -> SearchTerm | None:
        """Return what a form or JSON sent to the address searches for, or None."""
        engines = self._engines_of(url.host)
        if not engines:
            return None
        if media_type.partition(";")[0].strip().lower() in ("", "application/x-www-form-urlencoded"):
            # Like the query of an address, and in the engine's own character sets.
            found = self._term(engines, url, _pairs(body.decode("latin-1")))
            if found is not None:
                return found
        return self.term_of_form(url, form_fields(body, media_type))

    def term_of_form(self, url: CanonicalUrl, fields: Iterable[tuple[str, str]]) -> SearchTerm | None:
        """Return what (field name, value) pairs sent to the address search for, or None; values are decoded."""
        named: dict[str, str] = {}
        for name, value in fields:
            # The text of a GraphQL query is no search, though engines name their field so.
            if name and not _GRAPHQL.match(value):
                named.setdefault(name, value)
        for engine in self._engines_of(url.host):
            if _lies_in(url.path.lower(), engine.path):
                for param in engine.params:
                    text = named.get(param, "").strip()
                    if text:
                        return SearchTerm(text[:MAX_TERM], engine.partial, engine.name)
        return None

    def _term(self, engines: tuple[_Engine, ...], url: CanonicalUrl, pairs: dict[str, list[bytes]]) -> SearchTerm | None:
        path = url.path.lower()
        for engine in engines:
            if engine.path and not _lies_in(path, engine.path):
                continue
            text = ""
            for param in engine.params:
                # The first that is there; Google's forms for more ("as_epq": with exactly these words) search along with it.
                values = pairs.get(param) if not text or param.startswith("as_") else None
                if values:
                    text = f"{text} {' '.join(_decode(value, engine.charsets) for value in values)}".strip()
            if text:
                return SearchTerm(text[:MAX_TERM], engine.partial, engine.name)
            for pattern in engine.patterns:
                match = pattern.search(url.path_and_query)
                if match is not None and match.groups() and match[1]:
                    text = _decode(unquote_to_bytes(match[1].replace("+", " ").encode("utf-8", "replace")), engine.charsets).strip()
                    if text:
                        return SearchTerm(text[:MAX_TERM], engine.partial, engine.name)
        return None

    def _find(self, host: str) -> tuple[_Engine, ...]:
        """Return the engines of a host: its own, with and without `www.`, and by country (`google.{}`, `{}.bing.com`)."""
        found: dict[_Engine, None] = {}
        bare = host.removeprefix("www.")
        for name in dict.fromkeys((host, bare, "www." + bare)):
            for key in _shapes(name):
                for engine in self._by_host.get(key, ()):
                    found.setdefault(engine)
        return tuple(sorted(found, key=lambda one: -len(one.path)))


def _shapes(host: str) -> Iterable[str]:
    yield host
    labels = host.split(".")
    if len(labels) < 2:
        return
    yield ".".join(labels[:-1]) + ".{}"
    if len(labels) > 2 and labels[-2] in _SECOND_LEVEL:
        yield ".".join(labels[:-2]) + ".{}"
    if len(labels) > 2:
        yield "{}." + ".".join(labels[1:])
    if len(labels) > 3:
        yield f"{labels[0]}.{{}}." + ".".join(labels[2:])


def _lies_in(path: str, start: str) -> bool:
    """True when a path is `start` or continues it at an edge: "/search" is not in "/s"."""
    return path.startswith(start) and (not start or start.endswith("/") or path[len(start) : len(start) + 1] in ("", "/"))


def _is_pattern(param: str) -> bool:
    return len(param) > 2 and param.startswith("/") and param.endswith("/")


def _compiled(param: str) -> re.Pattern[str]:
    return re.compile(param[1:-1].replace(r"\/", "/"))


MAX_FIELDS = 4_000


def _pairs(query: str) -> dict[str, list[bytes]]:
    """Split a query as browsers do (URL standard, application/x-www-form-urlencoded); at most `MAX_FIELDS` fields."""
    pairs: dict[str, list[bytes]] = {}
    for part in query.split("&", MAX_FIELDS)[:MAX_FIELDS]:
        name, _, value = part.partition("=")
        if value:
            key = unquote_to_bytes(name).decode("utf-8", "replace") if "%" in name else name
            text = unquote_to_bytes(value.replace("+", " "))
            pairs.setdefault(key, []).append(text)
            if not key.islower() and (lower := key.lower()) != key:
                # Some engines don't tell "Q" from "q".
                pairs.setdefault(lower, []).append(text)
    return pairs


def _decode(data: bytes, charsets: tuple[str, ...]) -> str:
    """Decode bytes as UTF-8 where they are, else in the engine's own character sets."""
    for charset in ("utf-8", *charsets, "cp1252"):
        try:
            return data.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("latin-1")
