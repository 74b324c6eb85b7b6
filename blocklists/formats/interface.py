"""What every format offers: a name, a title and a reader that turns a file or folder into numbered entries."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from blocklists.entries import Entry, EntryError, Item, Refused, host_entry
from blocklists.reading import Line, Source, read_lines

_COMMENT = ("#", "!", ";", "//")
_COMMENT_STARTS = "#!;/"


class InCategory(NamedTuple):
    """An item of a list with several categories: its category and the file that it stands in."""

    category: str
    file: str
    item: Item


class Alias(NamedTuple):
    """Another name of a category."""

    name: str
    category: str


class Usage(NamedTuple):
    """What the publisher says a category is for: `black`, `white` or both."""

    category: str
    labels: tuple[str, ...]
    everywhere: bool = False
    """From the tree's one `global_usage`, which may disagree with the category's own file."""


type ListItem = Item | InCategory | Alias | Usage


class Options(NamedTuple):
    """What a person says about a list that its file does not."""

    category: str = ""
    """Category of every entry, where the format has none of its own."""
    subdomains: bool | None = None
    """Whether a host stands for its sub-domains too; None: as the format means it."""
    columns: Mapping[str, str] | None = None
    """CSV and JSON: column of the file to what it holds: `entry` or `category`."""
    expressions: bool = False
    """squidGuard: read the files `expressions`, too."""
    categories: Mapping[str, str] | None = None
    """The publisher's name of a category to ours; "-" leaves the category out."""


class Format(NamedTuple):
    """One format of lists."""

    name: str
    title: str
    """For people: "plain domains, one a line"."""
    read: Callable[[Path, Options], Iterator[ListItem]]
    """Yields entries, refused and skipped lines; raises `ListError` for a file that is broken as a whole."""
    trees: bool = False
    """Reads folders and tar archives too."""
    categories: bool = False
    """Has categories of its own."""
    text_only: bool = True
    """Its entries are texts, not digests, so that it can allow."""


type ReadLines = Callable[[Iterable[Line]], Iterator[Item]]


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a file, unpacked when it is gzip."""
    with path.open("rb") as stream:
        yield from read_lines(Source(stream, str(path)))


def content(text: str) -> str:
    """Return the line without comment and outer blanks."""
    text = text.strip()
    if text[:1] in _COMMENT_STARTS and text.startswith(_COMMENT):
        return ""
    if "#" in text:
        # Only " #" begins a comment inside a line: "#" alone may belong to an address.
        edge = min((at for at in (text.find(" #"), text.find("\t#")) if at >= 0), default=len(text))
        text = text[:edge].rstrip()
    return text


def host_or_refusal(number: int, kind: str, text: str) -> Entry | Refused:
    """Return the canonical host of a line, or why there is none."""
    try:
        return Entry(number, kind, host_entry(text))
    except EntryError as error:
        return Refused(number, text, str(error))
