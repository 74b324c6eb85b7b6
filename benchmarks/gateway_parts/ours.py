"""Our own gateway: UT1, 10,000 phrases, events on; one state folder per start."""

import contextlib
import json
import os
import random
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway_parts.lists import BlockLists
from gateway_parts.origin import Origin
from gateway_parts.processes import Started, StartError, free_port, pin, start, tree
from gateway_parts.proxies import Proxy, command

REPOSITORY = Path(__file__).parents[2]
STARTER = REPOSITORY / "rules" / "starter_policy.toml"
PHRASES = 10_000
READY_SECONDS = 180.0

_SYLLABLES = (
    "ba",
    "do",
    "fe",
    "gri",
    "hul",
    "ka",
    "lo",
    "mi",
    "nor",
    "pa",
    "qui",
    "ra",
    "sto",
    "tu",
    "vel",
    "wim",
    "xo",
    "yan",
    "zel",
    "tre",
)
_REAL = ("school", "river", "letter", "planet", "winter", "history", "library", "garden", "picture", "market")


@dataclass(slots=True)
class Ours:
    """The running gateway and what the other measurements need of it."""

    proxy: Proxy
    started: Started
    state: Path
    console: str
    policy: Path
    rulesets: dict[str, object] = field(default_factory=dict)
    """The ruleset that each worker last reported before the policy was rewritten."""

    def workers(self) -> list[int]:
        """Return the processes of the gateway workers."""
        return [pid for pid in tree(self.started.pid) if "worker" in _arguments(pid)]


def _arguments(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def phrases(count: int = PHRASES) -> list[str]:
    """Return made-up phrases that no page holds; a third begin with a common word, so that the matcher has to go some way."""
    choose = random.Random(7)
    made: set[str] = set()
    while len(made) < count:
        words = ["".join(choose.choices(_SYLLABLES, k=choose.randint(2, 4))) for _ in range(choose.randint(1, 3))]
        if choose.random() < 1 / 3:
            words.insert(0, choose.choice(_REAL))
        made.add(" ".join(words))
    return sorted(made)


def policy_text(origin: Origin, note: str = "") -> str:
    """Return the starter policy, opened for the loopback origin and with the phrases of the benchmark in it."""
    text = STARTER.read_text()
    ports = f"[80, 443, {origin.http_port}, {origin.https_port}]"
    hosts = '{ "www.origin.example" = "127.0.0.1", "plain.origin.example" = "127.0.0.1", "www.google.com" = "127.0.0.1" }'
    for old, new in (
        ("ports = [80, 443, 8080, 8443]\n", f"ports = {ports}\n"),
        ("connect_ports = [443, 8443]\n", f"connect_ports = {ports}\nhosts = {hosts}\ntrusted_ca = '{origin.authority}'\n"),
        ("private_targets = []\n", 'private_targets = ["origin.example", "www.google.com"]\n'),
        ("skip_hosts = [", 'skip_hosts = ["plain.origin.example", '),
    ):
        if text.count(old) < 1:
            raise StartError(f"the starter policy no longer holds {old.strip()!r}: adapt benchmarks/gateway_parts/ours.py")
        text = text.replace(old, new, 1)
    words = ", ".join(json.dumps(phrase) for phrase in phrases())
    added = f'[categories.benchmark]\nlevel = 1\n\n[[keyword_sets]]\ncategory = "benchmark"\nweight = 10\nlevel = 1\nwords = [{words}]\n'
    return f"{text}\n# {note}\n{added}"


def start_ours(
    folder: Path, origin: Origin, worker_cores: list[int], other_cores: set[int], lists: BlockLists, archive: Path, name: str = "schoolgate"
) -> Ours:
    """Start the gateway with one worker per entry of `worker_cores`, each pinned; everything else runs on `other_cores`.

    StartError with the process's own words when it does not come up.
    """
    folder.mkdir(parents=True)
    state, program = folder / "state", command("schoolgate")
    policy = folder / "policy.toml"
    policy.write_text(policy_text(origin))
    common = ["--state", str(state), "--config", str(policy)]
    _run([program, "init", *common], folder)
    _run([program, "lists", "load", "ut1", str(archive), "--format", "ut1", *common], folder)
    listen, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    words = [program, "up", *common, "--listen", listen, "--console", console, "--workers", str(len(worker_cores))]
    started = start(words, folder, "schoolgate", cores=other_cores)
    try:
        ready = _wait_ready(started)
    except StartError:
        started.stop(60)
        raise
    fields = dict(word.partition("=")[::2] for word in ready.split()[1:])
    proxy = Proxy(
        name,
        f"Schoolgate, {len(worker_cores)} worker(s), UT1, {PHRASES:,} phrases, events on",
        "127.0.0.1",
        int(listen.rpartition(":")[2]),
        started,
        Path(fields["ca"]),
        plain_host="plain.origin.example",
        scanned_host="www.origin.example",
        blocked_host=lists.blocked_host,
        facts={"phrases": PHRASES, "domains": lists.domain_count, "workers": len(worker_cores)},
    )
    ours = Ours(proxy, started, state, fields["console"], policy)
    proxy.pick_carriers = ours.workers
    workers = ours.workers()
    if len(workers) != len(worker_cores):
        started.stop(60)
        raise StartError(f"{len(workers)} worker processes instead of {len(worker_cores)}")
    for pid, core in zip(workers, worker_cores, strict=True):
        pin([pid], {core})
    return ours


def _wait_ready(started: Started) -> str:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        for line in started.log.read_text(errors="replace").splitlines():
            if line.startswith("ready proxy="):
                return line
        if started.process.poll() is not None:
            raise StartError(f"schoolgate up ended with code {started.process.returncode}: {started.tail()}")
        time.sleep(0.1)
    raise StartError(f"schoolgate up not ready after {READY_SECONDS:.0f} s: {started.tail()}")


def _run(arguments: list[str], folder: Path, seconds: float = 300.0) -> str:
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False, env={**os.environ, "NO_COLOR": "1"}
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise StartError(f"schoolgate {arguments[1]} ended with code {done.returncode}: {said}")
    return done.stdout


def token(ours: Ours, role: str = "dsl") -> str:
    """Make a bearer token for the console's API and return it."""
    said = _run(
        [command("schoolgate"), "token", "create", "--role", role, "--name", f"benchmark-{time.time_ns()}", "--state", str(ours.state)],
        ours.state.parent,
    )
    words = said.split()
    if not words:
        raise StartError("schoolgate token create printed no token")
    return words[-1]
