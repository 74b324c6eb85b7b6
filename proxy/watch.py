"""A thread that sees changed rulesets, grants and sealed lists, and puts them in force."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from blocklists.errors import SealedListError
from proxy.live import Live
from rules.ruleset import Ruleset, RulesetError, current_folder
from rules.state import State, read_snapshot

log = structlog.get_logger()

TICK_SECONDS = 0.1
RULESET_TICKS = 2
SEALED_TICKS = 10


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
        self._refused: tuple[Path | None, str] = (None, "")
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
                if tick % RULESET_TICKS == 0:
                    self.read_ruleset()
                if tick % SEALED_TICKS == 0:
                    self.check_sealed()
            except Exception as error:  # noqa: BLE001 - the watcher must outlive any surprise; stale rules are still rules
                self._report(f"The watcher failed: {type(error).__name__}.")

    def read_ruleset(self) -> None:
        """Load the current ruleset when it is another one than before."""
        try:
            folder = current_folder(self._rulesets)
            if folder == self._folder:
                return
            ruleset = Ruleset.load(folder, self.live.ruleset)
        except RulesetError as error:
            self._report(str(error))
            if self.live.ruleset is None:
                self.live.fault = str(error)
            return
        self._folder = folder
        self.live.ruleset = ruleset
        self.live.fault = ""
        self._refused = (None, "")
        self._changed(ruleset)
        log.info("ruleset in force", version=ruleset.version)

    def read_snapshot(self) -> None:
        """Load the state snapshot when its file is another one than before; a damaged one leaves the last good one."""
        try:
            facts = self._snapshot.stat()
            seen = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            if seen == self._snapshot_seen:
                return
            self.live.state = State(read_snapshot(self._snapshot.read_bytes()))
            self._snapshot_seen = seen
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError):
            self._report("The state snapshot can't be read.")

    def check_sealed(self) -> None:
        """Refuse everything while a registered sealed list is missing or changed its size behind our back."""
        ruleset = self.live.ruleset
        if ruleset is None:
            return
        try:
            ruleset.sealed.check()
        except (SealedListError, OSError) as error:
            self.live.fault = str(error)
            self._report(str(error))
            # Whole again only after a fresh look at every file.
            self._folder = None
            return

    def _report(self, sentence: str) -> None:
        """Log and hand on each fault once."""
        if self._refused[1] != sentence:
            self._refused = (self._folder, sentence)
            log.error("watch", fault=sentence)
            self._fault(sentence)
