"""Tables and JSON of a run."""

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway_parts.cases import CASES, Figures, Result


def ratio(value: float, base: float) -> str:
    """Return value/base for a table, or a dash."""
    return f"{value / base:.2f}" if value and base else "-"


def print_results(results: Sequence[Result], base: str, console: Console) -> None:
    """Print one table: a line per case and proxy, ratios against the proxy named `base`."""
    table = Table(title=f"per case: best round; ratio = requests per second per core against {base}")
    for column in ("case", "proxy"):
        table.add_column(column)
    for column in ("req/s", "req/s/core", "ratio", "p50 ms", "p99 ms", "CPU s/1000", "tree", "busy", "MB/s", "peak MB", "faults"):
        table.add_column(column, justify="right")
    table.add_column("note", overflow="fold", max_width=40)
    last = ""
    for result in results:
        if last and result.case != last:
            table.add_section()
        shown, last = ("" if result.case == last else result.case), result.case
        best = result.best
        if best is None:
            table.add_row(shown, result.proxy, *["-"] * 11, result.note)
            continue
        table.add_row(
            shown,
            result.proxy,
            *_cells(result, best, _base(results, result.case, base)),
            result.note or (best.note if best.wrong or best.broken else ""),
        )
    console.print(table)


def _base(results: Sequence[Result], case: str, name: str) -> float:
    for result in results:
        if result.case == case and result.proxy == name and result.best:
            return result.best.per_core
    return 0.0


def _cells(result: Result, best: Figures, base: float) -> list[str]:
    faults = best.wrong + best.broken
    return [
        _rate(result.fastest),
        _rate(best.per_core),
        ratio(best.per_core, base),
        f"{best.p50_ms:.1f}",
        f"{best.p99_ms:.1f}",
        f"{best.cpu_seconds_per_1000:.3f}",
        f"{best.cpu_tree_per_1000:.3f}",
        f"{best.busy_cores:.2f}",
        f"{best.megabytes_per_second:,.0f}",
        f"{best.rss_peak_mb:,.0f}",
        str(faults) if faults else "",
    ]


def _rate(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def markdown(results: Sequence[Result], base: str) -> str:
    """Return the ratios as a Markdown table: a line per case, a column per proxy, requests per second per core."""
    proxies = list(dict.fromkeys(result.proxy for result in results))
    lines = ["| case | " + " | ".join(proxies) + " |", "|---|" + "--:|" * len(proxies)]
    for case in CASES:
        row = {result.proxy: result for result in results if result.case == case.name}
        if not row:
            continue
        against = _base(results, case.name, base)
        cells = []
        for proxy in proxies:
            best = row[proxy].best if proxy in row else None
            cells.append(f"{ratio(best.per_core, against)} ({_rate(best.per_core)})" if best else "–")
        lines.append(f"| {case.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine() -> dict[str, object]:
    """Return what a reader needs to know of the machine."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release(),
        "load": list(os.getloadavg()), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def write_json(path: Path, results: Sequence[Result], settings: dict[str, object], extra: dict[str, object]) -> None:
    """Write the whole run as JSON."""
    document = {"machine": machine(), "settings": settings, "results": [result.as_json() for result in results], **extra}
    path.write_text(json.dumps(document, indent=2) + "\n")
