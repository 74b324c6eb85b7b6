"""Search terms: every engine of the Matomo list, suggestion calls, and addresses that search nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import UrlError, canonicalise
from rules.searches import SearchEngines

ENGINES = SearchEngines.load()
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def engines() -> SearchEngines:
    return ENGINES


def matomo(shared_data: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, host, path and parameter of each engine; `{}` at the host's end stands for a country."""
    data = yaml.safe_load((shared_data / "conformance" / "matomo_SearchEngines.yml").read_text(encoding="utf-8"))
    for name, definitions in data.items():
        for definition in definitions:
            params = [str(param) for param in definition.get("params") or () if param and not str(param).startswith("/")]
            for address in definition["urls"]:
                if "//" in address:  # the name of an app, no web address
                    continue
                host, _, path = str(address).partition("/")
                host = "uk." + host.removeprefix("{}.") if host.startswith("{}") else host
                for param in params:
                    yield name, host, path, param


def test_every_engine_of_the_matomo_list_gives_its_term(engines: SearchEngines, shared_data: Path) -> None:
    missed, asked = [], 0
    for name, host, path, param in matomo(shared_data):
        for country in ("de", "co.uk") if host.endswith("{}") else ("de",):
            url = f"http://{host.replace('{}', country)}/{path}?x=1&{param}={quote_plus('öl & gas+1')}&y=2"
            asked += 1
            term = engines.term_of(canonicalise(url))
            if term is None or term.text != "öl & gas+1":
                missed.append((name, url, term))
    assert asked > 800
    assert missed == [], missed


@pytest.mark.parametrize(
    ("url", "text", "partial"),
    [
        ("https://www.google.co.uk/search?q=how+to+%26+fly&hl=en", "how to & fly", False),
        ("https://www.google.com/complete/search?client=chrome&q=ho", "ho", True),
        ("https://suggestqueries.google.com/complete/search?client=firefox&q=vol", "vol", True),
        ("https://clients1.google.com/complete/search?q=vol&client=youtube", "vol", True),
        ("https://www.bing.com/search?q=volcano", "volcano", False),
        ("https://www.bing.com/AS/Suggestions?pt=page.home&qry=vol", "vol", True),
        ("https://api.bing.com/osjson.aspx?query=vol", "vol", True),
        ("https://duckduckgo.com/?q=volcano&ia=web", "volcano", False),
        ("https://duckduckgo.com/ac/?q=vol", "vol", True),
        ("https://uk.search.yahoo.com/search?p=volcano", "volcano", False),
        ("https://search.yahoo.com/sugg/gossip/gossip-us-ura/?command=vol", "vol", True),
        ("https://www.youtube.com/results?search_query=volcano", "volcano", False),
        ("https://ac.ecosia.org/autocomplete?q=vol", "vol", True),
        ("https://www.ecosia.org/search?q=volcano", "volcano", False),
        ("https://search.brave.com/search?q=volcano", "volcano", False),
        ("https://search.brave.com/api/suggest?q=vol", "vol", True),
        ("https://www.startpage.com/suggestions?q=vol", "vol", True),
        ("https://www.baidu.com/s?wd=%B1%B1%BE%A9", "北京", False),
        ("https://www.google.com/search?q=a&q=b", "a b", False),
        ("https://www.google.com/search?as_q=big+volcano", "big volcano", False),
        ("https://www.google.com/search?q=big&as_epq=red+volcano&as_oq=lava", "big red volcano lava", False),
        ("https://html.duckduckgo.com/html/?q=volcano", "volcano", False),
        ("https://lite.duckduckgo.com/lite/?q=volcano", "volcano", False),
        ("https://start.duckduckgo.com/?q=volcano", "volcano", False),
        ("https://uk.images.search.yahoo.com/search/images?p=volcano", "volcano", False),
        ("https://www.bing.com/search?Q=volcano", "volcano", False),
    ],
)
def test_engines_that_pupils_use(engines: SearchEngines, url: str, text: str, partial: bool) -> None:
    term = engines.term_of(canonicalise(url))
    assert term is not None
    assert (term.text, term.partial) == (text, partial)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/?q=volcano",
        "https://www.google.co.uk/",
        "https://www.google.com/search?q=",
        "https://notgoogle.example/search?q=x",
        "https://google.com.evil.example/search?q=x",
    ],
)
def test_addresses_that_search_nothing(engines: SearchEngines, url: str) -> None:
    assert engines.term_of(canonicalise(url)) is None


def test_every_engine_gives_its_term_when_it_is_posted(engines: SearchEngines, shared_data: Path) -> None:
    missed, asked = [], 0
    for name, host, path, param in matomo(shared_data):
        url = canonicalise(f"http://{host.replace('{}', 'de')}/{path}")
        form = f"x=1&{quote_plus(param)}={quote_plus('öl & gas+1')}&y=2".encode()
        for body, kind in ((form, FORM), (json.dumps({"a": {param: "öl & gas+1"}}).encode(), "application/json")):
            asked += 1
            term = engines.term_of_body(url, body, kind)
            if term is None or term.text != "öl & gas+1":
                missed.append((name, host, param, kind, term))
    assert asked > 1500
    assert missed == [], missed


def test_terms_inside_the_path_are_found(engines: SearchEngines, shared_data: Path) -> None:
    data = yaml.safe_load((shared_data / "conformance" / "matomo_SearchEngines.yml").read_text(encoding="utf-8"))
    asked = 0
    for definition in (one for definitions in data.values() for one in definitions):
        link = str(definition.get("backlink") or "")
        # A pattern for the engine's cached pages is not what its own form links to.
        if not any(str(param).startswith("/") for param in definition.get("params") or ()) or "cache" in str(definition) or not link:
            continue
        for address in definition["urls"]:
            host = str(address).partition("/")[0].replace("{}", "de")
            term = engines.term_of(canonicalise(f"http://{host}/{link.replace('{k}', 'canal+ships')}"))
            asked += 1
            assert term is not None, (address, link)
            assert term.text == "canal ships", (address, link)
    assert asked >= 8


def test_term_of_a_form_that_is_sent(engines: SearchEngines) -> None:
    duck = canonicalise("https://duckduckgo.com/html/")
    for body, kind in (
        (b"q=volcano&kl=uk", FORM), (b'{"q": "volcano"}', "application/json"), (b'{"variables": {"q": "volcano"}}', "text/plain"),
        (b'--B\r\nContent-Disposition: form-data; name="q"\r\n\r\nvolcano\r\n--B--', "multipart/form-data; boundary=B"),
    ):  # fmt: skip
        term = engines.term_of_body(duck, body, kind)
        assert term is not None, kind
        assert (term.text, term.partial) == ("volcano", False)
        assert engines.term_of_body(canonicalise("https://example.org/"), body, kind) is None


def test_a_posted_term_is_read_in_the_character_set_of_its_engine(engines: SearchEngines) -> None:
    term = engines.term_of_body(canonicalise("https://www.baidu.com/s"), b"wd=%B1%B1%BE%A9", FORM)
    assert term is not None
    assert term.text == "北京"


def test_suggestions_that_are_posted_are_partial(engines: SearchEngines) -> None:
    term = engines.term_of_body(canonicalise("https://search.brave.com/api/suggest"), b'{"q": "volc"}', "application/json")
    assert term is not None
    assert term.partial


def test_the_text_of_a_graphql_query_is_no_search(engines: SearchEngines) -> None:
    body = b'{"query": "query Search($q: String!) { search(q: $q) { title } }", "variables": {"query": "volcano"}}'
    term = engines.term_of_body(canonicalise("https://swisscows.com/"), body, "application/json")
    assert term is not None
    assert term.text == "volcano"


def test_damaged_list_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "engines.yml").write_text("a: [1")
    with pytest.raises(ValueError, match="can't be read"):
        SearchEngines.load(tmp_path / "engines.yml")


@given(st.text(max_size=100))
def test_any_query_of_an_engine_is_read_without_a_fault(query: str) -> None:
    try:
        url = canonicalise("https://www.google.com/search?q=" + query)
    except UrlError:
        return
    ENGINES.term_of(url)
