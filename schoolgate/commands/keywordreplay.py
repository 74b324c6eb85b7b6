"""Last month's searches under other phrases, in words for people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyser.replay import Counted, Replay

_TITLES = {
    "alerted": "newly alerted of", "blocked": "newly blocked", "warned": "newly warned of", "no_longer_alerted": "no longer alerted of",
    "no_longer_blocked": "no longer blocked", "no_longer_warned": "no longer warned of",
}  # fmt: skip


def preview_in_words(found: "Replay | None") -> list[str]:
    """Return the lines that people read about last month's searches."""
    if found is None:
        return ["There is no record of last month's searches to compare with."]
    lines = [f"Of last month's {found.searches:,} searches:"]
    for kind, title in _TITLES.items():
        met = found.met.get(kind)
        if met is None:
            continue
        lines.append(f"  {title}: {met.searches:,} {_times(met.searches)} of {_people(met.users)}")
        lines += [*_counted("by group", met.groups), *_counted("by phrase", met.phrases), *_counted("searched for", met.terms)]
    if not found.met:
        lines.append("  none would have met another decision")
    if found.elsewhere.events:
        where = found.elsewhere
        lines.append(f"Phrases that go or change matched on {where.events:,} pages, forms and prompts of {_people(where.users)}:")
        lines += _counted("by phrase", where.phrases)
    if not found.complete:
        lines.append("  There is more than could be looked at: the numbers are the least.")
    lines.append("The text of pages, forms and prompts is not kept: what new phrases would find there can't be told.")
    return lines


def _counted(title: str, counted: "tuple[Counted, ...]") -> list[str]:
    return [f"    {title}: " + "; ".join(f"{one.name} {one.searches:,} of {_people(one.users)}" for one in counted)] if counted else []


def _times(count: int) -> str:
    return "search" if count == 1 else "searches"


def _people(count: int) -> str:
    return f"{count:,} user{'s' if count != 1 else ''}"
