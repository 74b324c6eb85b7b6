"""What the policy makes of a list's categories: which moves open something, and what would be blocked that nobody asked for."""

from collections.abc import Mapping

from rules.decision import Action
from rules.policy import Policy


def milder_moves(policy: Policy, moved: Mapping[str, int]) -> dict[str, int]:
    """Return the moves, by "old -> new" and number of entries, after which some group may open more than before."""
    found = {}
    for way, count in moved.items():
        old, _, new = way.partition(" -> ")
        if _milder(policy, policy.category_named(old), policy.category_named(new)):
            found[way] = count
    return found


def unasked_categories(
    policy: Policy, usage: Mapping[str, tuple[str, ...]], everywhere: Mapping[str, tuple[str, ...]], present: Mapping[str, int]
) -> dict[str, str]:  # fmt: skip
    """Return the categories that a publisher gives for allowing, here or there, and that nobody named: to the groups they'd be closed to.

    A publisher's own two files may disagree (`usage` and `global_usage` of UT1): one word for allowing is enough to ask.
    """
    found = {}
    for category in sorted(present):
        words = [labels for labels in (usage.get(category), everywhere.get(category)) if labels]
        if not any("black" not in labels for labels in words):
            continue
        ours = policy.category_named(category)
        groups = [group.name for group in policy.groups.values() if ours not in group.actions and group.other_categories.stops]
        if groups:
            found[category] = ", ".join(groups)
    return found


def _milder(policy: Policy, old: str, new: str) -> bool:
    return old != new and any(_action(policy, group, new).strictness < _action(policy, group, old).strictness for group in policy.groups)


def _action(policy: Policy, group: str, category: str) -> Action:
    rules = policy.groups[group]
    return rules.actions.get(category, rules.other_categories)
