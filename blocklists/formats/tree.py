"""Formats of a folder or archive: one squidGuard category, or a UT1 tree of categories."""

import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from blocklists.entries import Item, Refused, Skipped
from blocklists.errors import ListError
from blocklists.formats.domains import read_domains
from blocklists.formats.expressions import read_expressions
from blocklists.formats.interface import Alias, Format, InCategory, ListItem, Options, Usage
from blocklists.formats.plain import read_plain
from blocklists.formats.urls import read_squidguard_urls
from blocklists.reading import MAX_BYTES, Source, open_archive, read_lines

MAX_GLOBAL_USAGE = 1 << 20
MAX_MEMBERS = 10_000
"""Most files and links of a tree."""
_LISTS = ("domains", "urls")
_EXPRESSIONS = "expressions"
_NOT_ASKED = "expressions are patterns over whole addresses and are not loaded unless asked for (--expressions)"


class TreeFile(NamedTuple):
    """A file of the tree, open while the iterator stands on it."""

    path: PurePosixPath
    stream: BinaryIO


class TreeLink(NamedTuple):
    """A link whose target lies inside the tree."""

    path: PurePosixPath
    target: PurePosixPath


def read_squidguard(path: Path, category: str, *, expressions: bool = False) -> Iterator[InCategory]:
    """Read one category: a folder with `domains`, `urls` and `expressions`, or one of these files."""
    names = (*_LISTS, _EXPRESSIONS)
    files = [path] if path.is_file() else [p for name in names for p in (path / name, path / f"{name}.gz") if p.is_file()]
    if not files:
        raise ListError(f"{path} holds neither a file `domains` nor a file `urls`.")
    for file in files:
        name = file.name.removesuffix(".gz")
        if name == _EXPRESSIONS and not expressions:
            yield InCategory(category, file.name, Skipped(0, file.name, _NOT_ASKED))
            continue
        with file.open("rb") as stream:
            for item in _items(
                Source(stream, str(file)), _EXPRESSIONS if name == _EXPRESSIONS else "urls" if name.endswith("urls") else name
            ):
                yield InCategory(category, file.name, item)


def read_ut1(path: Path, *, expressions: bool = False) -> Iterator[InCategory | Alias | Usage | Refused]:
    """Read a tree or tar archive of categories, each a folder with `domains`, `urls` and `usage`.

    Categories are the folders' names. Links give further names to categories of the same tree; links out of the tree,
    devices and second copies of a file are refused. `expressions` are read only when asked for.
    """
    seen: set[PurePosixPath] = set()
    links: dict[str, str] = {}
    categories: set[str] = set()
    left = MAX_BYTES
    for member in members(path):
        if isinstance(member, Refused):
            yield member
            continue
        if isinstance(member, TreeLink):
            if member.path.name.removesuffix(".gz") in _LISTS:
                yield Refused(0, str(member.path), "links to single files are not followed")
            else:
                links[member.path.name] = member.target.name
            continue
        name = member.path.name.removesuffix(".gz")
        if name == "global_usage":
            yield from _global_usage(Source(member.stream, f"{path}: {member.path}", MAX_GLOBAL_USAGE))
            continue
        category = member.path.parent.name or path.resolve().name
        if name not in (*_LISTS, _EXPRESSIONS, "usage"):
            continue
        if member.path in seen:
            yield Refused(0, str(member.path), "the archive holds this file twice; the first one counts")
            continue
        seen.add(member.path)
        if not category.isprintable() or len(category) > 100:
            yield Refused(0, str(member.path), "the folder's name can't name a category")
            continue
        source = Source(member.stream, f"{path}: {member.path}", left)
        if name == "usage":
            words = [line.text.strip().lower() for line in read_lines(source) if line.number < 100]
            yield Usage(category, tuple(word for word in words if word in ("black", "white")))
            continue
        if name == _EXPRESSIONS and not expressions:
            if source.read(1):
                yield InCategory(category, str(member.path), Skipped(0, str(member.path), _NOT_ASKED))
            continue
        categories.add(category)
        for item in _items(source, name):
            yield InCategory(category, str(member.path), item)
        left = source.left
    yield from _aliases(links, categories)


def _items(source: Source, name: str) -> Iterator[Item]:
    if name == _EXPRESSIONS:
        return read_expressions(read_lines(source))
    return read_squidguard_urls(read_lines(source)) if name == "urls" else read_plain(source, "domain", read_domains)


def _global_usage(source: Source) -> Iterator[Usage]:
    """Read UT1's `global_usage`: blocks of `NAME:` and `DEFAULT_TYPE:`, blanks or tabs behind the colon."""
    name = ""
    for line in read_lines(source):
        word, _, value = line.text.partition(":")
        if word.strip() == "NAME":
            name = value.strip()
        elif word.strip() == "DEFAULT_TYPE" and name.isprintable() and 0 < len(name) <= 100:
            labels = tuple(label for label in value.lower().replace(",", " ").split() if label in ("black", "white"))
            yield Usage(name, labels, everywhere=True)


def _aliases(links: dict[str, str], categories: set[str]) -> Iterator[Alias | Refused]:
    for name in links:
        target = name
        for _ in range(8):
            target = links.get(target, target)
        if target in categories and name not in categories:
            yield Alias(name, target)
        elif name not in categories:
            yield Refused(0, name, "the link leads to no category of this tree")


def members(path: Path) -> Iterator[TreeFile | TreeLink | Refused]:
    """Yield the files of a folder or tar archive, each open while the iterator stands on it, and what is refused of it."""
    return _folder_members(path) if path.is_dir() else _archive_members(path)


def _folder_members(root: Path) -> Iterator[TreeFile | TreeLink | Refused]:
    top = root.resolve()
    for number, path in enumerate(sorted(root.rglob("*"))):
        if number >= MAX_MEMBERS:
            raise ListError(f"{root} holds more than {MAX_MEMBERS:,} files; name the folder of the lists.")
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if path.is_symlink():
            target = path.resolve()
            if target == top or top not in target.parents or not target.exists():
                yield Refused(0, str(relative), "the link leads out of the tree or nowhere")
            elif target.is_dir():
                yield TreeLink(relative, PurePosixPath(target.relative_to(top).as_posix()))
        elif path.is_file():
            with path.open("rb") as stream:
                yield TreeFile(relative, stream)
        elif not path.is_dir():
            yield Refused(0, str(relative), "this is neither a file nor a folder")


def _archive_members(path: Path) -> Iterator[TreeFile | TreeLink | Refused]:
    taken = 0
    try:
        with closing(open_archive(path)) as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise ListError(f"{path} holds more than {MAX_MEMBERS:,} members; it is not a list archive.")
                taken += member.size
                if taken > MAX_BYTES:
                    raise ListError(f"{path} holds more than {MAX_BYTES:,} bytes when unpacked; split it.")
                name = PurePosixPath(posixpath.normpath(member.name))
                if name.is_absolute() or ".." in name.parts:
                    yield Refused(0, member.name, "the path leads out of the archive")
                elif member.issym() or member.islnk():
                    yield _archive_link(member, name)
                elif member.isreg() and (stream := archive.extractfile(member)) is not None:
                    yield TreeFile(name, stream)  # type: ignore[arg-type]
                elif not member.isdir():
                    yield Refused(0, member.name, "this is neither a file nor a folder")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ListError(f"{path} is not a folder of lists or a whole tar archive of them ({error}).") from error


def _archive_link(member: tarfile.TarInfo, name: PurePosixPath) -> TreeLink | Refused:
    base = name.parent if member.issym() else PurePosixPath()
    target = PurePosixPath(posixpath.normpath(str(base / member.linkname)))
    if target.is_absolute() or ".." in target.parts:
        return Refused(0, member.name, "the link leads out of the archive")
    return TreeLink(name, target)


def _read_squidguard(path: Path, options: Options) -> Iterator[ListItem]:
    yield from read_squidguard(path, options.category, expressions=options.expressions)


def _read_ut1(path: Path, options: Options) -> Iterator[ListItem]:
    yield from read_ut1(path, expressions=options.expressions)


SQUIDGUARD = Format("squidguard", "one squidGuard category: domains and urls", _read_squidguard, trees=True)
UT1 = Format("ut1", "tree of squidGuard categories, as of UT1", _read_ut1, trees=True, categories=True)
