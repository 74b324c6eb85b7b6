"""Response policy zones: what a name's record means for the name. dnspython reads the zone file.

Source: draft-vixie-dnsop-dns-rpz, section 3. `CNAME .` and `CNAME *.` block, `rpz-drop.` blocks, `rpz-passthru.` allows;
`*.name` stands for what is below the name. `rpz-ip` triggers are networks of answers, written backwards.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blocklists.entries import Allowed, Entry, EntryError, Item, Refused, Skipped, host_entry
from blocklists.errors import ListError
from blocklists.formats.addresses import network_entries
from blocklists.formats.hosts import is_sink
from blocklists.formats.interface import Format, Options, lines_of
from blocklists.reading import Line

_ORIGIN = "rpz.invalid."
"""Where names without a final dot hang, when the file does not say."""
_BLOCKING = {".", "*.", "rpz-drop."}
_PASSING = {"rpz-passthru."}
_IP_TRIGGERS = {"rpz-ip", "rpz-client-ip"}
_OTHER_TRIGGERS = {"rpz-nsdname", "rpz-nsip"}
_HOUSEKEEPING = {"SOA", "NS", "TXT", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"}


def _read(path: Path, _options: Options) -> Iterator[Item]:
    hosts: dict[tuple[str, bool], int] = {}
    wildcards: dict[tuple[str, bool], int] = {}
    for number, owner, origin, type_, target in _records(path):
        if type_ in _HOUSEKEEPING:
            continue
        name = owner[: -len(origin) - 1] if owner.endswith("." + origin) else "" if owner == origin else owner.rstrip(".")
        allowed = _meaning(type_, target)
        if allowed is None or not name:
            yield Skipped(number, owner, f"a record {type_} {target[:80]} neither blocks nor allows a name")
            continue
        trigger = name.rpartition(".")[2]
        if trigger in _IP_TRIGGERS | _OTHER_TRIGGERS:
            yield from _by_address(number, name, trigger, allowed)
            continue
        try:
            host = host_entry(name)
        except EntryError as error:
            yield Refused(number, name, str(error))
            continue
        (wildcards if name.startswith("*.") else hosts).setdefault((host, allowed), number)
    # A name with its wildcard is one entry; a wildcard alone stands for the name too, as in wildcard lists.
    for (host, allowed), number in wildcards.items():
        yield Allowed(number, "domain", host) if allowed else Entry(number, "domain", host)
    for (host, allowed), number in hosts.items():
        if (host, allowed) not in wildcards:
            yield Allowed(number, "host", host) if allowed else Entry(number, "host", host)


def _meaning(type_: str, target: str) -> bool | None:
    """Return False for a record that blocks, True for one that allows, None for neither."""
    if type_ == "CNAME":
        return False if target in _BLOCKING else True if target in _PASSING else None
    return False if type_ in ("A", "AAAA") and is_sink(target) else None


def _by_address(number: int, name: str, trigger: str, allowed: bool) -> Iterator[Item]:
    if trigger != "rpz-ip":
        yield Skipped(number, name, f"triggers of the kind {trigger} are about name servers and clients, not sites")
        return
    try:
        for kind, entry in network_entries(_network_of(name.removesuffix(".rpz-ip"))):
            yield Allowed(number, kind, entry) if allowed else Entry(number, kind, entry)
    except EntryError as error:
        yield Refused(number, name, str(error))


def _network_of(name: str) -> str:
    """Return the network that "24.0.2.0.192" or "128.1.zz.db8.2001" stands for; raises `EntryError`."""
    prefix, *parts = name.split(".")
    parts.reverse()
    text = ".".join(parts) if len(parts) == 4 and all(part.isdigit() for part in parts) else ":".join(parts)
    text = text.replace(":zz:", "::").removesuffix("zz").removeprefix("zz") if "." not in text else text
    try:
        return str(ipaddress.ip_network(f"{text}/{prefix}", strict=False))
    except ValueError:
        raise EntryError("this is no network in the form of response policy zones") from None


def _records(path: Path) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield line number, owner, origin, type and target of every record; raises `ListError` with file and line.

    No other file is read (`$INCLUDE`), and nothing is generated (`$GENERATE`): both have hurt those who let them.
    """
    from dns import exception, name, rdataclass, rdatatype, tokenizer, ttl  # noqa: PLC0415 - 0.1 s that other formats need not wait for

    origin = name.from_text(_ORIGIN)
    owner: Any = None
    for number, text in _statements(path):
        try:
            words = tokenizer.Tokenizer(text, str(path))
            token = words.get(want_leading=True)
            if token.is_eol_or_eof():
                continue
            if token.value.startswith("$") and not token.is_whitespace():
                directive = token.value.upper()
                if directive == "$ORIGIN":
                    origin = words.get_name()
                elif directive != "$TTL":
                    raise ListError(f"{path}:{number}: {token.value[:20]} is not allowed in a list; write the records out.")
                continue
            if not token.is_whitespace():
                owner = name.from_text(token.value, origin, None)
            token = words.get()
            if token.is_eol_or_eof():
                continue
            token = _after_ttl_and_class(words, token, ttl, rdataclass)
            type_ = rdatatype.to_text(rdatatype.from_text(token.value))
            target = words.get()
            value = "" if target.is_eol_or_eof() else target.value
            if type_ == "CNAME":
                value = name.from_text(value, origin if not value.endswith(".") else None, None).to_text().lower()
                value = value.removesuffix(_ORIGIN) if value.endswith("." + _ORIGIN) else value
        except (exception.DNSException, ValueError, UnicodeError) as error:
            raise ListError(f"{path}:{number}: this is not a record of a zone ({str(error)[:120] or type(error).__name__}).") from error
        if owner is None:
            raise ListError(f"{path}:{number}: the record has no name.")
        yield number, owner.to_text().lower(), origin.to_text().lower(), type_, value


def _after_ttl_and_class(words: Any, token: Any, ttl: Any, rdataclass: Any) -> Any:
    """Pass over the lifetime and the class, which may stand in either order."""
    for _ in range(2):
        try:
            ttl.from_text(token.value)
            token = words.get()
            continue
        except ttl.BadTTL:
            pass
        try:
            rdataclass.from_text(token.value)
        except rdataclass.UnknownRdataclass:
            return token
        token = words.get()
    return token


def _statements(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each record with the number of its first line; one in parentheses goes over several."""
    held: list[str] = []
    begun = depth = 0
    for line in lines_of(path):
        text = _checked(path, line)
        begun = begun if held else line.number
        held.append(text)
        depth += _opened(text) if any(c in text for c in '();"') else 0
        if depth > 0 and len(held) < 1_000:
            continue
        if depth > 0:
            raise ListError(f"{path}:{begun}: a parenthesis is opened and not closed.")
        yield begun, "\n".join(held)
        held, depth = [], 0
    if held:
        raise ListError(f"{path}:{begun}: a parenthesis is opened and not closed.")


def _checked(path: Path, line: Line) -> str:
    if line.fault is not None:
        raise ListError(f"{path}:{line.number}: {line.fault}.")
    return line.text


def _opened(text: str) -> int:
    """Return how many parentheses a line opens more than it closes, outside quotes and comments."""
    quoted = False
    balance = 0
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted and character == ";":
            break
        elif not quoted:
            balance += (character == "(") - (character == ")")
    return balance


RPZ = Format("rpz", "response policy zone of a name server", _read)
