"""What goes wrong in a way that a person can put right."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Problem(Exception):  # noqa: N818 - what the person reads is a problem, not an error of theirs
    """One sentence that says what is wrong and what to do; the command line prints it and ends with exit code 2."""


@contextmanager
def files_explained(doing: str, path: Path) -> Iterator[None]:
    """Turn an operating-system error about a file into a `Problem` that names the file.

    `doing` completes "can't ...", for example "read the policy".
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise Problem(f"Can't {doing} {where}: {error.strerror or error}; check that the file exists and who may use it.") from error
