"""A thread that sees changed rulesets, grants and sealed lists, and puts them in force."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from blocklists.errors import IndexDamagedError, SealedListError
from proxy.live import Live
from rules.memory import give_back
from rules.ruleset import Ruleset, RulesetError, current_folder
from rules.state import State, read_snapshot

log = structlog.get_logger()

TICK_SECONDS = 0.1
RULESET_TICKS = 2
SEALED_TICKS = 10
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
"""A ruleset that could not be read is read again after the first of these, then after twice as long, up to the second."""
MOST_REPORTS = 64

_SNAPSHOT_FAULT = "The state snapshot can't be read."


def _in_memory(ruleset: Ruleset | None) -> Ruleset | None:
    """Return a ruleset as if only its policy and phrases were known: they need no file any more, and compiling them takes a second."""
    if ruleset is None or ruleset.manifest is None:
        return None
    files = {name: fact for name, fact in ruleset.manifest.files.items() if name in ("policy.toml", "keywords.json")}
    return msgspec.structs.replace(ruleset, folder=None, manifest=msgspec.structs.replace(ruleset.manifest, files=files))


class Watcher:
    """Keeps `live` equal to what lies on disk; a ruleset that can't be read leaves the last good one in force."""

    def __init__(
        self, live: Live, rulesets: Path, snapshot: Path, changed: Callable[[Ruleset], None], fault: Callable[[str], None]
    ) -> None:
        """`changed` is told of a new ruleset, `fault` of an error in one sentence; both are called in this thread."""
        self.live = live
        self._rulesets = rulesets
        self._snapshot = snapshot
        self._changed = changed
        self._fault = fault
        self._folder: Path | None = None
        self._failed: Path | None = None
        self._retry_at = self._retry_after = 0.0
        self._sealed_broken = False
        self._reported: set[str] = set()
        self._snapshot_seen: tuple[int, int, int] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Read everything once, then watch."""
        self.read_ruleset()
        self.read_snapshot()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        tick = 0
        while not self._stop.wait(TICK_SECONDS):
            tick += 1
            try:
                self.read_snapshot()
                self.check_lists()
                if tick % SEALED_TICKS == 0:
                    self.check_sealed()
                if tick % RULESET_TICKS == 0:
                    self.read_ruleset()
            except Exception as error:  # noqa: BLE001 - the watcher must outlive any surprise; stale rules are still rules
                self._report(f"The watcher failed: {type(error).__name__}.")

    def read_ruleset(self) -> None:
        """Load the current ruleset when it is another one than before."""
        folder: Path | None = None
        try:
            folder = current_folder(self._rulesets)
            if folder == self._folder or self._sealed_broken or (folder == self._failed and time.monotonic() < self._retry_at):
                return
            # After a list was missing or damaged, a fresh look at every file that is mapped.
            ruleset = Ruleset.load(folder, self.live.ruleset if not self.live.fault else _in_memory(self.live.ruleset))
        except RulesetError as error:
            self._put_off(folder)
            self._report(str(error))
            if self.live.ruleset is None:
                self.live.fault = str(error)
            return
        self._folder, self._failed = folder, None
        self.live.ruleset = ruleset
        self.live.fault = ""
        self._reported.clear()
        self._changed(ruleset)
        give_back()
        log.info("ruleset in force", version=ruleset.version)

    def _put_off(self, folder: Path | None) -> None:
        """Wait longer and longer before the same folder is tried again: reading one costs as much as a thousand requests."""
        self._retry_after = min(2 * self._retry_after, LONGEST_RETRY_SECONDS) if folder == self._failed else RETRY_SECONDS
        self._failed, self._retry_at = folder, time.monotonic() + self._retry_after

    def read_snapshot(self) -> None:
        """Load the state snapshot when its file is another one than before; a damaged one leaves the last good one."""
        try:
            facts = self._snapshot.stat()
            seen = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            if seen == self._snapshot_seen:
                return
            # Also when it turns out damaged: the same bytes stay damaged.
            self._snapshot_seen = seen
            self.live.state = State(read_snapshot(self._snapshot.read_bytes()))
            self._reported.discard(_SNAPSHOT_FAULT)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError):
            self._report(_SNAPSHOT_FAULT)

    def check_lists(self) -> None:
        """Refuse everything once the mapped lists were cut short in place: to look into them would end this process."""
        ruleset = self.live.ruleset
        if ruleset is None or self.live.fault:
            return
        try:
            ruleset.lists.check()
        except IndexDamagedError as error:
            self.live.fault = str(error)
            self._folder = None
            self._report(str(error))

    def check_sealed(self) -> None:
        """Refuse everything while a registered sealed list is missing or changed its size; take up one that is new."""
        ruleset = self.live.ruleset
        if ruleset is None:
            return
        try:
            try:
                ruleset.sealed.check()
            except SealedListError:
                # A list that is just being replaced is gone for the moment between its two files.
                ruleset.sealed.check()
        except (SealedListError, OSError) as error:
            self.live.fault = str(error)
            self._sealed_broken = True
            self._folder = None
            self._report(str(error))
            return
        if self._sealed_broken or ruleset.sealed.outdated:
            self._sealed_broken = False
            self._folder = self._failed = None

    def _report(self, sentence: str) -> None:
        """Log and hand on each fault once, until all is well again."""
        if sentence in self._reported or len(self._reported) >= MOST_REPORTS:
            return
        self._reported.add(sentence)
        log.error("watch", fault=sentence)
        self._fault(sentence)
