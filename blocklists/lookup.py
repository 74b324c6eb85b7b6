"""`lists lookup`: lines of addresses in, what the lists say about each out."""

from collections.abc import Iterable, Iterator
from typing import Any

from blocklists.allow import AllowIndex
from blocklists.expressions import ExpressionIndex
from blocklists.index import ListIndex
from blocklists.url import UrlError, canonicalise


def lookup_lines(
    index: ListIndex, allow: AllowIndex, lines: Iterable[str], expressions: ExpressionIndex | None = None
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield one value per line: `{"url", "categories", "hits": [{"list", "entry", "kind"}]}`.

    `url` is the line as given. Allow entries, and what a list excepts from itself, follow as
    `"allowed": {"list", "entry", "kind"}`. A line that is no address has empty `categories` and `hits`, and `"error"`
    with the reason.
    """
    for line in lines:
        text = line.rstrip("\r\n")
        try:
            url = canonicalise(text)
        except UrlError as error:
            yield {"url": text, "categories": [], "hits": [], "error": str(error)}
            continue
        found = [(hit.list, hit.entry, str(hit.kind), hit.category) for hit in index.lookup(url)]
        if expressions is not None:
            found += [(one.list, one.pattern, "expression", one.category) for one in expressions.find(url)]
        answer: dict[str, Any] = {
            "url": text,
            "categories": list(dict.fromkeys(category for *_, category in found)),
            # One entry that stands in several categories is one hit.
            "hits": [{"list": name, "entry": entry, "kind": kind} for name, entry, kind in dict.fromkeys(hit[:3] for hit in found)],
        }
        allowed = allow.find(url) or next(iter(index.exceptions(url)), None)
        if allowed is not None:
            answer["allowed"] = {"list": allowed.list, "entry": allowed.entry, "kind": allowed.kind}
        yield answer
