"""What a load did, and how the lists of an installation are."""

import msgspec

from blocklists.stored import ListKind, RefusedLine


class LoadReport(msgspec.Struct, frozen=True):
    """What one load did."""

    name: str
    format: str
    kind: ListKind
    entries: int
    duplicates: int
    """Lines whose canonical entry had been read before; they are among `entries`."""
    refused: int
    refusals: tuple[RefusedLine, ...]
    """The first refused lines, at most 1,000."""
    categories: dict[str, int]
    aliases: dict[str, str]
    usage: dict[str, tuple[str, ...]]
    sha256: str
    skipped: int = 0
    """Lines that this product has no use for, such as rules that hide parts of pages."""
    skips: tuple[RefusedLine, ...] = ()
    """The first of them."""
    excepted: int = 0
    """Entries that the list excepts from itself; they are among `entries`."""
    version: int = 0
    global_usage: dict[str, tuple[str, ...]] = {}
    why_format: str = ""
    """What the format was recognised by, when nobody named it."""
    paused: bool = False
    """The list was paused and still is."""

    @property
    def benign_categories(self) -> tuple[str, ...]:
        """Categories that the publisher gives for allowing only (`white`): the policy must not block them unasked."""
        return tuple(sorted(name for name, labels in self.usage.items() if labels and "black" not in labels))

    @property
    def disputed_categories(self) -> dict[str, tuple[str, str]]:
        """Categories that the publisher describes in two ways: what the category's own file says, and what `global_usage` says."""
        both = sorted(set(self.usage) & set(self.global_usage))
        return {
            name: (" ".join(self.usage[name]), " ".join(self.global_usage[name]))
            for name in both
            if set(self.usage[name]) != set(self.global_usage[name])
        }


class ListStatus(msgspec.Struct, frozen=True):
    """One loaded list, or what is wrong with it."""

    name: str
    format: str
    kind: ListKind
    categories: dict[str, int]
    entries: int
    refused: int
    loaded: str
    sha256: str
    source: str
    fault: str | None = None
    paused: bool = False
    version: int = 0
    publisher: str = ""
    licence: str = ""
    skipped: int = 0
    excepted: int = 0
