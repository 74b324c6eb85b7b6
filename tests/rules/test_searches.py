"""Search terms: every engine of the Matomo list, suggestion calls, and addresses that search nothing."""

from pathlib import Path
from urllib.parse import quote_plus

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from blocklists.url import UrlError, canonicalise
from rules.searches import SearchEngines

ENGINES = SearchEngines.load()


@pytest.fixture(scope="module")
def engines() -> SearchEngines:
    return ENGINES


def test_every_engine_of_the_matomo_list_gives_its_term(engines: SearchEngines, shared_data: Path) -> None:
    data = yaml.safe_load((shared_data / "conformance" / "matomo_SearchEngines.yml").read_text(encoding="utf-8"))
    missed, asked = [], 0
    for name, definitions in data.items():
        for definition in definitions:
            params = [str(param) for param in definition.get("params") or () if param and not str(param).startswith("/")]
            for address in definition["urls"]:
                if "//" in address:  # the name of an app, no web address
                    continue
                host, slash, path = str(address).partition("/")
                host = "uk." + host.removeprefix("{}.") if host.startswith("{}") else host
                for country in ("de", "co.uk") if host.endswith("{}") else ("de",):
                    for param in params:
                        url = f"http://{host.replace('{}', country)}/{path if slash else ''}?x=1&{param}={quote_plus('öl & gas+1')}&y=2"
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


def test_term_of_a_form_that_is_sent(engines: SearchEngines) -> None:
    term = engines.term_of_form(canonicalise("https://duckduckgo.com/html/"), {"q": "volcano", "kl": "uk"})
    assert term is not None
    assert term.text == "volcano"
    assert engines.term_of_form(canonicalise("https://example.org/"), {"q": "volcano"}) is None


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
