"""Refresh of one source as a process of its own: reading millions of entries must not keep the console's threads waiting."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from schoolgate.paths import StatePaths

LONGEST = 7200.0
"""Seconds that one refresh may take, with reading and compiling: a publisher that says a byte a minute must not hold up the others."""
TOOK_TOO_LONG = 124
PATIENCE = 20.0
"""Seconds that it gets to end cleanly before it is killed: one that does not must not hold up the console's end."""
GIVES_WAY = 10
"""Its niceness: pupils' requests go first."""


def command(paths: StatePaths, config: Path) -> Callable[[str], Awaitable[int]]:
    """Return what fetches and offers one source by the command line, as `analyser.lists.schedule` wants it."""

    async def refresh(name: str) -> int:
        arguments = ["lists", "fetch", name, "--load", "--scheduled", "--state", str(paths.root), "--config", str(config)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schoolgate", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, env={key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"},
        )  # fmt: skip
        with contextlib.suppress(ProcessLookupError):
            # From here, not between fork and exec: the console has threads, and a lock of one would be held in the child for ever.
            os.setpriority(os.PRIO_PROCESS, process.pid, GIVES_WAY)
        try:
            return await asyncio.wait_for(process.wait(), LONGEST)
        except TimeoutError:
            return TOOK_TOO_LONG
        finally:
            if process.returncode is None:  # the console ends: so does the fetch, which leaves nothing half done
                await _end(process)

    return refresh


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
