"""dnsmasq configuration: `local=/x/`, `address=/x/0.0.0.0` and `server=/x/` block a name and everything below it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklists.entries import Item, Refused, Skipped
from blocklists.formats.hosts import is_sink
from blocklists.formats.interface import Format, Options, host_or_refusal, lines_of
from blocklists.reading import Line

_BLOCKING = {"local", "server", "address"}


def read_dnsmasq(lines: Iterable[Line]) -> Iterator[Item]:
    """Read dnsmasq's options; one line may name several domains, and one that answers with a real address blocks nothing."""
    for line in lines:
        text = line.text.strip()
        if line.fault is not None:
            yield Refused(line.number, line.text, line.fault)
            continue
        if not text or text.startswith("#"):
            continue
        option, equals, value = text.partition("=")
        option, value = option.strip().removeprefix("--"), value.partition(" #")[0].strip()
        if option not in _BLOCKING or not equals or not value.startswith("/"):
            yield Skipped(line.number, text, "this option of dnsmasq blocks no name")
            continue
        *names, target = value[1:].split("/")
        if option != "address" and target not in ("", "#"):
            yield Skipped(line.number, text, "this sends questions to a server and blocks nothing")
        elif (option != "address" and target == "#") or (option == "address" and target not in ("", "#") and not is_sink(target)):
            yield Skipped(line.number, text, "this gives the name another address and blocks nothing")
        elif not names:
            yield Refused(line.number, text, "the line names no domain")
        else:
            for name in names:
                if name in ("#", ""):
                    yield Refused(line.number, text, "the entry would match everything")
                else:
                    yield host_or_refusal(line.number, "domain", name)


def _read(path: Path, _options: Options) -> Iterator[Item]:
    yield from read_dnsmasq(lines_of(path))


DNSMASQ = Format("dnsmasq", "dnsmasq configuration", _read)
