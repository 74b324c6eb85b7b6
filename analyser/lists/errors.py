"""Errors of the life of a list: every message is one sentence for the person who looks after them."""

from typing import Literal

from blocklists.errors import ListError

type Code = Literal["invalid", "not-found", "decided", "same-person", "stale"]


class SourceError(ListError):
    """A source can't be written down as asked."""


class FetchError(ListError):
    """A list could not be fetched; the one that was fetched before stays."""


class ChangeError(ListError):
    """A held change can't be decided as asked."""

    def __init__(self, sentence: str, code: Code = "invalid") -> None:
        super().__init__(sentence)
        self.code = code
