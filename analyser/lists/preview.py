"""What a proposed list would change: entries, refused lines, biggest parents, last week's traffic, and what speaks against it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from analyser.lists.traffic import Traffic
from analyser.lists.trial import Trial
from blocklists.compare import Change, diff
from blocklists.guards import Limits, examine
from blocklists.starter import must_stay_open
from blocklists.stored import ListKind, RefusedLine, Section, StoredList
from rules.decision import Action
from rules.policy import Policy

BLOCKED_SHARE: Final = 0.02
"""Share of last week's allowed page requests that a list may newly block."""
LEAST_REQUESTS: Final = 20
"""Fewer blocked page requests than this say nothing about a list."""
SHOWN_REFUSALS: Final = 50


class Objection(msgspec.Struct, frozen=True):
    """One thing that speaks against a list."""

    rule: str
    """`shrank`, `grew`, `refused`, `vital`, `own`, `platform`, `suffix`, `traffic` or `allow`."""
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

    @property
    def held(self) -> bool:
        """True when a second person has to approve."""
        return any(objection.blocks for objection in self.objections)


def preview(trial: Trial, policy: Policy, traffic: Traffic | None, *, second_person: bool) -> Preview:
    """Return what a tried list would change; raises `ListError` and `OSError` where the present one can't be read.

    `second_person` says whether there is anybody else who could approve: without one, objections are said and hold nothing.
    """
    report = trial.report
    old, new = trial.sections_before(), trial.sections()
    found = objections(trial, policy, old, new)
    if traffic is not None:
        found += _by_traffic(traffic)
    if report.kind == "allow" and second_person:
        found.append(Objection("allow", "", "An allow list opens what the lists block, so a second person has to approve it.", True))
    if trial.before is None and report.kind == "block":
        # A big list of categories names a vital host now and then; a first load by a person says so. A list in use that
        # begins to name one has gone wrong at its publisher's, and waits.
        found = [msgspec.structs.replace(one, blocks=one.blocks and one.rule not in _OF_VITAL_HOSTS) for one in found]
    if not second_person:
        found = [msgspec.structs.replace(objection, blocks=False) for objection in found]
    return Preview(
        report.name, report.format, report.kind, report.why_format, report.entries, report.duplicates, report.refused,
        report.refusals[:SHOWN_REFUSALS], report.skipped, report.excepted, report.categories, report.usage, diff(old, new), tuple(found),
        traffic,
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
