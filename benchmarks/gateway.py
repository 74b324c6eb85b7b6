"""Drive any filtering proxy, ours or a peer's, on the same work; print a table and write JSON.

    uv run python benchmarks/gateway.py                                   # stock mitmdump and the trimmed master
    uv run python benchmarks/gateway.py --ours --peers mitmdump,trimmed,e2guardian,squid --json result.json
    uv run python benchmarks/gateway.py --url http://127.0.0.1:8080 --pid 1234   # a proxy that runs already
    uv run python benchmarks/gateway.py --ours --alerts                   # from a request to its alert
    uv run python benchmarks/gateway.py --ours --reloads 100              # policy reloads under load
    uv run python benchmarks/gateway.py --ours --scaling                  # two workers against one
    uv run python benchmarks/gateway.py --cases http,https --seconds 3 --rounds 2

The proxy has the first core to itself, the client and the origin (nginx) share the last. Proxies take turns, case
by case and round by round. "req/s" is the highest rate seen; "req/s/core" is 1000 / CPU seconds per 1,000 requests of
the processes that carry requests, which doesn't depend on how fast the client is. All traffic stays on loopback.
"""

import argparse
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from gateway_parts.alerts import measure_alerts
from gateway_parts.cases import CASES, Case, measure, run_cases
from gateway_parts.client import tls_context
from gateway_parts.e2guardian import e2guardian
from gateway_parts.lists import DEFAULT as UT1
from gateway_parts.lists import BlockLists, unpack
from gateway_parts.origin import Origin, start_origin
from gateway_parts.ours import Ours, start_ours
from gateway_parts.processes import StartError, pin, tree
from gateway_parts.profiling import sample
from gateway_parts.proxies import Proxy, external, stock_mitmdump, trimmed, trimmed_uvloop
from gateway_parts.quota import Quota
from gateway_parts.reloads import measure_reloads
from gateway_parts.report import machine, markdown, print_results, write_json
from gateway_parts.scaling import SHARE, measure_scaling
from gateway_parts.squid import squid
from rich.console import Console

type Starter = Callable[[Path, Origin, set[int]], Proxy]
type FilterStarter = Callable[[Path, Origin, set[int], BlockLists], Proxy]

PROXIES: dict[str, Starter] = {"mitmdump": stock_mitmdump, "trimmed": trimmed, "trimmed-uvloop": trimmed_uvloop}
FILTERS: dict[str, FilterStarter] = {"e2guardian": e2guardian, "squid": squid}
PEERS = (*PROXIES, *FILTERS)
SCALED = ("http", "https", "https-new", "html-10k", "html-100k")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="mitmdump,trimmed", help=f"comma-separated, of: {', '.join(PEERS)}; empty for none")
    parser.add_argument("--ours", action="store_true", help="start our gateway with UT1 and 10,000 phrases")
    parser.add_argument("--url", help="a proxy that runs already, http://HOST:PORT")
    parser.add_argument("--pid", type=int, help="its first process, for CPU and memory")
    parser.add_argument("--ca", type=Path, help="PEM file of its certificate authority; without it nothing is verified")
    parser.add_argument("--ut1", type=Path, default=UT1, help="UT1 lists as tar.gz, for every proxy that filters")
    parser.add_argument("--cases", default=",".join(case.name for case in CASES), help="comma-separated (default: all)")
    parser.add_argument("--seconds", type=float, default=6.0, help="per case and round (default 6)")
    parser.add_argument("--rounds", type=int, default=3, help="the best counts (default 3)")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--base", default="", help="ratios against this proxy (default: the first that starts)")
    parser.add_argument("--origin", choices=("auto", "nginx", "python"), default="auto")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--markdown", type=Path, help="write the table of ratios here")
    parser.add_argument("--alerts", action="store_true", help="with --ours: time from a request to its alert, at 300 requests per second")
    parser.add_argument("--alert-rate", type=float, default=300.0, help="requests per second (default 300)")
    parser.add_argument("--alert-shares", default="0.1,1", help="shares of them that raise an alert, a run each (default 0.1,1)")
    parser.add_argument("--reloads", type=int, default=0, metavar="N", help="with --ours: rewrite the policy N times under load")
    parser.add_argument("--scaling", action="store_true", help="two workers against one")
    parser.add_argument(
        "--profile", type=Path, help="sample each proxy with py-spy instead (uv run --with py-spy ...), write Markdown here"
    )
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with logs and configurations")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; 1 when no proxy could be measured."""
    options = arguments()
    console = Console(width=max(160, Console().width))
    say = Console(stderr=True).print
    names = [name for name in options.cases.split(",") if name]
    cases = [case for case in CASES if case.name in names]
    unknown = set(names) - {case.name for case in CASES}
    peers = [name for name in options.peers.split(",") if name] if not options.url or options.peers != "mitmdump,trimmed" else []
    unknown |= set(peers) - set(PEERS)
    if unknown:
        say(f"unknown: {', '.join(sorted(unknown))}. Cases: {', '.join(c.name for c in CASES)}. Peers: {', '.join(PEERS)}.")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="gateway-benchmark-"))
    folder.chmod(0o755)
    os.sched_setaffinity(0, {options.client_core})
    with contextlib.ExitStack() as stack:
        if options.keep:
            say(f"temporary folder: {folder}")
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        origin = start_origin(folder / "origin", {options.client_core}, options.origin)
        stack.callback(origin.stop)
        if options.alerts or options.reloads or options.scaling:
            return special(options, folder, origin, stack, console, say)
        proxies, absent = start_proxies(options, peers, folder, origin, stack, say)
        if not proxies:
            say("no proxy to measure")
            for name, why in absent.items():
                say(f"{name}: {why}")
            return 1
        contexts = {proxy.name: tls_context(str(proxy.authority) if proxy.authority else None) for proxy in proxies}
        if options.profile:
            options.profile.write_text(profile(options, proxies, cases, origin, contexts, folder, say))
            return 0
        results = run_cases(proxies, cases, origin, contexts, options.seconds, options.rounds, options.connections, say)
        base = options.base or proxies[0].name
        print_results(results, base, console)
        for name, why in absent.items():
            console.print(f"[bold]{name}[/] did not start: {why}", highlight=False)
        settings: dict[str, object] = {
            "seconds": options.seconds, "rounds": options.rounds, "connections": options.connections, "origin": origin.kind,
            "proxy_core": options.proxy_core, "client_core": options.client_core,
            "proxies": {proxy.name: {"title": proxy.title, **proxy.facts} for proxy in proxies},
        }  # fmt: skip
        if options.json:
            write_json(options.json, results, settings, {"absent": absent})
        if options.markdown:
            options.markdown.write_text(markdown(results, base))
    return 0


def special(
    options: argparse.Namespace, folder: Path, origin: Origin, stack: contextlib.ExitStack, console: Console, say: Callable[[str], None]
) -> int:
    """Run the measurements that only our gateway has; 1 when it does not start or one of them found a fault."""
    lists = unpack(options.ut1, folder / "lists")
    found: dict[str, object] = {"machine": machine()}
    faults = 0
    quota = Quota()
    stack.callback(quota.release)
    try:
        ours = start_ours(folder / "ours", origin, [options.proxy_core], {options.client_core}, lists, options.ut1)
        stack.callback(ours.proxy.stop)
        if options.alerts:
            runs = []
            for share in (float(text) for text in options.alert_shares.split(",")):
                say(f"alerts: {options.alert_rate:.0f} requests per second, share {share}")
                run = measure_alerts(ours, origin, options.alert_rate, share, max(options.seconds, 10))
                console.print(share, run)
                faults += run.wrong + (run.alerting - run.alerted) + (not run.alerted)
                runs.append({"share": share, **asdict(run)})
            found["alerts"] = runs
        if options.reloads:
            reloads = measure_reloads(ours, origin, options.reloads, say)
            console.print(reloads)
            faults += reloads.failed + (reloads.asked - reloads.taken)
            found["reloads"] = asdict(reloads)
        if options.scaling:
            cores = [options.proxy_core, options.client_core]
            two = start_ours(folder / "ours-two", origin, cores, {options.client_core}, lists, options.ut1, "schoolgate-2")
            stack.callback(two.proxy.stop)
            names = [name for name in options.cases.split(",") if name in SCALED]
            share = _hold(quota, [*ours.workers(), *two.workers()], cores, origin, [ours, two], say)
            results = measure_scaling(ours, two, origin, names, options.seconds, options.rounds, say)
            for result in results:
                console.print(result, f"two against one: {result.ratio:.2f}, CPU-normalised {result.normalised:.2f}")
                faults += result.wrong
            found["scaling"] = [
                {**asdict(result), "ratio": result.ratio, "normalised": result.normalised, "share": share} for result in results
            ]
    except (StartError, OSError, subprocess.SubprocessError) as fault:
        console.print(f"schoolgate did not start: {fault}", highlight=False, markup=False)
        return 1
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if faults else 0


def _hold(quota: Quota, workers: list[int], cores: list[int], origin: Origin, running: list[Ours], say: Callable[[str], None]) -> float:
    """Hold each worker to its share of a core and give the rest of all cores to everything else; return the share, 1 where that fails."""
    try:
        quota.hold(workers, SHARE)
    except OSError as fault:
        say(f"each worker may use its whole core ({fault}): read the CPU-normalised figures")
        return 1.0
    others = {pid for ours in running for pid in tree(ours.started.pid)} - set(workers)
    pin([os.getpid(), *tree(origin.server.pid), *others], set(cores))
    say(f"each worker may use {SHARE:.0%} of its core; client, origin and console use the rest of both")
    return SHARE


def profile(
    options: argparse.Namespace, proxies: list[Proxy], cases: list[Case], origin: Origin, contexts: dict[str, ssl.SSLContext],
    folder: Path, say: Callable[[str], None],
) -> str:  # fmt: skip
    """Sample every Python proxy in every case; return Markdown."""
    parts = []
    for case in cases:
        for proxy in proxies:
            if case.blocked and not proxy.blocked_host:
                continue
            say(f"profile  {case.name:15} {proxy.name}")
            plain = measure(case, proxy, origin, contexts[proxy.name], options.seconds, options.connections)

            def work(case: Case = case, proxy: Proxy = proxy) -> None:
                measure(case, proxy, origin, contexts[proxy.name], options.seconds, options.connections)

            found = sample(proxy.carriers()[-1], max(1, int(options.seconds)), work, folder)
            parts.append(found.markdown(f"{proxy.name}, {case.name}", plain.cpu_seconds_per_1000 * 1000))
    return "\n".join(parts)


def start_proxies(
    options: argparse.Namespace, peers: list[str], folder: Path, origin: Origin, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> tuple[list[Proxy], dict[str, str]]:
    """Start what was asked for; return the running proxies and, by name, why others don't run."""
    proxies: list[Proxy] = []
    absent: dict[str, str] = {}
    if options.url:
        proxy = external(options.url, options.ca)
        if options.pid:
            pid = options.pid
            proxy.pick_carriers = lambda: tree(pid)
            pin(tree(pid), {options.proxy_core})
        proxies.append(proxy)
    if options.ours:
        say("starting schoolgate")
        try:
            lists = unpack(options.ut1, folder / "lists")
            ours = start_ours(folder / "ours", origin, [options.proxy_core], {options.client_core}, lists, options.ut1)
        except (StartError, OSError, ValueError, subprocess.SubprocessError) as fault:
            absent["schoolgate"] = str(fault)
        else:
            stack.callback(ours.proxy.stop)
            proxies.append(ours.proxy)
    for name in peers:
        say(f"starting {name}")
        try:
            proxy = start_peer(name, options, folder, origin)
        except (StartError, OSError, ValueError, subprocess.SubprocessError) as fault:
            absent[name] = str(fault)
            continue
        stack.callback(proxy.stop)
        proxies.append(proxy)
    return proxies, absent


def start_peer(name: str, options: argparse.Namespace, folder: Path, origin: Origin) -> Proxy:
    """Start one peer by name."""
    cores = {options.proxy_core}
    if name in PROXIES:
        return PROXIES[name](folder / name, origin, cores)
    if not options.ut1.exists():
        raise StartError(f"no UT1 lists at {options.ut1} (--ut1)")
    return FILTERS[name](folder / name, origin, cores, unpack(options.ut1, folder / "lists"))


if __name__ == "__main__":
    sys.exit(main())
