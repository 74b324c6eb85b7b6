"""What `lists load`, `lists preview` and `lists sources add` ask alike: how a list is written, and what its entries mean."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolgate.errors import Problem

if TYPE_CHECKING:
    from analyser.lists.trial import Proposal

FORMATS = "domains, hosts, urls, squidguard, ut1 or sha256"


class Kind(StrEnum):
    """What an entry of a list means."""

    BLOCK = "block"
    ALLOW = "allow"


Name = Annotated[str, typer.Argument(help="Name of the list, as events and pages show it.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help=f"How it is written: {FORMATS} …; with --sealed plain, hosts or sha256.",
        show_default="recognised from its content",
    ),
]
Category = Annotated[
    str | None,
    typer.Option("--category", metavar="CATEGORY", help="Category of every entry, for formats without categories of their own."),
]
KindOption = Annotated[
    Kind, typer.Option("--kind", metavar="block|allow", help="Whether its entries have a category (block) or are let through (allow).")
]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="THEIRS=OURS", help="The publisher's name of a category and yours; THEIRS=- leaves the category out. Repeat it."
    ),
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="COLUMN=MEANING", help="CSV and JSON: which column is entry or category.")
]
Exact = Annotated[
    bool | None,
    typer.Option("--exact/--sub-domains", help="Whether a host stands for itself alone.", show_default="as the format means it"),
]
Expressions = Annotated[
    bool, typer.Option("--expressions", help="squidGuard: load its expressions too, patterns over whole addresses that overblock easily.")
]
Sealed = Annotated[
    bool,
    typer.Option("--sealed", help="An illegal-content list: blocks everybody, nothing overrides it, entries are kept as digests only."),
]
Publisher = Annotated[str, typer.Option("--publisher", metavar="NAME", help="Who publishes it.")]
Licence = Annotated[str, typer.Option("--licence", metavar="NAME", help="Its licence.")]


def pairs(texts: list[str] | None, option: str, example: str) -> dict[str, str] | None:
    """Read repeated KEY=VALUE options; None for none. Raises `Problem`."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value:
            raise Problem(f"Write {option} as {example}, not {text!r}.")
        if found.setdefault(key, value) != value:
            raise Problem(f"{option} names {key} twice; say it once.")
    return found or None


def asked_columns(texts: list[str] | None) -> dict[str, str] | None:
    """Read `--column`; raises `Problem`."""
    return pairs(texts, "--column", "COLUMN=entry or COLUMN=category")


def asked_map(texts: list[str] | None) -> dict[str, str] | None:
    """Read `--map`; raises `Problem`."""
    return pairs(texts, "--map", "THEIRS=OURS, for example adult=pornography")


def proposed(
    name: str, path: Path, format_: str | None, category: str | None, kind: Kind, maps: list[str] | None, columns: list[str] | None,
    exact: bool | None, expressions: bool, publisher: str = "", licence: str = "",
) -> "Proposal":  # fmt: skip
    """Return a file and what the options say of it as something to load; raises `Problem`."""
    from analyser.lists.trial import Proposal  # noqa: PLC0415 - the database libraries come with it

    return Proposal(
        name, str(path.expanduser().absolute()), format_, category, kind.value, None if exact is None else not exact,
        asked_columns(columns), publisher, licence, expressions, asked_map(maps),
    )  # fmt: skip
