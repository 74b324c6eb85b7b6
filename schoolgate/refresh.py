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


def command(paths: StatePaths, config: Path) -> Callable[[str], Awaitable[int]]:
    """Return what fetches and offers one source by the command line, as `analyser.lists.schedule` wants it."""

    async def refresh(name: str) -> int:
        arguments = ["lists", "fetch", name, "--load", "--scheduled", "--state", str(paths.root), "--config", str(config)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schoolgate", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, env={key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"},
            preexec_fn=_give_way,
        )  # fmt: skip
        try:
            return await asyncio.wait_for(process.wait(), LONGEST)
        except TimeoutError:
            return TOOK_TOO_LONG
        finally:
            if process.returncode is None:  # the console ends: so does the fetch, which leaves nothing half done
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()

    return refresh


def _give_way() -> None:
    os.nice(10)
