"""Which format is this? Read from the content, never from the name alone; a person may overrule it."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from blocklists.entries import Entry
from blocklists.errors import ListError
from blocklists.formats.addresses import read_networks
from blocklists.formats.digests import read_prefixes
from blocklists.formats.domains import read_domains
from blocklists.formats.tables import ENTRY_COLUMNS
from blocklists.reading import Line, decode_line, is_utf16, open_archive

SAMPLE = 256 << 10
"""Bytes that are looked at."""
_MOST_MEMBERS = 400
_MOST_UNPACKED = 64 << 20
_RPZ = re.compile(r"^\S+\s+(?:\d+\s+)?(?:IN\s+)?CNAME\s+(?:\.|\*\.|rpz-[a-z-]+\.)\s*(?:;.*)?$", re.IGNORECASE)
_SOA = re.compile(r"^\S*\s+(?:\d+\s+)?(?:IN\s+)?SOA\s", re.IGNORECASE)
_HOSTS = re.compile(r"^(?:0\.0\.0\.0|127\.\d+\.\d+\.\d+|::1?|0|fe80::1%lo0|ff0\d::\d)\s+\S+")
_ADBLOCK = re.compile(r"^(?:@@)?\|\||#@?[?$%]*#|^\[Adblock|\$(?:third-party|domain=|script|removeparam|important|popup)", re.IGNORECASE)
_DNSMASQ = re.compile(r"^(?:local|address|server)=/")
_UNBOUND = re.compile(r"^\s*local-(?:zone|data):")
_PHRASE = re.compile(r"^<[^<>]+>")
_V2FLY = re.compile(r"^(?:domain|full|keyword|regexp|include):\S+|^[\w.-]+\.[\w-]+\s+@!?\w+", re.ASCII)
_HEX = re.compile(r'^"?[0-9a-fA-F]{64}\b')
_PREFIX = re.compile(r'^"?(?:[0-9a-fA-F]{16,62}|[A-Za-z0-9+/_-]{11,44}={0,2})"?$')
_EXCLUSION = re.compile(r'^"[\w.-]+\.[\w-]+"$|^[\w.-]+\.[\w-]+\$app=')


class Guess(NamedTuple):
    """What a file seems to be."""

    format: str
    confidence: float
    """0 to 1: the share of lines that read well, less where formats look alike."""
    why: str
    """One sentence for people."""


def detect(path: Path) -> Guess:
    """Return the most likely format of a file, folder or archive; raises `ListError` when it is like none."""
    try:
        if path.is_dir():
            return _of_tree([p.relative_to(path).as_posix() for p in _some(path)], lambda: _first_text(path), str(path))
        names = _archive_names(path)
        if names is not None:
            return _of_tree(names, lambda: _first_member(path), str(path))
        head = _head(path)
        if head[257:262] == b"ustar":
            raise ListError(f"{path} is an archive that can't be read to its end; fetch it again.")
    except OSError as error:
        raise ListError(f"{path} can't be read ({error.strerror or error}).") from error
    return detect_text(_decoded(head), str(path))


def detect_text(text: str, name: str = "the text") -> Guess:
    """Return the most likely format of a text, given from its beginning; raises `ListError`."""
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped[:1] in ("{", "["):
        if '"blocked_services"' in text:
            return Guess("adguard-services", 1.0, "It is JSON with AdGuard's blocked_services.")
        if not stripped.startswith("[Adblock"):
            return Guess("json", 0.9, "It begins as JSON does.")
    lines = [line.strip() for line in text.splitlines()[:4_000]]
    lines = [line for line in lines if line]
    if not lines:
        raise ListError(f"{name} holds no line; fetch it again.")
    told = [line for line in lines if not line.startswith(("#", "!", ";", "//"))]
    told = told or [line for line in lines if line.startswith("##")]
    if lines[0].startswith("[Adblock"):
        return Guess("adblock", 1.0, "Its first line is the header of an AdBlock list.")
    if not told:
        raise ListError(f"The beginning of {name} holds comments only; name the format (--format).")
    guess = _by_shape(told) or _by_entries(told, lines)
    if guess is None:
        raise ListError(f"{name} is like no format that is known; name it (--format), or is this a web page instead of a list?")
    return guess


def _by_shape(lines: list[str]) -> Guess | None:
    shapes: list[tuple[str, Callable[[str], object], str, float]] = [
        ("rpz", lambda line: _RPZ.match(line) or _SOA.match(line) or line.startswith("$"), "records of a response policy zone", 0.5),
        ("unbound", _UNBOUND.match, "local-zone lines of unbound", 0.3),
        ("dnsmasq", _DNSMASQ.match, "options of dnsmasq such as server=/…/", 0.3),
        ("hosts", _HOSTS.match, "an address that blocks and a name", 0.5),
        ("wildcard", lambda line: line.startswith("*."), "names that begin with *.", 0.5),
        ("sha256", _HEX.match, "SHA-256 digests", 0.5),
        ("adblock", _ADBLOCK.search, "AdBlock rules", 0.1),
        ("v2fly", _V2FLY.match, "rules of v2fly such as full: and include:", 0.05),
        ("exclusions", _EXCLUSION.match, "exclusions of AdGuard", 0.002),
    ]
    for name, matches, why, least in shapes:
        share = sum(1 for line in lines if matches(line)) / len(lines)
        if share >= least:
            return Guess(name, round(min(1.0, 0.5 + share / 2), 2), f"{share:.0%} of the lines looked at are {why}.")
    return None


def _by_entries(lines: list[str], everything: list[str]) -> Guess | None:
    if any(line.startswith("#listcategory") or line.lower().startswith(".include<") for line in everything):
        return Guess("e2guardian", 0.9, "It has e2guardian's #listcategory or .Include lines.")
    if sum(1 for line in lines if _PHRASE.match(line)) > len(lines) / 2:
        raise ListError("This is a phrase list: its phrases belong into keyword sets, it holds no addresses.")
    separator = max(",;\t", key=lines[0].count)
    cells = [cell.strip().strip('"').lower() for cell in lines[0].split(separator)]
    if len(cells) > 1 and ENTRY_COLUMNS & set(cells):
        return Guess("csv", 0.9, f"Its first line names the column {min(ENTRY_COLUMNS & set(cells))}.")
    sample = [Line(number, line) for number, line in enumerate(lines[:400], 1)]
    good = {
        "networks": _share(read_networks(sample), len(sample)),
        "domains": _share(read_domains(sample), len(sample)),
        "safebrowsing": _share(read_prefixes(line for line in sample if _PREFIX.match(line.text)), len(sample)),
    }
    paths = sum(1 for line in lines[:400] if "/" in line.partition("://")[2] or ("/" in line and "://" not in line)) / len(sample)
    if good["networks"] > 0.8:
        return Guess("networks", round(good["networks"], 2), f"{good['networks']:.0%} of the lines looked at are addresses or networks.")
    if good["domains"] > 0.8 and good["domains"] >= 1 - paths:
        return Guess("domains", round(good["domains"] * 0.9, 2), f"{good['domains']:.0%} of the lines looked at are host names.")
    if paths > 0.02 and good["domains"] + paths > 0.7:
        return Guess("urls", 0.8, f"{paths:.0%} of the lines looked at are addresses with a path.")
    if good["safebrowsing"] > 0.9:
        return Guess("safebrowsing", 0.7, "Its lines read as digests in hexadecimal digits or base64.")
    if good["domains"] > 0.5:
        return Guess("domains", round(good["domains"] * 0.7, 2), f"{good['domains']:.0%} of the lines looked at are host names.")
    if len(cells) > 1:
        return Guess("csv", 0.5, "Its lines have cells; say which column holds the addresses.")
    return None


def _share(items: object, count: int) -> float:
    return len({item.line for item in items if isinstance(item, Entry)}) / count  # type: ignore[attr-defined]


def _of_tree(names: list[str], sample: Callable[[], str], label: str) -> Guess:
    bases = [name.rsplit("/", 1)[-1].removesuffix(".gz") for name in names]
    lists = sum(base in ("domains", "urls") for base in bases)
    if lists:
        deep = any("/" in name.strip("/") and name.rsplit("/", 1)[-1].removesuffix(".gz") in ("domains", "urls") for name in names)
        if deep:
            return Guess("ut1", 1.0, f"{lists} of its files are named domains or urls, in folders of categories.")
        return Guess("squidguard", 1.0, "It is a folder with the files domains and urls.")
    text = sample()
    told = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(("#", "!", "//"))]
    if any(_V2FLY.match(line) for line in told) or any(name.split("/")[-1].startswith("geolocation-") for name in names):
        return Guess("v2fly", 0.9, "Its files hold rules of v2fly such as full: and include:.")
    if any(base.endswith(".txt") for base in bases):
        return Guess("exclusions", 0.7, "Its text files hold hosts under comments, as lists of exclusions do.")
    if _share(read_domains([Line(n, line) for n, line in enumerate(told, 1)]), max(1, len(told))) > 0.9:
        return Guess("nextdns", 0.8, "Its files are named after services and hold host names.")
    raise ListError(f"The files of {label} are like no format that is known; name it (--format).")


def _some(root: Path) -> list[Path]:
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found.append(path)
            if len(found) >= _MOST_MEMBERS:
                break
    return found


def _archive_names(path: Path) -> list[str] | None:
    try:
        with open_archive(path) as archive:
            names = []
            for member in archive:
                names.append(member.name)
                if len(names) >= _MOST_MEMBERS or archive.offset + member.size > _MOST_UNPACKED:
                    break
            return names
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OSError):
        return None


def _first_text(root: Path) -> str:
    return "\n".join(_decoded(_head(path, 4096)) for path in sorted(_some(root))[:60])


def _first_member(path: Path) -> str:
    texts = []
    try:
        with open_archive(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None:
                    texts.append(_decoded(file.read(4096)))
                if len(texts) >= 60 or archive.offset + member.size > _MOST_UNPACKED:
                    break
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OSError):
        pass
    return "\n".join(texts)


def _head(path: Path, size: int = SAMPLE) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(size)
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(path, "rb") as unpacked:
            return unpacked.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise ListError(f"{path} can't be unpacked ({error}); fetch it again.") from error


def _decoded(head: bytes) -> str:
    if is_utf16(head):
        encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
        return head.decode(encoding, "replace")
    return "".join(map(decode_line, head.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)))
