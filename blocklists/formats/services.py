"""Services as named sets of hosts: the files of v2fly and NextDNS, AdGuard's services and its HTTPS exclusions.

A service becomes the category `service:<name>`, which a policy treats like any other.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from blocklists.entries import Item, Refused, Skipped
from blocklists.errors import ListError
from blocklists.formats.adblock import read_rule
from blocklists.formats.domains import read_domains
from blocklists.formats.interface import Format, InCategory, Options, content, host_or_refusal, lines_of
from blocklists.formats.tree import TreeFile, members
from blocklists.reading import Line, Source, is_archive, read_lines

PREFIX = "service:"
MAX_DEPTH = 16
"""Includes in includes; the real files need five."""
MAX_EXPANDED = 2_000_000
"""Most entries that includes may make: a handful of files that include each other twice would make billions."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!_.+-]{0,80}")


class V2flyRule(NamedTuple):
    """One line of a v2fly file."""

    number: int
    kind: str
    """`domain`, `host`, `include` or `skip`."""
    text: str
    attributes: frozenset[str]


def read_v2fly(files: dict[str, list[V2flyRule]]) -> Iterator[InCategory]:
    """Yield the entries of every file under its service, includes resolved; unknown and circular ones are refused."""
    made = 0
    for name in files:
        for file, rule in _expanded(files, name, frozenset(), (name,)):
            made += 1
            if made > MAX_EXPANDED:
                raise ListError(f"The includes of {name} make more than {MAX_EXPANDED:,} entries; this is not a list of services.")
            item: Item
            if rule.kind in ("domain", "host"):
                item = host_or_refusal(rule.number, rule.kind, rule.text)
            elif rule.kind == "skip":
                item = Skipped(rule.number, rule.text, "key words and patterns are no hosts")
            else:
                item = Refused(rule.number, rule.text, "the file that it includes is missing or includes this one")
            yield InCategory(PREFIX + name.lower(), file, item)


def _expanded(
    files: dict[str, list[V2flyRule]], name: str, wanted: frozenset[str], trail: tuple[str, ...]
) -> Iterator[tuple[str, V2flyRule]]:  # fmt: skip
    """Yield the rules of a file and of those it includes that have (or, with "-", lack) the wanted attributes."""
    have = {word for word in wanted if not word.startswith("-")}
    lack = {word[1:] for word in wanted if word.startswith("-")}
    for rule in files[name]:
        if rule.kind == "include":
            target = rule.text
            if target not in files or target in trail or len(trail) >= MAX_DEPTH:
                yield name, rule
            else:
                yield from _expanded(files, target, wanted | rule.attributes, (*trail, target))
        elif have <= rule.attributes and not lack & rule.attributes:
            yield name, rule


def parse_v2fly(lines: Iterable[Line]) -> Iterator[V2flyRule]:
    """Read one file: `domain:x`, `full:x`, `keyword:x`, `regexp:x`, `include:file`, a bare domain; each with `@attributes`."""
    for line in lines:
        text = line.text.partition("#")[0].strip()
        if line.fault is not None:
            yield V2flyRule(line.number, "skip", line.text, frozenset())
        if not text or line.fault is not None:
            continue
        word, *rest = text.split()
        attributes = frozenset(part[1:] for part in rest if part.startswith("@"))
        kind, colon, value = word.partition(":")
        if not colon:
            kind, value = "domain", word
        known = {"domain": "domain", "full": "host", "include": "include"}.get(kind, "skip")
        yield V2flyRule(line.number, known, value if known != "skip" else word, attributes)


def read_exclusions(lines: Iterable[Line]) -> Iterator[Item]:
    """Read AdGuard's HTTPS exclusions: hosts, exact ones in quotes; those for one program only are passed over."""
    for line in lines:
        text = content(line.text)
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif not text:
            continue
        elif "$" in text:
            yield Skipped(line.number, text, "it counts for one program only")
        elif text.startswith('"') and text.endswith('"'):
            yield host_or_refusal(line.number, "host", text[1:-1])
        else:
            yield host_or_refusal(line.number, "domain", text)


def _read_v2fly(path: Path, _options: Options) -> Iterator[InCategory]:
    files: dict[str, list[V2flyRule]] = {}
    for name, lines in _files(path):
        if isinstance(lines, Refused):
            yield InCategory(PREFIX + "unknown", name, lines)
        else:
            files[name] = list(parse_v2fly(lines))
    yield from read_v2fly(files)


def _read_nextdns(path: Path, _options: Options) -> Iterator[InCategory]:
    for name, lines in _files(path):
        items = iter([lines]) if isinstance(lines, Refused) else read_domains(lines)
        for item in items:
            yield InCategory(PREFIX + name.removesuffix(".txt").lower(), name, item)


def _read_adguard_services(path: Path, _options: Options) -> Iterator[InCategory]:
    data = b"".join(line.text.encode() + b"\n" for line in lines_of(path) if line.fault is None)
    try:
        services: Any = msgspec.json.decode(data)["blocked_services"]
        for service in services:
            for number, rule in enumerate(service["rules"], 1):
                yield InCategory(PREFIX + str(service["id"]).lower()[:80], str(service["id"]), read_rule(number, str(rule)))
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError) as error:
        raise ListError(f"{path} is not a file of AdGuard's services ({str(error)[:100]}).") from error


def _read_exclusions(path: Path, options: Options) -> Iterator[InCategory]:
    for name, lines in _files(path):
        stem = name.removesuffix(".gz").removesuffix(".txt")
        if stem.upper() in ("LICENSE", "LICENCE", "README", "README.MD"):
            continue
        items = iter([lines]) if isinstance(lines, Refused) else read_exclusions(lines)
        for item in items:
            yield InCategory(options.category or stem, name, item)


def _files(path: Path) -> Iterator[tuple[str, Iterable[Line] | Refused]]:
    """Yield name and lines of each file of a folder or archive, or of the one file; read the lines before the next."""
    if path.is_file() and not is_archive(path):
        yield path.name, lines_of(path)
        return
    seen: set[str] = set()
    for member in members(path):
        if isinstance(member, TreeFile):
            name = member.path.name
            if name in seen or not _NAME.fullmatch(name):
                yield name, Refused(0, str(member.path)[:120], "a second file of this name, or a name that no service has")
            else:
                seen.add(name)
                yield name, read_lines(Source(member.stream, f"{path}: {member.path}"))
        else:
            yield "", member if isinstance(member, Refused) else Refused(0, str(member.path), "links are not followed")


V2FLY = Format("v2fly", "services as v2fly's domain lists have them", _read_v2fly, trees=True, categories=True)
NEXTDNS = Format("nextdns", "services as NextDNS has them: a file of domains each", _read_nextdns, trees=True, categories=True)
ADGUARD_SERVICES = Format("adguard-services", "AdGuard's services (JSON)", _read_adguard_services, categories=True)
EXCLUSIONS = Format("exclusions", "hosts not to decrypt, as AdGuard and Zen have them", _read_exclusions, trees=True, categories=True)
