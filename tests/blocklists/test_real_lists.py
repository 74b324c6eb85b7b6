"""Real lists: counts against an independent count, entries found in other spellings, near misses not found."""

import csv
import gzip
import ipaddress
import json
import random
import re
import tarfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklists.formats.detect import detect
from blocklists.host import is_public_suffix
from blocklists.index import ListIndex
from blocklists.library import Library
from blocklists.reports import LoadReport
from blocklists.stored import read_sections
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


WHOLE_HOST_RULE = re.compile(r"\|\|([^/^$|*\s]+)\^(?:\$(?:all|document|important|doc)(?:,(?:all|document|important|doc))*)?")
SIX = ["domains", "hosts", "wildcard", "unbound", "rpz", "adblock"]


def test_the_same_list_in_six_syntaxes_gives_the_same_set(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "domains/formats-same-list"
    files = {"domains": "domains.txt.gz", "adblock": "blocklist.txt.gz"}
    found: dict[str, set[str]] = {}
    library = Library(tmp_path)
    for name in SIX:
        report = library.load(name, folder / files.get(name, f"{name}-blocklist.txt.gz"), None, "ads", subdomains=True)
        assert report.format == name
        found[name] = stored_entries(library, name)
    names = set(gzip.decompress((folder / "domains.txt.gz").read_bytes()).decode().split())
    assert len(names) == 29_498
    # All names but one: biz.id is a public suffix since the list was made.
    for name in SIX[:-1]:
        assert found[name] == names - {"biz.id"}, name
    # The AdBlock file holds more than the others, by its manifest; an independent reading of its whole-host rules agrees.
    with gzip.open(folder / "blocklist.txt.gz", "rt", encoding="utf-8") as file:
        rules = {match[1] for line in file if (match := WHOLE_HOST_RULE.fullmatch(line.strip()))}
    # Six of its names are written in Unicode, four of those with ligatures.
    assert found["adblock"] == {unicodedata.normalize("NFKC", rule).encode("idna").decode() for rule in rules} - {"biz.id"}
    assert len(found["domains"] - found["adblock"]) < 10


def stored_entries(library: Library, name: str) -> set[str]:
    stored = library.stored(name)
    sections = read_sections(library.entries_path(stored), stored)
    return {entry.decode() for section in sections if not section.allow for entry in section.data.split()}


# File, format, entries and refused lines together by a count that does not use the package: see `counted`.
EVERY_FILE = [
    ("domains/adblock/easylist.txt.gz", "adblock"), ("domains/doh/doh-domains.txt", "domains"), ("domains/doh/doh-ipv4.txt", "networks"),
    ("domains/doh/doh-ipv6.txt", "networks"), ("domains/formats-same-list/blocklist.txt.gz", "adblock"),
    ("domains/formats-same-list/blp-tiktok.dnsmasq.txt.gz", "dnsmasq"), ("domains/formats-same-list/domains.txt.gz", "domains"),
    ("domains/formats-same-list/hosts-blocklist.txt.gz", "hosts"), ("domains/formats-same-list/rpz-blocklist.txt.gz", "rpz"),
    ("domains/formats-same-list/unbound-blocklist.txt.gz", "unbound"), ("domains/formats-same-list/wildcard-blocklist.txt.gz", "wildcard"),
    ("domains/porn-in-top1m.list.gz", "domains"), ("domains/sinfonietta-gambling-hosts.gz", "hosts"),
    ("domains/sinfonietta-pornography-hosts.gz", "hosts"), ("domains/sinfonietta-social-hosts.gz", "hosts"),
    ("domains/stevenblack-2022.domains.txt.gz", "domains"), ("domains/ut1-blacklists.tar.gz", "ut1"),
    ("domains/vpn/x4bnet-vpn-ipv4.txt.gz", "networks"), ("domains/vpn/x4bnet-vpn-ipv6.txt", "networks"),
    ("services-allow/adguard-https-exclusions.tar.gz", "exclusions"), ("services-allow/moz-top-sites.json", "json"),
    ("services-allow/ms365-endpoints-worldwide.json", "json"), ("services-allow/nextdns-services.tar.gz", "nextdns"),
    ("services-allow/opendns-random-domains.txt.gz", "domains"), ("services-allow/opendns-top-domains.txt.gz", "domains"),
    ("services-allow/pihole-whitelist.txt", "domains"), ("services-allow/v2fly-domain-list.tar.gz", "v2fly"),
    ("services-allow/zen-mitm-exclusions.tar.gz", "exclusions"),
]  # fmt: skip


def test_no_list_file_is_left_out(shared_data: Path) -> None:
    there = {path.relative_to(shared_data).as_posix() for name in ("domains", "services-allow") for path in (shared_data / name).rglob("*")}
    others = {"domains/ut1-category-counts.csv", "domains/adblock/regressions.tsv", "domains/adblock/matching-test-requests.json.gz"}
    lists = {name for name in there if "." in name.rsplit("/", 1)[-1] or name.endswith("gz")} - others
    assert {name for name in lists if not name.endswith("MANIFEST.md")} == {name for name, _ in EVERY_FILE}


@pytest.mark.parametrize(("name", "format_"), EVERY_FILE)
def test_every_list_is_recognised_and_has_as_many_entries_as_an_independent_count(
    shared_data: Path, tmp_path: Path, name: str, format_: str
) -> None:
    path = shared_data / name
    guess = detect(path)
    assert guess.format == format_
    assert guess.confidence > 0.5
    category = None if format_ in ("ut1", "v2fly", "nextdns", "exclusions") else "c"
    report = Library(tmp_path).load("l", path, None, category)
    if format_ not in ("v2fly", "adblock"):  # v2fly: its includes are counted below; AdBlock: refused rules are no entries
        # What a tree skips are whole files of expressions, which nobody asked for.
        assert report.entries + report.refused + (report.skipped if format_ != "ut1" else 0) == counted(path, format_)
    assert report.refused <= report.entries * 0.03


def counted(path: Path, format_: str) -> int:
    """Count a list's entries without the package's code."""
    if format_ in ("ut1", "nextdns", "exclusions"):
        total = 0
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                file = archive.extractfile(member)
                if file is not None and (format_ != "ut1" or name in ("domains", "urls")) and name != "LICENSE":
                    total += sum(1 for line in file.read().decode().splitlines() if is_entry(line))
        return total
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if format_ == "json":
        items = json.loads(data)
        return sum(len([*item.get("urls", ()), *item.get("ips", ())]) + ("rootDomain" in item) for item in items)
    text = data.decode()
    if format_ == "hosts":
        own = {"localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0", "ip6-localhost", "ip6-loopback", "ip6-localnet",
               "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"}  # fmt: skip
        return sum(len(set(line.partition("#")[0].split()[1:]) - own) for line in text.splitlines())
    return sum(1 for line in text.splitlines() if is_entry(line))


def is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith(("#", "!", "//"))


def test_the_whole_host_rules_of_a_big_adblock_list_are_all_there(shared_data: Path, tmp_path: Path) -> None:
    library = Library(tmp_path)
    report = library.load("e", shared_data / "domains/adblock/easylist.txt.gz", None, "ads")
    with gzip.open(shared_data / "domains/adblock/easylist.txt.gz", "rt", encoding="utf-8") as file:
        rules = [line.strip() for line in file if line.strip() and not line.startswith(("!", "["))]
    wanted = [match[1] for rule in rules if (match := WHOLE_HOST_RULE.fullmatch(rule))]
    assert report.entries - report.excepted + report.refused == len(wanted)
    assert report.entries + report.refused + report.skipped == len(rules)
    assert stored_entries(library, "e") | {line.text for line in report.refusals} >= set(wanted)


def test_services_hold_the_hosts_of_their_files(shared_data: Path, tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.load("n", shared_data / "services-allow/nextdns-services.tar.gz")
    library.load("v", shared_data / "services-allow/v2fly-domain-list.tar.gz")
    library.compile()
    index = library.open_index()
    for text, service in (
        ("https://www.youtube.com/watch?v=1", "youtube"), ("https://cdn.discordapp.com/x", "discord"),
        ("https://www.roblox.com/", "roblox"),
        ("https://i.ytimg.com/vi", "youtube"),
    ):  # fmt: skip
        assert f"service:{service}" in categories(index, text)
    # "youtube" includes nothing of Google's mail.
    assert "service:youtube" not in categories(index, "https://mail.google.com/")
    index.close()


def test_networks_and_addresses_are_found_and_their_neighbours_are_not(shared_data: Path, tmp_path: Path) -> None:
    library = Library(tmp_path)
    path = shared_data / "domains/vpn/x4bnet-vpn-ipv4.txt.gz"
    library.load("vpn4", path, None, "vpn")
    library.load("vpn6", shared_data / "domains/vpn/x4bnet-vpn-ipv6.txt", None, "vpn")
    library.compile()
    index = library.open_index()
    with gzip.open(path, "rt") as file:
        networks = [ipaddress.ip_network(line.strip()) for line in file if is_entry(line)]
    for network in random.Random(5).sample(networks, 300):
        for address in (network[0], network[-1]):
            assert "vpn" in categories(index, f"http://{address}/"), address
        neighbour = network[-1] + 1
        if not any(neighbour in other for other in networks):
            assert categories(index, f"http://{neighbour}/") == set(), neighbour
    assert "vpn" in categories(index, "http://[2001:550:1d05::7]/")
    index.close()
