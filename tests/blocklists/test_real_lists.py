"""Real lists: counts against an independent count, entries found in other spellings, near misses not found."""

import csv
import gzip
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklists.host import is_public_suffix
from blocklists.index import ListIndex
from blocklists.library import Library, LoadReport
from blocklists.url import CanonicalUrl, canonicalise

SAMPLE = 4_000


@pytest.fixture(scope="module")
def loaded(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, LoadReport]:
    library = Library(tmp_path_factory.mktemp("lists"))
    report = library.load("ut1", shared_data / "domains/ut1-blacklists.tar.gz", "ut1")
    library.compile()
    return library, report


@pytest.fixture(scope="module")
def index(loaded: tuple[Library, LoadReport]) -> Iterator[ListIndex]:
    index = loaded[0].open_index()
    yield index
    index.close()


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> dict[tuple[str, str], list[str]]:
    """Every line of the archive, by category and file, read without the package's code."""
    result: dict[tuple[str, str], list[str]] = {}
    with tarfile.open(shared_data / "domains/ut1-blacklists.tar.gz") as archive:
        for member in archive:
            _, category, name = member.name.split("/")
            file = archive.extractfile(member)
            if name in ("domains", "urls") and file is not None:
                result[category, name] = file.read().decode().split()
    return result


def test_every_category_has_as_many_entries_as_an_independent_count(shared_data: Path, loaded: tuple[Library, LoadReport]) -> None:
    report = loaded[1]
    refused: dict[str, int] = {}
    for line in report.refusals:
        refused[line.file.split("/")[1]] = refused.get(line.file.split("/")[1], 0) + 1
    with (shared_data / "domains/ut1-category-counts.csv").open() as file:
        wanted = {row["category"]: int(row["domains"]) + int(row["urls"]) for row in csv.DictReader(file)}
    assert report.refused == len(report.refusals) < 50
    assert {name: count + refused.get(name, 0) for name, count in report.categories.items()} == wanted


def test_refused_lines_are_registries(loaded: tuple[Library, LoadReport]) -> None:
    for line in loaded[1].refusals:
        assert is_public_suffix(line.text), line


def test_benign_categories_are_named(loaded: tuple[Library, LoadReport]) -> None:
    assert {"child", "liste_bu", "sexual_education", "update"} <= set(loaded[1].benign_categories)
    assert "gambling" not in loaded[1].benign_categories


def categories(index: ListIndex, text: str | CanonicalUrl) -> set[str]:
    return {hit.category for hit in index.lookup(canonicalise(text) if isinstance(text, str) else text)}


def test_domains_are_found_in_every_spelling(index: ListIndex, lines: dict[tuple[str, str], list[str]]) -> None:
    domains = [
        (category, host) for (category, name), hosts in lines.items() if name == "domains" for host in hosts if not is_public_suffix(host)
    ]
    for category, host in random.Random(7).sample(domains, SAMPLE):
        spellings = [f"http://{host}/", f"https://{host.upper()}:8443/a?b", f"http://{host}./", f"http://user:pw@{host}/x"]
        if not canonicalise(f"http://{host}/").is_address:
            spellings += [f"http://www.{host}/", f"http://a.b.{host}/"]
        for text in spellings:
            assert category in categories(index, text), text


def test_near_misses_of_domains_are_not_found(index: ListIndex, lines: dict[tuple[str, str], list[str]]) -> None:
    everything = {host for (_, name), hosts in lines.items() if name == "domains" for host in hosts}
    with_paths = {url.partition("/")[0].removeprefix("www.") for (_, name), urls in lines.items() if name == "urls" for url in urls}
    checked = 0
    for host in random.Random(8).sample(sorted(everything), SAMPLE):
        for near in (f"not{host}", f"{host}.not-listed.test", host.partition(".")[2]):
            # A word in front of an IPv4 address makes a name that no browser opens.
            suffixes = canonicalise(f"http://{near}/").host_suffixes if near and not near.rpartition(".")[2].isdigit() else ()
            if not suffixes or not everything.isdisjoint(suffixes) or suffixes[0] in with_paths:
                continue
            assert categories(index, f"http://{near}/") == set(), near
            checked += 1
    assert checked > SAMPLE


def test_urls_are_found_with_their_path_and_not_beside_it(index: ListIndex, lines: dict[tuple[str, str], list[str]]) -> None:
    urls = [(category, url) for (category, name), texts in lines.items() if name == "urls" for url in texts]
    listed_hosts = {host for (_, name), hosts in lines.items() if name == "domains" for host in hosts}
    for category, text in random.Random(9).sample(urls, SAMPLE):
        url = canonicalise(text)
        assert category in categories(index, url), text
        assert category in categories(index, f"https://www.{text}" if not url.is_address else f"https://{text}"), text
        if url.query is None and url.path != "/":
            assert category in categories(index, f"http://{text.rstrip('/')}/below/it.html?x=1"), text
            sibling = canonicalise(f"http://{url.host}{url.path.rstrip('/')}-sibling-not-listed")
            if listed_hosts.isdisjoint(sibling.host_suffixes):
                assert all(hit.entry != f"{url.host_facts.bare}{url.path.rstrip('/')}" for hit in index.lookup(sibling)), text


@pytest.mark.parametrize("name", ["gambling", "pornography", "social"])
def test_hosts_files_have_as_many_entries_as_an_independent_count(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / f"domains/sinfonietta-{name}-hosts.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [line.partition("#")[0].split() for line in file]
    own = {"localhost", "localhost.localdomain", "local", "0.0.0.0"}
    wanted = sum(
        len([name for name in row[1:] if name not in own])
        for row in rows
        if row and (row[0] in ("0.0.0.0", "::1") or row[0].startswith("127."))
    )
    report = Library(tmp_path).load(name, path, "hosts", name)
    assert report.entries + report.refused == wanted
    assert report.refused < 5


def test_plain_and_hosts_and_domain_files_of_one_list_agree(shared_data: Path, tmp_path: Path) -> None:
    library = Library(tmp_path)
    folder = shared_data / "domains/formats-same-list"
    domains = library.load("d", folder / "domains.txt.gz", "domains", "ads")
    wildcards = library.load("w", folder / "wildcard-blocklist.txt.gz", "domains", "ads")
    # All 29,498 names but one: biz.id is a public suffix since the list was made.
    assert domains.entries == wildcards.entries == 29_497
    assert [line.reason for line in domains.refusals] == [line.reason for line in wildcards.refusals]
    library.compile()
    index = library.open_index()
    for host in _hosts(folder / "domains.txt.gz"):
        hits = index.lookup(canonicalise(f"http://{host}/"))
        assert host == "biz.id" or {(hit.list, hit.entry) for hit in hits} >= {("d", host), ("w", host)}


def _hosts(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")][:2_000]
