"""What may be said of an error: in a log its type and places in the code, to a person a sentence; messages may hold names."""

import errno
import traceback
from pathlib import Path
from typing import Any


def trace(error: BaseException) -> dict[str, Any]:
    """Return what a log line says of an error: a message, a URL or a local value could name a person, so none is part of it."""
    where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    return {"error": type(error).__name__, "where": where}


def ingest_sentence(error: BaseException) -> str:
    """Say for a person why events can't be stored or looked at; they wait meanwhile."""
    text = str(error).lower()
    waiting = "events wait in the spool and are tried again"
    if getattr(error, "errno", None) == errno.ENOSPC or "no space left" in text or "disk is full" in text:
        return f"The disk of the state folder is full, so {waiting}; make room on it."
    if "database is locked" in text:
        return f"Another program holds the casework database, so alerts come late and {waiting}; end that program."
    return f"Events can't be stored ({type(error).__name__}), so they wait in the spool and are tried again; the console's log says where."
