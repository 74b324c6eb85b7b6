"""A part never outlives its supervisor: each child holds the reading end of a pipe that closes when the supervisor dies.

A pipe is surer than the kernel's parent-death signal: it can't be missed between fork and the call that asks for the signal, and
nothing the child imports can switch it off. A worker without a supervisor would serve on with nobody to restart it, and
would keep the port from the next start.
"""

import os
import signal
import threading

VARIABLE = "SCHOOLGATE_LIFELINE"
"""Set by the supervisor: standard input is the pipe."""

GRACE = 12.0
"""Seconds for a clean end once the supervisor is gone: the drain of a worker (10 s) and a little more."""


def follow_supervisor() -> None:
    """End this process, cleanly if it can, when the supervisor that started it is gone; does nothing without one."""
    if os.environ.get(VARIABLE) != "1":
        return
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    try:
        while os.read(0, 64):
            pass
    except OSError:
        pass  # a pipe that can't be read means the same as one that ended
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE)
    os._exit(1)
