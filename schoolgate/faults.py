"""What happened to a part, as an event about the gateway itself: the console makes an alert of it like of any other fault."""

import itertools
import os
import time
from pathlib import Path

_numbers = itertools.count(1)
_STARTED = int(time.time() * 1000)


def write(spool: Path, part: str, sentence: str) -> None:
    """Put one event into the spool as a segment of its own; raises `OSError`."""
    # Only now: a supervisor that has nothing to tell carries no event library.
    from rules.decision import Reason  # noqa: PLC0415
    from rules.event import Event, encoder  # noqa: PLC0415

    event = Event(os.urandom(16).hex(), time.time(), part, "", "", "none", "error", Reason.FAULT.value, fault=sentence[:500])
    name = f"supervisor-{os.getpid()}-{_STARTED}-{next(_numbers):08d}.ndjson"
    # Ingest looks at names that end in .ndjson, so that it never meets half a line.
    draft = spool / f".{name}"
    draft.write_bytes(encoder.encode(event) + b"\n")
    draft.rename(spool / name)
