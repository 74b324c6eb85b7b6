"""The work that every proxy gets, and the figures that come out."""

import ssl
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from gateway_parts.client import LoadClient, Outcome, Target
from gateway_parts.origin import DOWNLOAD_BYTES, Origin
from gateway_parts.processes import cpu_seconds, forget_peak, peak_megabytes
from gateway_parts.proxies import Proxy

KEEP_ALIVE_WARM_UP = 1.5


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work."""

    name: str
    title: str
    path: str = "/10k.html"
    secure: bool = False
    fresh: bool = False
    scanned: bool = False
    blocked: bool = False
    download: bool = False
    exact_bytes: int | None = 10_000


CASES = (
    Case("http", "HTTP keep-alive, 10 kB"),
    Case("https", "HTTPS keep-alive, 10 kB", secure=True),
    Case("https-new", "new HTTPS connection per request, 10 kB", secure=True, fresh=True),
    Case("blocked", "blocked URL", blocked=True, exact_bytes=None),
    Case("html-10k", "10 kB HTML, scanned, each page new", path="/unique-10k.html", scanned=True, exact_bytes=None),
    Case("html-100k", "100 kB HTML, scanned, each page new", path="/unique-100k.html", scanned=True, exact_bytes=None),
    Case("html-10k-again", "10 kB HTML, scanned, always the same page", scanned=True),
    Case("html-100k-again", "100 kB HTML, scanned, always the same page", path="/100k.html", scanned=True, exact_bytes=100_000),
    Case("download", "download of 200 MB, HTTP", path="/large.bin", download=True, exact_bytes=DOWNLOAD_BYTES),
    Case("download-https", "download of 200 MB, HTTPS", path="/large.bin", secure=True, download=True, exact_bytes=DOWNLOAD_BYTES),
)


@dataclass(slots=True)
class Figures:
    """The figures of one case through one proxy in one round. Times in ms and s, memory in MB."""

    requests: int = 0
    seconds: float = 0.0
    requests_per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_seconds_per_1000: float = 0.0
    """CPU of the processes that carry requests; `cpu_tree_per_1000` adds everything else that the proxy started."""
    cpu_tree_per_1000: float = 0.0
    per_core: float = 0.0
    """Requests per second that one full core would carry: 1000 / cpu_seconds_per_1000."""
    busy_cores: float = 0.0
    """How many cores the carrying processes kept busy in the window: near 1.0 the proxy was the limit."""
    megabytes_per_second: float = 0.0
    rss_peak_mb: float = 0.0
    wrong: int = 0
    broken: int = 0
    reconnects: int = 0
    note: str = ""


@dataclass(slots=True)
class Result:
    """All rounds of one case through one proxy, and why there are none."""

    proxy: str
    case: str
    rounds: list[Figures] = field(default_factory=list)
    note: str = ""

    @property
    def best(self) -> Figures | None:
        """Return the round with the least CPU per request among those without faults: other work on the machine only adds."""
        good = [round_ for round_ in self.rounds if round_.requests]
        if not good:
            return None
        clean = [round_ for round_ in good if not round_.wrong and not round_.broken]
        return min(clean or good, key=lambda figures: figures.cpu_seconds_per_1000)

    @property
    def fastest(self) -> float:
        """Return the highest measured rate of all rounds, requests per second."""
        return max((figures.requests_per_second for figures in self.rounds), default=0.0)

    @property
    def spread(self) -> float:
        """Return the relative distance of the worst from the best round in CPU per request."""
        costs = [figures.cpu_seconds_per_1000 for figures in self.rounds if figures.requests]
        return (max(costs) - min(costs)) / min(costs) if len(costs) > 1 and min(costs) else 0.0

    def as_json(self) -> dict[str, object]:
        """Return the result for the JSON report."""
        best = self.best
        return {
            "proxy": self.proxy, "case": self.case, "note": self.note, "best": asdict(best) if best else None,
            "fastest_rps": self.fastest, "rounds": [asdict(figures) for figures in self.rounds],
        }  # fmt: skip


def target_of(case: Case, proxy: Proxy, origin: Origin, connections: int) -> Target:
    """Return what the client asks of this proxy for this case."""
    port = origin.https_port if case.secure else origin.http_port
    if case.blocked:
        return Target(
            proxy.host, proxy.port, proxy.blocked_host, 80, "/", connections=connections,
            statuses=proxy.blocked_statuses, headers=proxy.headers,
        )  # fmt: skip
    host = proxy.scanned_host if case.scanned else proxy.plain_host
    if case.secure and proxy.secure_site:
        host, port = proxy.secure_site
    return Target(
        proxy.host, proxy.port, host, port, case.path, secure=case.secure, fresh=case.fresh, headers=proxy.headers,
        connections=1 if case.download else connections, exact_bytes=case.exact_bytes,
    )  # fmt: skip


def measure(case: Case, proxy: Proxy, origin: Origin, context: ssl.SSLContext, seconds: float, connections: int) -> Figures:
    """Run one case once and return its figures."""
    client = LoadClient(target_of(case, proxy, origin, connections), context)
    carriers, everything = proxy.carriers(), proxy.processes()
    before: list[float] = []
    after: list[float] = []

    def begin() -> None:
        forget_peak(everything)
        before.extend((cpu_seconds(carriers), cpu_seconds(everything)))

    def end() -> None:
        after.extend((cpu_seconds(carriers), cpu_seconds(everything)))

    if case.download:
        outcome = client.run(120.0, most_requests=2, begin=begin, end=end)
    else:
        outcome = client.run(seconds, warm_up=KEEP_ALIVE_WARM_UP, begin=begin, end=end)
    figures = figures_of(outcome, after[0] - before[0], after[1] - before[1])
    figures.rss_peak_mb = peak_megabytes(everything)
    return figures


def figures_of(outcome: Outcome, carriers_cpu: float, tree_cpu: float) -> Figures:
    """Turn counts and CPU seconds of a window into figures."""
    figures = Figures(wrong=outcome.wrong, broken=outcome.broken, reconnects=outcome.reconnects, note=outcome.first_fault)
    figures.requests = len(outcome.latencies)
    figures.seconds = outcome.seconds
    if not figures.requests or not outcome.seconds:
        return figures
    answered = figures.requests + outcome.wrong
    figures.requests_per_second = figures.requests / outcome.seconds
    figures.p50_ms = statistics.median(outcome.latencies) / 1e6
    figures.p99_ms = percentile(outcome.latencies, 0.99) / 1e6
    figures.cpu_seconds_per_1000 = carriers_cpu / answered * 1000
    figures.cpu_tree_per_1000 = tree_cpu / answered * 1000
    figures.per_core = 1000 / figures.cpu_seconds_per_1000 if carriers_cpu else 0.0
    figures.busy_cores = carriers_cpu / outcome.seconds
    figures.megabytes_per_second = outcome.body_bytes / outcome.seconds / 1e6
    return figures


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank); ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_cases(
    proxies: Sequence[Proxy], cases: Sequence[Case], origin: Origin, contexts: dict[str, ssl.SSLContext],
    seconds: float, rounds: int, connections: int, say: Callable[[str], None],
) -> list[Result]:  # fmt: skip
    """Run every case through every proxy `rounds` times, proxies taking turns so that noise hits all alike."""
    results = {(proxy.name, case.name): Result(proxy.name, case.name) for case in cases for proxy in proxies}
    for number in range(1, rounds + 1):
        for case in cases:
            for proxy in proxies:
                result = results[proxy.name, case.name]
                if case.blocked and not proxy.blocked_host:
                    result.note = "does not filter"
                    continue
                if case.secure and proxy.no_https:
                    result.note = proxy.no_https
                if result.note:
                    continue
                say(f"round {number}/{rounds}  {case.name:15} {proxy.name}")
                try:
                    figures = measure(case, proxy, origin, contexts[proxy.name], seconds, connections)
                except Exception as fault:
                    result.note = f"{type(fault).__name__}: {fault}"
                    continue
                result.rounds.append(figures)
                if not figures.requests:
                    result.note = f"no right answer: {figures.note}"
                elif not proxy.alive():
                    result.note = "the proxy died"
    return list(results.values())
