"""Keeps the parts running: starts them, restarts one that dies with growing pauses, and stops them in order.

Under systemd the units in deploy/ do the same. A part's exit code 2 before it was ever ready means that it can't run as it was
asked to (it has said why); everything is stopped then. Once all were ready, a part is restarted for ever.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from schoolgate import lifeline, notify, partrun
from schoolgate.notify import NotifySocket
from schoolgate.partrun import Run, ending
from schoolgate.parts import Part

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
HEALTHY_AFTER = 30.0
"""Seconds a part must have run for its earlier deaths to be forgotten."""
READY_WITHIN = 120.0
"""Seconds from start to ready; a large ruleset on a slow disk takes a while, a hung part takes for ever."""
LOOK_EVERY = 1.0
ASLEEP = 5.0
"""When the supervisor itself could not look for so long, the machine slept or choked; then all signs of life are waited for anew."""
TRIES_AT_START = 3
"""Deaths before ready after which the very first start is given up."""


def pause_after(failures: int) -> float:
    """Seconds to wait before the next start, after so many deaths in a row (at least one): 0.5, 1, 2, … 30."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (min(failures, 16) - 1))


class GaveUpError(Exception):
    """The first start can't succeed; `code` is the exit code for the supervisor, the text is for people (may be empty)."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Supervisor:
    """Runs parts until it is told to stop."""

    def __init__(
        self,
        parts: Iterable[Part],
        hear: NotifySocket,
        say: Callable[[str], None],
        when_ready: Callable[[dict[str, str]], None],
        record: Callable[[str, str], None] | None = None,
    ) -> None:
        """Prepare; `when_ready` gets what the parts said with READY, `record` a part's name and what happened to it."""
        self.parts = tuple(parts)
        self.running: dict[str, Run] = {}
        self.restarts: dict[str, int] = {part.name: 0 for part in self.parts}
        self._hear = hear
        self._say = say
        self._when_ready = when_ready
        self._record = record
        self._words: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._all_ready = False
        self._told_at = 0.0
        self._lifeline, self._held = -1, -1

    def stop(self) -> None:
        """Begin a clean stop; a second call cuts the workers' drain short."""
        now = time.monotonic()
        # The same wish often comes twice at once: to the process, and to the group that it belongs to.
        if self._stopping.is_set() and now - self._told_at > 0.5:
            self._hurry.set()
        elif not self._stopping.is_set():
            self._told_at = now
        self._stopping.set()

    async def run(self) -> int:
        """Start everything, keep it running until `stop`, and return the exit code."""
        self._lifeline, self._held = os.pipe()
        listener = asyncio.create_task(self._listen())
        watcher = asyncio.create_task(self._watch())
        keepers = {asyncio.create_task(self._keep(part)) for part in self.parts}
        code, stopped = 0, asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({*keepers, listener, watcher, stopped}, return_when=asyncio.FIRST_COMPLETED)
            code = self._outcome({*keepers, listener, watcher})
        finally:
            self._stopping.set()
            notify.tell("STOPPING=1")
            clean = await self._stop_all()
            await asyncio.wait(keepers, timeout=LONGEST_PAUSE)  # each returns once its process has ended
            for task in (*keepers, listener, watcher, stopped):
                task.cancel()
            await asyncio.gather(*keepers, listener, watcher, stopped, return_exceptions=True)
            os.close(self._lifeline)
            os.close(self._held)
        return code or (0 if clean else 1)

    def _outcome(self, tasks: set[asyncio.Task[None]]) -> int:
        """Exit code for what ended the run; an error of our own is raised on."""
        for task in tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                if isinstance(error, GaveUpError):
                    if str(error):
                        self._say(str(error))
                    return error.code
                if error is not None:
                    raise error
        return 0

    # --- one part ---

    async def _keep(self, part: Part) -> None:
        failures, generation = 0, 0
        while not self._stopping.is_set():
            generation += 1
            run = await self._start(part, generation)
            if self._stopping.is_set():
                run.process.terminate()  # told to stop while it was being started
            code = await self._life(run)
            if self._stopping.is_set():
                return
            was_ready = run.ready.is_set()
            if was_ready and time.monotonic() - run.started > HEALTHY_AFTER:
                failures = 0
            failures += 1
            if not self._all_ready:
                self._give_up_if_hopeless(part, code, failures, was_ready)
            pause = pause_after(failures)
            self.restarts[part.name] += 1
            self._tell(part.name, f"{part.name} ended unexpectedly ({ending(code)}); starting it again in {pause:g} s.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    @staticmethod
    def _give_up_if_hopeless(part: Part, code: int, failures: int, was_ready: bool) -> None:
        if code == 2 and not was_ready:
            raise GaveUpError("", 2)  # it has said itself what is wrong
        if failures >= TRIES_AT_START:
            text = f"{part.name} could not be started: it ended {failures} times ({ending(code)}); `schoolgate --verbose up` shows why."
            raise GaveUpError(text, 1)

    async def _start(self, part: Part, generation: int) -> Run:
        environment = {**os.environ, notify.VARIABLE: str(self._hear.path), lifeline.VARIABLE: "1"}
        environment[notify.FIRST_START] = "1" if generation == 1 else "0"
        process = await asyncio.create_subprocess_exec(
            *part.arguments, stdin=self._lifeline, stdout=sys.stderr.fileno(), env=environment,
            process_group=0,  # Ctrl-C in a terminal reaches the supervisor only, which stops the parts in order
        )  # fmt: skip
        run = Run(part, generation, process)
        self.running[part.name] = run
        return run

    async def _life(self, run: Run) -> int:
        """Wait for the end of a run; kill it when it does not become ready in time."""
        ended = asyncio.create_task(run.process.wait())
        ready = asyncio.create_task(run.ready.wait())
        try:
            await asyncio.wait({ended, ready}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not ready.done():
                self._say(f"{run.part.name} was not ready within {READY_WITHIN:g} s.")
                run.process.kill()
            return await ended
        finally:
            ready.cancel()
            ended.cancel()

    async def _listen(self) -> None:
        while True:
            pid, message = await self._hear.heard()
            run = next((run for run in self.running.values() if run.process.pid == pid), None)
            if run is None:
                continue  # not a child of ours, or one of an earlier generation
            run.alive_at = time.monotonic()
            if message.get("READY") != "1":
                continue
            run.ready.set()
            self._words |= message
            everybody = len(self.running) == len(self.parts) and all(run.ready.is_set() for run in self.running.values())
            if everybody and not self._all_ready and not self._stopping.is_set():
                self._all_ready = True
                self._when_ready(self._words)
                notify.tell("READY=1")

    # --- a part that lives and does nothing ---

    async def _watch(self) -> None:
        """Kill a part that hangs: it would hold its share of the connections for ever. `_keep` then starts it again."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = time.monotonic()
            awake, looked = now - looked < ASLEEP, now
            for run in tuple(self.running.values()):
                if run.hangs(now, patient=not awake or self._stopping.is_set()):
                    sentence = f"{run.part.name} gave no sign of life for {partrun.HUNG_AFTER:g} s and is killed, since it hangs."
                    self._tell(run.part.name, sentence)
                    with contextlib.suppress(ProcessLookupError):
                        run.process.kill()

    def _tell(self, name: str, sentence: str) -> None:
        """Say what happened to a part, to people and for the record."""
        self._say(sentence)
        if self._record is not None:
            with contextlib.suppress(OSError):  # a full disk has alerts of its own
                self._record(name, sentence)

    # --- the end ---

    async def _stop_all(self) -> bool:
        """Stop the parts by order; returns False when one had to be killed."""
        clean = True
        for order in sorted({part.order for part in self.parts}):
            runs = [run for run in self.running.values() if run.part.order == order]
            clean &= all(await asyncio.gather(*(self._stop_one(run) for run in runs)))
        return clean

    async def _stop_one(self, run: Run) -> bool:
        process = run.process
        if process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(self._hurry.wait())
        # Hurry cuts short only the drain of the workers: the console's last ingest is what makes the stop lose nothing.
        watched: set[asyncio.Task[int] | asyncio.Task[bool]] = {ended, hurried} if run.part.order == 0 else {ended}
        await asyncio.wait(watched, timeout=run.part.patience, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if ended.done():
            return True
        self._say(f"{run.part.name} did not end in time and is killed; what it had not yet written down is lost.")
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await ended
        return self._hurry.is_set()


def supervise(supervisor_of: Callable[[], Supervisor]) -> int:
    """Run a supervisor in its own event loop until SIGTERM, SIGINT or SIGHUP; returns the exit code."""

    async def main() -> int:
        supervisor = supervisor_of()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, supervisor.stop)
        return await supervisor.run()

    return asyncio.run(main())
