"""AdBlock filter lists: the rules that speak of whole hosts. All others are passed over and counted.

A rule is never bent into a domain: one that hides parts of pages, holds a path, or counts only for some requests says
nothing about a host. Syntax: help.adblockplus.org and adguard.com/kb, "filter syntax".
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Allowed, Item, Refused, Skipped
from blocklists.formats.interface import Format, Options, host_or_refusal, lines_of
from blocklists.reading import Line

_RULE = re.compile(r"(@@)?\|\|([^/^$|*\s]+)\^\|?(?:\$(.+))?")
_COSMETIC = re.compile(r"#@?[?$%]*#|\$@?\$|#@?\$\?#|#\+js|#@?%#")
_WHOLE_HOST = {"important", "all", "document", "doc"}
"""Options that leave a rule's meaning: the host, whoever asks for whatever. `document` rules block every page of it."""
_EVERYTHING = re.compile(r"(?:@@)?(?:\|\|)?[*.^]+(?:\$.*)?")


def read_adblock(lines: Iterable[Line]) -> Iterator[Item]:
    """Read `||host^` and `@@||host^`, alone or with options that keep them about the whole host."""
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
        elif not text or text[0] == "!" or (text[0] == "[" and text[-1] == "]") or text.startswith("# ") or text == "#":
            continue
        else:
            yield read_rule(line.number, text)


def read_rule(number: int, text: str) -> Item:
    """Return what one rule means."""
    rule = _RULE.fullmatch(text)
    if rule is None or _COSMETIC.search(text):
        if _EVERYTHING.fullmatch(text) and set((text.partition("$")[2] or "all").split(",")) <= _WHOLE_HOST:
            return Refused(number, text, "the rule would match everything")
        return Skipped(number, text, "a rule that hides parts of pages" if _COSMETIC.search(text) else "a rule about parts of a site")
    options = {option.strip().lower() for option in rule[3].split(",")} if rule[3] else set()
    if not options <= _WHOLE_HOST:
        return Skipped(number, text, "a rule that counts for some requests only")
    item = host_or_refusal(number, "domain", rule[2])
    return item if rule[1] is None or isinstance(item, Refused) else Allowed(*item)


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_adblock(lines_of(path))


ADBLOCK = Format("adblock", "AdBlock filter list; its rules about whole hosts", _read)
