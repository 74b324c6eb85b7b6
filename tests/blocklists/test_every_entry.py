"""Every entry of every real list is found in other spellings, and nothing beside it is.

What the lists hold is read here with a few expressions of its own, not with the package's parsers. Each entry is asked in
two of its spellings and one near miss, in turns; with `SCHOOLGATE_EVERY_SPELLING=1` in all of them, which takes minutes.
"""

import bisect
import gzip
import ipaddress
import json
import os
import random
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from blocklists.batch import BatchLookup, UrlBatch
from blocklists.index import ListIndex
from blocklists.library import Library
from blocklists.stored import read_sections
from blocklists.url import UrlError, canonicalise

pytestmark = pytest.mark.timeout(1200)  # with all spellings, on a busy machine

ALL = os.environ.get("SCHOOLGATE_EVERY_SPELLING") == "1"
SINGLE = 150
"""Look-ups of each list that go one by one, as the gateway's do; the others go in batches."""
OWN_NAMES = {"localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"}
BLOCK = re.compile(r"\|\|([^/^$|*\s]+)\^(?:\$(?:all|document|important|doc)(?:,(?:all|document|important|doc))*)?")

LISTS = {
    "adblock/easylist.txt.gz": "adblock", "doh/doh-domains.txt": "plain", "doh/doh-ipv4.txt": "networks", "doh/doh-ipv6.txt": "networks",
    "formats-same-list/blocklist.txt.gz": "adblock", "formats-same-list/blp-tiktok.dnsmasq.txt.gz": "dnsmasq",
    "formats-same-list/domains.txt.gz": "plain", "formats-same-list/hosts-blocklist.txt.gz": "hosts",
    "formats-same-list/rpz-blocklist.txt.gz": "rpz", "formats-same-list/unbound-blocklist.txt.gz": "unbound",
    "formats-same-list/wildcard-blocklist.txt.gz": "plain", "porn-in-top1m.list.gz": "plain", "sinfonietta-gambling-hosts.gz": "hosts",
    "sinfonietta-pornography-hosts.gz": "hosts", "sinfonietta-social-hosts.gz": "hosts", "stevenblack-2022.domains.txt.gz": "plain",
    "ut1-blacklists.tar.gz": "ut1", "vpn/x4bnet-vpn-ipv4.txt.gz": "networks", "vpn/x4bnet-vpn-ipv6.txt": "networks",
    "../services-allow/adguard-https-exclusions.tar.gz": "exclusions", "../services-allow/moz-top-sites.json": "json",
    "../services-allow/ms365-endpoints-worldwide.json": "json", "../services-allow/nextdns-services.tar.gz": "nextdns",
    "../services-allow/opendns-random-domains.txt.gz": "plain", "../services-allow/opendns-top-domains.txt.gz": "plain",
    "../services-allow/pihole-whitelist.txt": "plain", "../services-allow/v2fly-domain-list.tar.gz": "v2fly",
    "../services-allow/zen-mitm-exclusions.tar.gz": "exclusions",
}  # fmt: skip
CATEGORISED = ("ut1", "nextdns", "exclusions", "v2fly")
NAMES = {path: re.sub("[^a-z0-9.]+", "-", path.rpartition("/")[2]) for path in LISTS}


class Raw(NamedTuple):
    """An entry as the publisher wrote it; `kind` is domain, host, url or network."""

    kind: str
    text: str


def raw_entries(path: Path, form: str) -> Iterator[Raw]:
    """Read a list with as little as will do."""
    if form in CATEGORISED:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    yield from raw_lines(file.read().decode(), form, member.name.rpartition("/")[2])
        return
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    if form == "json":
        for item in json.loads(text):
            yield from (Raw("network", entry) for entry in item.get("ips", ()))
            hosts = [*item.get("urls", ()), *([item["rootDomain"]] if "rootDomain" in item else ())]
            yield from (Raw("domain", host.removeprefix("*.")) for host in hosts if "*" not in host.removeprefix("*."))
        return
    yield from raw_lines(text, form, path.name)


def raw_lines(text: str, form: str, file: str) -> Iterator[Raw]:
    """Read the lines of one file of a list."""
    if form == "unbound":
        yield from (Raw("domain", name) for name in re.findall(r'^local-zone: "([^"]+?)\.?" always', text, re.MULTILINE))
        return
    for line in text.splitlines():
        words = line.partition("#")[0].strip()
        if not words or words.startswith(("!", "//", "[")):
            continue
        if form == "hosts":
            yield from (Raw("host", name) for name in words.split()[1:] if name not in OWN_NAMES and not name.startswith("ip6-"))
        elif form == "rpz":
            yield from (Raw("host", name) for name in re.findall(r"^(\S+) CNAME \.$", words))
        elif form == "dnsmasq":
            yield from (Raw("domain", name) for name in re.findall(r"^\w+=/(.+)/", words)[0].split("/"))
        elif form == "adblock":
            yield from (Raw("domain", match[1]) for match in [BLOCK.fullmatch(line.strip())] if match)
        elif form == "networks":
            yield Raw("network", words)
        elif form == "ut1":
            yield from [Raw("domain" if file == "domains" else "url", words)] if file in ("domains", "urls") else []
        elif form == "v2fly":
            kind, _, name = words.split()[0].rpartition(":")
            yield from [Raw("host" if kind == "full" else "domain", name)] if kind in ("", "full", "domain") else []
        elif file != "LICENSE" and not re.search(r"[*$/]", words.removeprefix("*.")):
            yield Raw("host" if words.startswith('"') else "domain", words.strip('"').removeprefix("*."))


def otherwise(host: str) -> str:
    """The host in punycode where it is in Unicode, in Unicode where it is in punycode, and else with an escape."""
    try:
        if "xn--" in host:
            return host.encode().decode("idna")
        if not host.isascii():
            return host.encode("idna").decode()
    except UnicodeError:
        pass
    return f"%{ord(host[0]):02x}{host[1:]}"


HOST_SPELLINGS: list[Callable[[str], str]] = [
    lambda host: f"http://{host.upper() if host.isascii() else host}/",
    lambda host: f"https://{host}./x",
    lambda host: f"http://{host}:8443/?q=1",
    lambda host: f"https://user:pw@{host}/a",
    lambda host: f"http://{otherwise(host)}/",
]
SUB_DOMAINS: list[Callable[[str], str]] = [lambda host: f"http://www.{host}/", lambda host: f"https://a.B.{host}.:81/p"]
HOST_MISSES: list[Callable[[str], str]] = [
    lambda host: f"http://not{host}/",
    lambda host: f"http://{host.partition('.')[2]}/",
    lambda host: f"https://{host}.not-listed.test/",
]
URL_SPELLINGS: list[Callable[[str, str], str]] = [
    lambda host, path: f"http://{host.upper()}{path}",
    lambda host, path: f"https://u@{host}.:8080{path}",
    lambda host, path: f"http://{host}/x/..{path}#part",
    lambda host, path: f"http://{host}{path.rstrip('/')}/below/it.html?x=1" if "?" not in path else f"http://{host}/.{path}",
    lambda host, path: f"http://{'' if re.search(r'\.[0-9]+$|^(www|web|ftp)', host) else 'www.'}{host}:81{path}",
]
URL_MISSES: list[Callable[[str, str], str]] = [
    lambda host, path: f"http://{host}{path.rstrip('/')}-sibling",
    lambda host, path: f"http://{host}{path.rstrip('/').rpartition('/')[0]}/",
    lambda host, path: f"http://not{host}{path}",
]


def turns[T](choices: list[T], number: int, some: int) -> list[T]:
    return choices if ALL else [choices[(number + step * 3) % len(choices)] for step in range(some)]


class Known:
    """What a list holds, by plain sets: says what a look-up must find."""

    def __init__(self, library: Library, name: str) -> None:
        stored = library.stored(name)
        self.sets: dict[str, set[str]] = {kind: set() for kind in ("domain", "host", "path", "url", "network")}
        self.spared: set[str] = set()
        for section in read_sections(library.entries_path(stored), stored):
            (self.spared if section.allow else self.sets[section.kind]).update(section.data.decode().split("\n")[:-1])
        networks = [ipaddress.ip_network(text) for text in self.sets["network"]]
        self.ranges = sorted((net.version, int(net[0]), int(net[-1])) for net in networks)

    def holds(self, host: str, path: str, query: str | None) -> bool:
        """True when the list speaks of an address that is canonical already."""
        labels = host.split(".")
        parents = [host] if re.search(r"\.[0-9]+$", host) or host[0] == "[" else [".".join(labels[n:]) for n in range(len(labels))]
        if not self.spared.isdisjoint(parents):
            return False
        if host in self.sets["host"] or not self.sets["domain"].isdisjoint(parents) or self.in_networks(host):
            return True
        bare = re.sub(r"^(?:www|web|ftp)[0-9]*\.(?=[^.]+\.)", "", host)
        folders = {bare + "/", *(bare + path[:edge] for edge in range(1, len(path) + 1) if edge == len(path) or path[edge] == "/")}
        return not self.sets["path"].isdisjoint(folders) or f"{bare}{path}?{query}" in self.sets["url"]

    def in_networks(self, host: str) -> bool:
        if not self.ranges or not (host[0] == "[" or re.fullmatch(r"[0-9.]+", host)):
            return False
        address = ipaddress.ip_address(host.strip("[]"))
        place = bisect.bisect_right(self.ranges, (address.version, int(address), 1 << 129))
        return any(version == address.version and end >= int(address) for version, _, end in self.ranges[max(0, place - 40) : place])


def network_texts(text: str, number: int) -> tuple[list[str], list[str]]:
    """Addresses in a network and one beside it, in several spellings."""
    net = ipaddress.ip_network(text, strict=False)
    first, last = net[0], net[-1]
    if net.version == 4:
        inside = [f"http://{int(first)}/", f"https://u@{last}:81/x", f"http://0x{int(last):x}./", f"http://[::ffff:{first}]/"]
    else:
        inside = [f"http://[{first.exploded.upper()}]/", f"https://u@[{last}]:81/x", f"http://[{last.exploded}]/"]
    beside = [int(last) + 1] if int(last) + 1 < 1 << net.max_prefixlen else []
    made = [type(first)(value) for value in beside]
    return turns(inside, number, 2), [f"http://[{address}]/" if net.version == 6 else f"http://{address}/" for address in made]


@pytest.fixture(scope="module")
def library(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(tmp_path_factory.mktemp("lists"))
    for path, form in LISTS.items():
        library.load(NAMES[path], shared_data / "domains" / path, None, None if form in CATEGORISED else "c")
    library.compile()
    return library


@pytest.fixture(scope="module")
def index(library: Library) -> Iterator[ListIndex]:
    index = library.open_index()
    yield index
    index.close()


@pytest.mark.parametrize("path", LISTS)
def test_every_entry_is_found_in_other_spellings_and_nothing_beside_it(
    shared_data: Path, library: Library, index: ListIndex, path: str
) -> None:
    name, known = NAMES[path], Known(library, NAMES[path])
    refused = {word.strip(".") for line in library.stored(name).refusals for word in re.split(r"[\s\"|^*/]+", line.text)}
    listed: list[str] = []
    beside: list[str] = []
    for number, (kind, text) in enumerate(dict.fromkeys(raw_entries(shared_data / "domains" / path, LISTS[path]))):
        if text.rstrip("/.") in refused or "." not in text.replace(":", "."):
            continue  # refused lines are counted elsewhere; of names without a dot a report shows the first thousand only
        if kind == "network":
            inside, outside = network_texts(text, number)
            listed += inside
            beside += outside
        elif kind == "url":
            host, slash, rest = text.partition("/")
            listed += [spell(host, slash + rest) for spell in turns(URL_SPELLINGS, number, 2)]
            beside += [miss(host, slash + rest) for miss in turns(URL_MISSES, number, 1)]
        elif re.fullmatch(r"[0-9.]+", text):
            listed += [spell(text) for spell in turns(HOST_SPELLINGS, number, 2)]
        else:
            spellings = HOST_SPELLINGS + SUB_DOMAINS if kind == "domain" else HOST_SPELLINGS
            misses = HOST_MISSES if kind == "domain" else [*HOST_MISSES, SUB_DOMAINS[0]]
            listed += [spell(text) for spell in turns(spellings, number, 2)]
            beside += [miss(text) for miss in turns(misses, number, 1)]
    assert len(listed) >= 20
    check_found(index, name, known, listed)
    check_beside(index, name, known, beside)


def check_found(index: ListIndex, name: str, known: Known, listed: list[str]) -> None:
    urls = [canonicalise(text) for text in listed]
    found = found_in(index, name, [url.host + url.path_and_query for url in urls])
    missed = [listed[row] for row in np.flatnonzero(~found).tolist()]
    # What a list excepts from itself counts as not listed.
    assert [text for text in missed if known.spared.isdisjoint(canonicalise(text).host_suffixes)] == []
    for row in random.Random(1).sample(range(len(urls)), min(SINGLE, len(urls))):
        assert any(hit.list == name for hit in index.lookup(urls[row])) == found[row], listed[row]


def check_beside(index: ListIndex, name: str, known: Known, beside: list[str]) -> None:
    urls = []
    for text in beside:
        try:
            urls.append(canonicalise(text))
        except UrlError:
            continue  # "not" in front of an address, "://" of a single label: no browser opens those
    found = found_in(index, name, [url.host + url.path_and_query for url in urls])
    wrong = [url.text for url, hit in zip(urls, found.tolist(), strict=True) if hit != known.holds(url.host, url.path, url.query)]
    assert wrong == []
    assert not beside or not found.all()
    for row in random.Random(2).sample(range(len(urls)), min(SINGLE, len(urls))):
        assert any(hit.list == name for hit in index.lookup(urls[row])) == found[row], urls[row]


def found_in(index: ListIndex, name: str, texts: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Say for each text whether the list speaks of it, by the batch."""
    hits = BatchLookup(index).find(UrlBatch.of(texts))
    own = np.array([label.list == name for label in index.meta.labels])
    found = np.zeros(len(texts), bool)
    found[hits.rows[own[hits.labels]]] = True
    return found
