"""The figures as tables for docs/detection.md."""

import re
from pathlib import Path

from detection_parts.figures import Share
from detection_parts.measuring import OURS, Disguised, Result

_PLACE = re.compile(r"(<!-- table: what `benchmarks/detection.py` wrote -->\n).*?(<!-- end of table -->)", re.DOTALL)


def tables(results: list[Result], changed: list[Disguised], speed: float) -> str:
    """Return every table as Markdown."""
    parts = ["### Found, and false alerts", "", *_found(results), "", "### Ordinary texts", "", *_ordinary(results), ""]
    parts += ["### By theme and class (Schoolgate)", "", *_themes(results), ""]
    if changed:
        parts += ["### Disguised texts (Schoolgate)", "", *_disguised(changed), ""]
    return "\n".join([*parts, f"Short texts judged in a second of one core, as measured here: {speed:,.0f}.", ""])


def put_into(page: Path, text: str) -> None:
    """Replace the table of a page; raises `ValueError` for a page that has no place for it."""
    old = page.read_text(encoding="utf-8")
    if _PLACE.search(old) is None:
        raise ValueError(f"{page} has no place for the table: two comments, see `_PLACE` in this file.")
    page.write_text(_PLACE.sub(lambda match: f"{match[1]}\n{text}\n{match[2]}", old), encoding="utf-8")


def _found(results: list[Result]) -> list[str]:
    lines = [
        "| set | context | system | found (recall) | precision | false alerts per 1,000 | blocks per 1,000 harmless |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for one in results:
        for name, counts in one.counts.items():
            if counts.harmful:
                lines.append(
                    f"| {one.name} ({counts.harmful:,} + {counts.harmless:,}) | {one.context} | {name} | {_percent(counts.recall)} | "
                    f"{_percent(counts.precision)} | {_thousand(counts.false_alarms)} | {_thousand(counts.blocks)} |"
                )
    return lines


def _ordinary(results: list[Result]) -> list[str]:
    ordinary = [one for one in results if not one.counts[OURS].harmful]
    names = list(ordinary[0].counts) if ordinary else []
    lines = [f"| set | context | {' | '.join(f'{name}: alerts, blocks per 1,000' for name in names)} |", "|---|---|" + "--:|" * len(names)]
    for one in ordinary:
        cells = [f"{_thousand(counts.false_alarms)}, {_thousand(counts.blocks)}" for counts in one.counts.values()]
        lines.append(f"| {one.name} ({one.counts[OURS].harmless:,}) | {one.context} | {' | '.join(cells)} |")
    return lines


def _themes(results: list[Result]) -> list[str]:
    lines = ["| set | context | class or theme | found | false alerts per 1,000 |", "|---|---|---|--:|--:|"]
    for one in results:
        for part, counts in sorted(one.parts.items()) if any(counts.harmful for counts in one.counts.values()) else ():
            found = _percent(counts.recall) if counts.harmful else "–"
            alarms = _thousand(counts.false_alarms) if counts.harmless else "–"
            lines.append(f"| {one.name} | {one.context} | {part} ({counts.harmful:,} + {counts.harmless:,}) | {found} | {alarms} |")
        named = ", ".join(f"{theme} {c.found:,}/{c.alarms:,}" for theme, c in sorted(one.themes.items(), key=lambda item: -item[1].found))
        if named:
            lines.append(f"| {one.name} | {one.context} | *themes named, in harmful/harmless texts* | {named} | |")
    return lines


def _disguised(changed: list[Disguised]) -> list[str]:
    names = list(changed[0].kept)
    lines = [
        f"| disguise | {' | '.join(f'{name}: kept' for name in names)} | alerts added per 1,000 ordinary texts |",
        "|---|" + "--:|" * (len(names) + 1),
    ]
    for one in changed:
        kept = " | ".join(f"{one.kept[name]:.0%}" for name in names)
        lines.append(f"| {one.mutation} | {kept} | {1000 * one.added / one.benign:.2f} ({one.added} of {one.benign:,}) |")
    return lines


def _percent(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%}–{share.high:.1%})"


def _thousand(share: Share) -> str:
    return f"{1000 * share.value:.1f} ({1000 * share.low:.1f}–{1000 * share.high:.1f})"
