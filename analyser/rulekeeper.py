"""Keeps the ruleset current: a changed policy or list is built, checked and put in force, or the last good one stays."""

import hashlib
import threading
import time
from pathlib import Path

import structlog

from analyser.casework import audit
from analyser.casework.database import CaseworkDatabase
from analyser.changes import loosened
from blocklists.allow import AllowIndex
from blocklists.errors import SealedListError
from blocklists.index import ListIndex
from blocklists.sealed import SealedLists
from blocklists.sealedstore import REGISTRY, Registry
from blocklists.url import CanonicalUrl
from rules.build import build
from rules.keywords import KeywordMatcher
from rules.memory import give_back
from rules.policy import Policy, PolicyError, load_policy
from rules.ruleset import Ruleset, RulesetError, current_folder
from rules.searches import SearchEngines

log = structlog.get_logger()


class UnreadableSealed(SealedLists):
    """Stands for sealed lists that can't be read: every question fails, so that nothing is opened meanwhile."""

    def __init__(self, sentence: str) -> None:
        super().__init__(None, Registry(), {}, ())
        self._sentence = sentence

    def find(self, url: CanonicalUrl, claimed_hosts: tuple[str, ...] = ()) -> str | None:
        """Raise SealedListError."""
        del url, claimed_hosts
        raise SealedListError(self._sentence)

    def check(self) -> None:
        """Raise SealedListError."""
        raise SealedListError(self._sentence)


class RuleKeeper:
    """Watches policy, lists and `rulesets/current`; `step` is cheap when nothing changed. Used from one thread at a time."""

    def __init__(self, policy_file: Path, lists: Path, sealed: Path, rulesets: Path, database: CaseworkDatabase) -> None:
        self._policy_file = policy_file
        self._lists = lists
        self._sealed = sealed
        self._rulesets = rulesets
        self._database = database
        self._guard = threading.Lock()
        self.last_error: str | None = None
        """Why the newest policy or list is not in force, or None."""
        self.last_error_at: float | None = None
        self.loaded_at = time.time()
        self.ruleset = self._first()
        self._seen: tuple[object, ...] = self._stamp() if self._policy_in_force() else ()

    def step(self) -> bool:
        """Build or load what changed; True when another ruleset is in force afterwards."""
        with self._guard:
            changed = False
            if built := (stamp := self._stamp()) != self._seen:
                self._seen = stamp
                self._build()
            try:
                folder = current_folder(self._rulesets)
                if folder != self.ruleset.folder:
                    changed = self._take(Ruleset.load(folder, self.ruleset))
            except RulesetError as error:
                self._fail(str(error))
            if built or changed:
                give_back()
            return changed

    def sealed_fault(self) -> str | None:
        """Return what is wrong with the sealed lists now, or None."""
        try:
            self.ruleset.sealed.check()
        except SealedListError as error:
            return str(error)
        return None

    def _first(self) -> Ruleset:
        """Load what is current; when that is not whole, go on with the policy alone, so that people see what is wrong."""
        try:
            return Ruleset.load(current_folder(self._rulesets))
        except RulesetError as error:
            first = str(error)
        try:
            build(self._policy_file, self._lists, self._sealed, self._rulesets)
            return Ruleset.load(current_folder(self._rulesets))
        except (RulesetError, PolicyError, SealedListError, OSError) as error:
            self._fail(first or str(error))
        try:
            policy = load_policy(current_folder(self._rulesets) / "policy.toml")
        except (PolicyError, RulesetError):
            policy = load_policy(self._policy_file)
        # Not Ruleset.of: it asks the sealed lists about our own host, and these refuse every question.
        return Ruleset(
            0, policy, ListIndex.empty(), AllowIndex.empty(), UnreadableSealed(first),
            KeywordMatcher.build(policy.keyword_sets, policy.text.thresholds), SearchEngines.load(),
        )  # fmt: skip

    def _build(self) -> None:
        try:
            build(self._policy_file, self._lists, self._sealed, self._rulesets, self.ruleset)
        except PolicyError as error:
            self._fail("; ".join(str(problem) for problem in error.problems[:3]))
        except (RulesetError, SealedListError, OSError, ValueError) as error:
            self._fail(str(error))
        else:
            self.last_error = self.last_error_at = None

    def _take(self, fresh: Ruleset) -> bool:
        old, self.ruleset = self.ruleset, fresh
        self.loaded_at = time.time()
        log.info("ruleset in force", version=fresh.version)
        if old.policy is not fresh.policy:
            self._note(old.policy, fresh)
        return True

    def _note(self, old: Policy, fresh: Ruleset) -> None:
        milder = loosened(old, fresh.policy)
        with self._database.session() as session:
            audit.append(session, "gateway", "policy.change", f"ruleset:{fresh.version}", {"loosened": milder})

    def _fail(self, sentence: str) -> None:
        if sentence != self.last_error:
            log.warning("the last good ruleset stays in force", problem=sentence)
        self.last_error, self.last_error_at = sentence, time.time()

    def _stamp(self) -> tuple[object, ...]:
        watched = [
            self._policy_file, self._lists / "lists.idx", self._lists / "allow.tsv", self._sealed / REGISTRY,
            *(Path(name) for name in self.ruleset.policy.keyword_files),
        ]  # fmt: skip
        return tuple(_stamp_of(path) for path in watched)

    def _policy_in_force(self) -> bool:
        """True when the current ruleset was made of the policy and lists that lie there now."""
        manifest = self.ruleset.manifest
        if manifest is None:
            return False
        try:
            return all(
                _digest(path) == manifest.files[name].sha256 if path.exists() else name not in manifest.files
                for name, path in (("policy.toml", self._policy_file),)
            ) and all(
                path.stat().st_size == manifest.files[name].size
                if path.exists() and name in manifest.files
                else path.exists() == (name in manifest.files)
                for name, path in (("lists.idx", self._lists / "lists.idx"), ("allow.tsv", self._lists / "allow.tsv"))
            )
        except OSError:
            return False


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
