"""Memory that is free inside the process goes back to the machine."""

import contextlib
import ctypes


def give_back() -> None:
    """Have the C library return what is free to the kernel; where it has no malloc_trim(3), nothing happens.

    Building or swapping a ruleset takes and frees a hundred megabytes in small pieces, which glibc would keep, in each
    thread's arena anew. Some milliseconds; other threads run on, but for those that allocate in the same arena.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
