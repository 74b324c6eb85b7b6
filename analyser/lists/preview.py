"""What a proposed list would change: entries, refused lines, biggest parents, last week's traffic, and what speaks against it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from analyser.lists.milder import milder_moves, unasked_categories
from analyser.lists.traffic import Traffic
from analyser.lists.trial import Act, Trial
from blocklists.compare import Change, diff
from blocklists.guards import Limits, examine
from blocklists.parsed import LEFT_OUT
from blocklists.starter import must_stay_open
from blocklists.stored import ListKind, RefusedLine, Section, StoredList
from rules.decision import Action
from rules.policy import Policy

BLOCKED_SHARE: Final = 0.02
"""Share of last week's allowed page requests that a list may newly block."""
LEAST_REQUESTS: Final = 20
"""Fewer blocked page requests than this say nothing about a list."""
OPENED_SHARE: Final = 0.1
"""Share of last week's stopped page requests that a new version of a list may open: publishers correct themselves every day."""
SHOWN_REFUSALS: Final = 50


class Objection(msgspec.Struct, frozen=True):
    """One thing that speaks against a list."""

    rule: str
    """`shrank`, `grew`, `refused`, `vital`, `own`, `platform`, `suffix`, `traffic`, `allow`, `opens`, `milder` or `usage`."""
    entry: str
    message: str
    """One sentence for people."""
    blocks: bool
    """True: only a second person makes the list live. Never while there is nobody who could be one."""


class Preview(msgspec.Struct, frozen=True):
    """What making a list live would change; numbers and hosts, no person."""

    name: str
    format: str
    kind: ListKind
    why_format: str
    """What the format was recognised by, when nobody named it."""
    entries: int
    duplicates: int
    refused: int
    refusals: tuple[RefusedLine, ...]
    """The first 50 of them."""
    skipped: int
    excepted: int
    categories: dict[str, int]
    usage: dict[str, tuple[str, ...]]
    """What the publisher says that a category is for: `black`, `white` or both."""
    change: Change
    objections: tuple[Objection, ...]
    traffic: Traffic | None
    """None when there is no record of traffic, or nobody could be asked about it."""
    act: Act = "load"
    version: int = 0
    paused: bool = False
    """The list is paused and stays so: what it would block is not blocked before `lists resume`."""
    global_usage: dict[str, tuple[str, ...]] = {}
    """The same as `usage` from the tree's one `global_usage` file, which may say otherwise."""

    @property
    def held(self) -> bool:
        """True when a second person has to approve."""
        return any(objection.blocks for objection in self.objections)


def preview(trial: Trial, policy: Policy, traffic: Traffic | None, *, second_person: bool) -> Preview:
    """Return what a tried list would change; raises `ListError` and `OSError` where the present one can't be read.

    `second_person` says whether there is anybody else who could approve: without one, objections are said and hold nothing.
    """
    report, act = trial.report, trial.proposal.act
    old, new = trial.sections_before(), trial.sections()
    change = diff(old, new)
    found: list[Objection] = []
    if act in ("load", "rollback"):
        found += objections(trial, policy, old, new)
        found += _of_categories(trial, policy, change)
    if traffic is not None and act != "remove":
        found += _by_traffic(traffic)
    found += _of_opening(trial, traffic, change)
    if act == "load" and trial.before is None and report.kind == "block":
        # A big list of categories names a vital host now and then; a first load by a person says so. A list in use that
        # begins to name one has gone wrong at its publisher's, and waits.
        found = [msgspec.structs.replace(one, blocks=one.blocks and one.rule not in _OF_VITAL_HOSTS) for one in found]
    if not second_person:
        found = [msgspec.structs.replace(objection, blocks=False) for objection in found]
    return Preview(
        report.name, report.format, report.kind, report.why_format, report.entries, report.duplicates, report.refused,
        report.refusals[:SHOWN_REFUSALS], report.skipped, report.excepted, report.categories, report.usage, change, tuple(found), traffic,
        act, report.version, report.paused, report.global_usage,
    )  # fmt: skip


def objections(trial: Trial, policy: Policy, old: Sequence[Section], new: Sequence[Section]) -> list[Objection]:
    """Return what the guards find in a list, but not what they found in the version that is live: that was answered once."""
    before, report = trial.before, trial.report
    blocks = report.kind == "block"
    vital = must_stay_open() if blocks else {}
    own = policy.own_hosts if blocks else frozenset[str]()
    stopping = _stopping(policy, new) if blocks else []
    whole = len(stopping) == len(new)
    size = _size(old) if before is not None else None
    found = examine(new, report.refusals, report.refused, size, vital if whole else {}, own if whole else ())
    if not whole:
        found = [finding for finding in found if finding.rule in _OF_THE_WHOLE]
        found += [finding for finding in examine(stopping, (), 0, None, vital, own) if finding.rule not in _OF_THE_WHOLE]
    answered: set[tuple[str, str]] = set()
    if before is not None and before.kind == report.kind:
        if blocks and any(finding.rule not in _OF_THE_WHOLE for finding in found):
            answered = {(finding.rule, finding.entry) for finding in examine(_stopping(policy, old), (), 0, None, vital, own)}
        if _refused_share(before) > Limits().refused:
            answered.add(("refused", ""))
    kept = (finding for finding in found if (finding.rule, finding.entry) not in answered)
    return [Objection(finding.rule, finding.entry, finding.message, finding.blocks) for finding in kept]


def _of_opening(trial: Trial, traffic: Traffic | None, change: Change) -> list[Objection]:
    """Return why a change that opens something takes two people (docs/architecture.md, "What every part must hold")."""
    act, opens = trial.proposal.act, trial.report.kind == "allow"
    name = trial.proposal.name
    was_paused = trial.before is not None and trial.before.paused
    if opens:
        if act in ("remove", "pause") or (act == "rollback" and not change.added):
            return []
        return [Objection("allow", "", f"{name} is an allow list: it opens what the lists block.", True)]
    if act in ("remove", "pause") and not (act == "pause" and was_paused):
        done = "Taking away" if act == "remove" else "Pausing"
        return [Objection("opens", "", f"{done} the list {name} opens everything that only it blocks.", True)]
    if act == "resume" or not change.removed or (was_paused and act == "rollback"):
        return []
    if act == "rollback" and traffic is None:
        unknown = f"It takes {change.removed:,} entries out, and last week's traffic can't be asked what that opens."
        return [Objection("opens", "", unknown, True)]
    if traffic is None or not traffic.opened.requests:
        return []
    opened, stopped = traffic.opened, traffic.pages - traffic.allowed
    if act == "load" and (opened.requests < LEAST_REQUESTS or opened.requests <= stopped * OPENED_SHARE):
        return []
    hosts = ", ".join(host.host for host in opened.top[:3])
    return [Objection("opens", "", f"It opens {opened.requests:,} page requests that were stopped last week (most of all {hosts}).", True)]


def _of_categories(trial: Trial, policy: Policy, change: Change) -> list[Objection]:
    """Return what speaks against the categories: entries that become milder, and categories that are given for allowing only."""
    found = []
    before, proposal = trial.before, trial.proposal
    if before is not None and trial.report.kind == "block":
        stored = trial.candidate.stored(proposal.name)
        by_hand = (stored.category, stored.category_map) != (before.category, before.category_map)
        for way, count in milder_moves(policy, change.moved).items():
            if by_hand or count > Limits().moved * max(1, change.before):
                found.append(Objection("milder", way, f"{count:,} entries move to a category with milder rules: {way}.", True))
        left_out = {name for name, ours in (stored.category_map or {}).items() if ours == LEFT_OUT}
        for category in sorted(left_out & set(before.categories)):
            message = f"{before.categories[category]:,} entries of {category} are left out by the list's category map."
            found.append(Objection("milder", category, message, True))
    if trial.report.kind == "block" and proposal.act == "load":
        known = set(before.categories) if before is not None else set()
        for category, groups in unasked_categories(policy, trial.report.usage, trial.report.global_usage, trial.report.categories).items():
            message = (
                f"The publisher gives {category} for allowing, and `other_categories` would close it to {groups}: give it an action in the "
                f"policy, or leave it out with --map {category}=-."
            )
            # Whoever loads a list for the first time is told; one that the console refreshes and that brings a new one waits.
            found.append(Objection("usage", category, message, category not in known and (before is not None or proposal.scheduled)))
    return found


_OF_VITAL_HOSTS = ("vital", "platform")
_OF_THE_WHOLE = ("shrank", "grew", "refused", "suffix")


def _stopping(policy: Policy, sections: Sequence[Section]) -> list[Section]:
    """Return the sections whose category some group's rules block, and the list's own exceptions."""
    return [section for section in sections if section.allow or _blocks_for_somebody(policy, policy.category_named(section.category))]


def _blocks_for_somebody(policy: Policy, category: str) -> bool:
    return any(
        group.actions.get(category, group.other_categories) is Action.BLOCK
        or any(timed.actions.get(category) is Action.BLOCK for timed in group.timed)
        for group in policy.groups.values()
    )


def _by_traffic(traffic: Traffic) -> list[Objection]:
    blocked = traffic.blocked
    if blocked.requests < LEAST_REQUESTS or traffic.blocked_share <= BLOCKED_SHARE:
        return []
    hosts = ", ".join(host.host for host in blocked.top[:3])
    message = (
        f"It would have blocked {blocked.requests:,} of last week's {traffic.allowed:,} allowed pages "
        f"({traffic.blocked_share:.0%}; most of all {hosts})."
    )
    return [Objection("traffic", "", message, True)]


def _size(sections: Sequence[Section]) -> int:
    return sum(section.data.count(b"\n") for section in sections if not section.allow)


def _refused_share(stored: StoredList) -> float:
    lines = stored.entries + stored.refused
    return stored.refused / lines if lines else 0.0
