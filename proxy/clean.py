"""Pages that were weighed and found without a phrase, so that a class that opens one page has it weighed once."""

import hashlib
from collections import OrderedDict

from rules.keywords import KeywordMatcher
from rules.settings import Limits

ENTRIES = 8192


class CleanPages:
    """Digests of pages whose words reach no threshold, whoever asks.

    Right because a page's weight depends on nothing but its bytes, how they are to be read, the keyword sets and the
    limits. A page with a phrase is never kept here: what follows from it differs by person and time of day.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._keywords: KeywordMatcher | None = None
        self._limits: Limits | None = None
        self._pages: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def page(self, body: bytes, content_type: str, coding: str, keywords: KeywordMatcher, limits: Limits) -> bytes:
        """Return the digest (SHA-256) of a page as it came; other keyword sets or limits forget all pages known so far."""
        if keywords is not self._keywords or limits != self._limits:
            self._keywords, self._limits = keywords, limits
            self._pages.clear()
        digest = hashlib.sha256(f"{len(content_type)},{content_type},{len(coding)},{coding}".encode("utf-8", "surrogatepass"))
        digest.update(body)
        return digest.digest()

    def knows(self, page: bytes) -> bool:
        """Return whether the page is known to be clean."""
        if page not in self._pages:
            return False
        self._pages.move_to_end(page)
        return True

    def add(self, page: bytes) -> None:
        """Remember a clean page; the one that was asked for longest ago goes."""
        self._pages[page] = None
        while len(self._pages) > self._entries:
            self._pages.popitem(last=False)
