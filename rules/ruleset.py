"""The ruleset: everything a decision needs, immutable, read from one numbered folder."""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Self

import msgspec

from blocklists.allow import AllowIndex
from blocklists.errors import SealedListError
from blocklists.expressions import ExpressionIndex
from blocklists.index import ListIndex
from blocklists.sealed import SealedLists
from blocklists.url import canonicalise
from rules.keywords import KeywordMatcher
from rules.keywords.sets import frozen_sets
from rules.model.reader import TextModel, shipped_model
from rules.policy import Policy, PolicyError, parse_policy
from rules.searches import SearchEngines

MANIFEST = "manifest.json"
FORMAT = 1


class RulesetError(RuntimeError):
    """The ruleset can't be used; the message is a sentence for people."""


class FileFact(msgspec.Struct, frozen=True):
    """One file of a ruleset folder."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a ruleset folder holds."""

    format: int
    version: int
    made: float
    """Seconds since the epoch, UTC."""
    policy_source: str
    """Path of the policy file that it was made from: names it in messages, and starts its relative paths."""
    sealed: str
    """Folder of the sealed lists, relative to the ruleset folder."""
    files: dict[str, FileFact]


KEYWORDS = "keywords.json"
"""Keyword sets of a ruleset folder, as they were when it was built."""
PHRASES = "keywords.compiled"
"""The same compiled (`rules.keywords.frozen`); made again where they don't fit."""
_NO_EXPRESSIONS = ExpressionIndex.empty()


class Ruleset(msgspec.Struct, frozen=True, eq=False):
    """Lists, keyword sets and policy as one value; swapped, never edited."""

    version: int
    policy: Policy
    lists: ListIndex
    allowed: AllowIndex
    sealed: SealedLists
    keywords: KeywordMatcher
    searches: SearchEngines
    folder: Path | None = None
    manifest: Manifest | None = None
    expressions: ExpressionIndex = _NO_EXPRESSIONS
    model: TextModel | None = msgspec.field(default_factory=shipped_model)
    """The second reader of typed words."""

    @classmethod
    def of(
        cls,
        policy: Policy,
        sealed: SealedLists,
        *,
        lists: ListIndex | None = None,
        allowed: AllowIndex | None = None,
        keywords: KeywordMatcher | None = None,
        searches: SearchEngines | None = None,
        expressions: ExpressionIndex = _NO_EXPRESSIONS,
        version: int = 0,
    ) -> Self:
        """Put a ruleset together from values, for tests and for checking a policy before it is built."""
        _check_sealed(policy, sealed)
        return cls(
            version, policy,
            lists if lists is not None else ListIndex.empty(),
            allowed if allowed is not None else AllowIndex.empty(),
            sealed,
            keywords if keywords is not None else KeywordMatcher.build(policy.keyword_sets, policy.lowest_thresholds()),
            searches if searches is not None else SearchEngines.load(),
            expressions=expressions,
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path, previous: "Ruleset | None" = None) -> "Ruleset":
        """Read a ruleset folder; parts that are the same as in `previous` are taken from it instead of read again.

        Raises `RulesetError` with a sentence for anything that keeps it from being whole.
        """
        try:
            return _load(folder, previous)
        except RulesetError:
            raise
        except (OSError, ValueError, RuntimeError, SealedListError, msgspec.MsgspecError) as error:
            raise RulesetError(f"The ruleset {folder} can't be read: {error}") from error


def _load(folder: Path, previous: Ruleset | None) -> Ruleset:
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    if manifest.format != FORMAT:
        raise RulesetError(f"The ruleset {folder} has form {manifest.format}; this version of Schoolgate reads form {FORMAT}.")
    for name, fact in manifest.files.items():
        if (folder / name).stat().st_size != fact.size:
            raise RulesetError(f"The file {name} of the ruleset {folder} has another size than its manifest says.")
    sealed = _sealed_of(folder, manifest, previous)
    known = previous.manifest.files if previous is not None and previous.manifest is not None else {}

    def same(*names: str) -> bool:
        return previous is not None and all(known.get(name) == manifest.files.get(name) for name in names)

    if previous is not None and same("policy.toml", KEYWORDS) and _source_of(previous) == manifest.policy_source:
        policy, keywords = previous.policy, previous.keywords
    else:
        policy, keywords = _policy_of(folder, manifest, previous if same(KEYWORDS) else None)
    _check_sealed(policy, sealed)
    return Ruleset(
        manifest.version, policy,
        previous.lists if previous is not None and same("lists.idx") else _open_lists(folder, manifest),
        previous.allowed if previous is not None and same("allow.tsv") else _open_allowed(folder, manifest),
        sealed, keywords,
        previous.searches if previous is not None else SearchEngines.load(),
        folder, manifest,
        previous.expressions if previous is not None and same("lists.expressions") else _open_expressions(folder, manifest),
    )  # fmt: skip


def _check_sealed(policy: Policy, sealed: SealedLists) -> None:
    """Refuse a policy whose sealed lists are absent, or that would serve a sealed address as the gateway's own."""
    missing = set(policy.required_sealed) - set(sealed.names)
    if missing:
        raise RulesetError(f"The policy requires sealed lists that are not loaded: {', '.join(sorted(missing))}.")
    for host in policy.own_hosts:
        if sealed.find(canonicalise(f"http://{host}/")) is not None:
            raise RulesetError("gateway.own_host is on a sealed list; choose another name for the gateway's own pages.")


def _policy_of(folder: Path, manifest: Manifest, previous: Ruleset | None) -> tuple[Policy, KeywordMatcher]:
    """Read the policy; `previous` is a ruleset with the same keyword sets, whose compiled phrases serve again."""
    # Keyword files were frozen into keywords.json when the ruleset was built: a file that changes later changes nothing here.
    text = (folder / "policy.toml").read_text(encoding="utf-8")
    sets = previous.policy.keyword_sets if previous is not None else frozen_sets((folder / KEYWORDS).read_bytes())
    try:
        policy = parse_policy(text, manifest.policy_source, keyword_sets=sets)
    except PolicyError as error:
        raise RulesetError(f"The policy of the ruleset {folder} is not valid: {error.problems[0]}") from error
    thresholds = policy.lowest_thresholds()
    if previous is not None:
        return policy, previous.keywords.at(thresholds)
    fact = manifest.files.get(PHRASES)
    compiled = (folder / PHRASES).read_bytes() if fact is not None else b""
    # The automaton's bytes are believed as they are, so they have to be the very ones that were written.
    if fact is None or hashlib.sha256(compiled).hexdigest() != fact.sha256:
        return policy, KeywordMatcher.build(sets, thresholds)
    return policy, KeywordMatcher.thaw(compiled, sets, thresholds)


def _sealed_of(folder: Path, manifest: Manifest, previous: Ruleset | None) -> SealedLists:
    place = (folder / manifest.sealed).resolve()
    if previous is not None and previous.folder is not None and previous.manifest is not None:
        previous.sealed.check()
        if place == (previous.folder / previous.manifest.sealed).resolve() and not previous.sealed.outdated:
            return previous.sealed
    return SealedLists.open(place)


def _open_lists(folder: Path, manifest: Manifest) -> ListIndex:
    return ListIndex.open(folder / "lists.idx") if "lists.idx" in manifest.files else ListIndex.empty()


def _open_allowed(folder: Path, manifest: Manifest) -> AllowIndex:
    return AllowIndex.open(folder / "allow.tsv") if "allow.tsv" in manifest.files else AllowIndex.empty()


def _open_expressions(folder: Path, manifest: Manifest) -> ExpressionIndex:
    return ExpressionIndex.open(folder / "lists.expressions") if "lists.expressions" in manifest.files else _NO_EXPRESSIONS


def _source_of(ruleset: Ruleset) -> str:
    return ruleset.manifest.policy_source if ruleset.manifest is not None else ""


def current_folder(rulesets: Path) -> Path:
    """Return the folder that `current` points to; raises `RulesetError` when there is none."""
    try:
        target = (rulesets / "current").readlink()
    except OSError:
        raise RulesetError(f"There is no ruleset in {rulesets}; run `schoolgate up` or `schoolgate check` to build one.") from None
    return rulesets / target


def starter_ruleset() -> Ruleset:
    """Return the starter policy with the keyword sets that come with Schoolgate, for use without an installation: no lists at all."""
    text = (files("rules") / "starter_policy.toml").read_text(encoding="utf-8")
    return Ruleset.of(parse_policy(text, "starter_policy.toml"), SealedLists.empty())
