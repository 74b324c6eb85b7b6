"""What a new policy allows that the old one did not: for the audit, and for whoever reviews it."""

from rules.decision import Action
from rules.policy import Policy

MOST = 100


def loosened(old: Policy, new: Policy) -> list[str]:
    """Return one short line for each way in which the new policy is milder; at most a hundred."""
    lines: list[str] = []
    for name, group in new.groups.items():
        before = old.groups.get(name)
        if before is None:
            lines.append(f"group {name} is new")
            continue
        lines += _milder(f"group {name}, default", before.default, group.default)
        lines += _milder(f"group {name}, other categories", before.other_categories, group.other_categories)
        for category in sorted({*before.actions, *group.actions}):
            was = before.actions.get(category, before.other_categories)
            lines += _milder(f"group {name}, category {category}", was, group.actions.get(category, group.other_categories))
        for category in sorted({*before.text, *group.text}):
            was = before.text.get(category, before.actions.get(category, before.other_categories))
            now = group.text.get(category, group.actions.get(category, group.other_categories))
            lines += _milder(f"group {name}, words of {category}", was, now)
        if group.timed != before.timed:
            lines.append(f"group {name}, timed rules changed")
    lines += [f"allow entry added: {text}" for text in sorted(_texts(new, allow=True) - _texts(old, allow=True))]
    lines += [f"deny entry removed: {text}" for text in sorted(_texts(old, allow=False) - _texts(new, allow=False))]
    for name, was_category in old.categories.items():
        now_category = new.categories.get(name)
        if now_category is None:
            lines.append(f"category {name} removed")
            continue
        if now_category.level < was_category.level:
            lines.append(f"category {name}: level {was_category.level} → {now_category.level}")
        lines += [f"category {name} no longer includes {part}" for part in sorted(set(was_category.includes) - set(now_category.includes))]
    lines += [f"splice entry added: {host}" for host in sorted(set(new.gateway.splice) - set(old.gateway.splice))]
    if new.limits.grant_minutes > old.limits.grant_minutes:
        lines.append(f"longest unblock: {old.limits.grant_minutes} → {new.limits.grant_minutes} minutes")
    gone = _phrases(old) - _phrases(new)
    if gone:
        lines.append(f"{len(gone)} phrases removed or given less weight, in {', '.join(sorted({category for category, _ in gone}))}")
    lines += [
        f"{context} words need more weight: {weight} → {new.text.thresholds[context]}"
        for context, weight in old.text.thresholds.items()
        if new.text.thresholds.get(context, weight) > weight
    ]
    lines += [f"reading of {what} switched off" for what in ("pages", "typed") if getattr(old.text, what) and not getattr(new.text, what)]
    return lines[:MOST]


def _phrases(policy: Policy) -> set[tuple[str, object]]:
    return {(one.category, phrase) for one in policy.keyword_sets for phrase in one.phrases}


def _milder(what: str, was: Action, now: Action) -> list[str]:
    return [f"{what}: {was} → {now}"] if now.strictness < was.strictness else []


def _texts(policy: Policy, *, allow: bool) -> set[str]:
    entries = (policy.allow_entries if allow else policy.deny_entries).entries
    return {f"{entry.text} ({', '.join(sorted(entry.groups)) or 'everybody'})" for entry in entries}
