"""Errors of lists: every message is one sentence for the person who looks after them."""


class ListError(Exception):
    """A list can't be read, stored or compiled; the message says why and what to do."""


class IndexDamagedError(ListError):
    """A compiled file is missing, cut short, changed, or of another version."""


class SealedListError(ListError):
    """A sealed list is missing, damaged or empty; names the list, never an entry."""
