"""The real thing: `schoolgate up` as a process, driven by its command line, its API and curl."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

HERE = Path(__file__).parent
HOSTS = ("allowed.test", "allowed2.test", "blocked.test", "parts.blocked.test", "denied.test", "www.google.co.uk", "www.google.com",
         "iwf.sealed.test", "stream.test", "lesson.test")  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for[T](what: str, probe: Callable[[], T | None], seconds: float = 10) -> T:
    """Ask until the probe answers with something true; fail with what was waited for."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Origin:
    """The web of the tests."""

    http_port: int
    https_port: int
    authority: Path

    def hits(self) -> dict[str, int]:
        """How often the origin was asked for each host and path."""
        answer: dict[str, int] = httpx2.get(f"http://127.0.0.1:{self.http_port}/__hits", trust_env=False).json()
        return answer


@dataclass
class Gateway:
    """A running installation."""

    state: Path
    origin: Origin
    process: subprocess.Popen[str]
    proxy: str
    console: str
    authority: Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def policy_file(self) -> Path:
        """The policy that the running system watches."""
        return self.state / "policy.toml"

    def cli(self, *arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of ours against this installation."""
        command = [sys.executable, "-m", "schoolgate", *arguments, "--state", str(self.state)]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=check, timeout=120)

    def token(self, role: str) -> str:
        """A bearer token of the role, made with the command line once."""
        if role not in self.tokens:
            self.tokens[role] = self.cli("token", "create", "--role", role, "--name", f"test-{role}").stdout.strip()
        return self.tokens[role]

    def api(self, method: str, path: str, role: str = "dsl", **arguments: Any) -> httpx2.Response:
        """Call the console's API as a role."""
        headers = {"Authorization": f"Bearer {self.token(role)}"}
        return httpx2.request(method, f"{self.console}{path}", headers=headers, trust_env=False, timeout=30, **arguments)

    def url(self, host: str, path: str = "/", *, secure: bool = True) -> str:
        """An address of the origin's under a host name."""
        scheme, port = ("https", self.origin.https_port) if secure else ("http", self.origin.http_port)
        return f"{scheme}://{host}:{port}{path}"

    def curl(self, url: str, *options: str, user: str | None = None) -> "Answer":
        """Fetch through the gateway with curl."""
        command = ["curl", "-sS", "-i", "--proxy", self.proxy, "--cacert", str(self.authority), "--suppress-connect-headers",
                   "--max-time", "30", *options]  # fmt: skip
        if user:
            command += ["--proxy-user", user]
        done = subprocess.run([*command, url], capture_output=True, check=False, timeout=60)
        return Answer.parse(done.stdout, done.returncode, done.stderr.decode(errors="replace"))

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """Events that the console has, by its API."""
        answer = self.api("GET", "/api/v1/events", role="dsl", params={"limit": 1000, **filters})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["events"]
        return rows

    def stop(self) -> int:
        """Ask it to stop and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@dataclass(frozen=True)
class Answer:
    """What curl got."""

    status: int
    version: str
    headers: dict[str, str]
    body: str
    exit_code: int
    error: str

    @classmethod
    def parse(cls, raw: bytes, exit_code: int, error: str) -> "Answer":
        """Read curl's `-i` output: the last header block and the body."""
        text = raw.decode("utf-8", "replace")
        status, version, headers = 0, "", {}
        while text.startswith("HTTP/"):
            head, _, text = text.partition("\r\n\r\n")
            first, *lines = head.split("\r\n")
            version, code = first.split(" ")[0], first.split(" ")[1]
            status = int(code)
            headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return cls(status, version, headers, text, exit_code, error)


def write_policy(gateway_state: Path, origin: Origin, extra: str = "") -> None:
    """Put the test policy in place: the origin's ports, authority and addresses, and a few entries of each kind."""
    hosts = "\n".join(f'"{host}" = "127.0.0.1"' for host in HOSTS)
    text = (HERE / "policy.toml").read_text()
    for name, value in {
        "@HTTP@": str(origin.http_port), "@HTTPS@": str(origin.https_port), "@CA@": str(origin.authority), "@HOSTS@": hosts,
    }.items():  # fmt: skip
        text = text.replace(name, value)
    partial = gateway_state / "policy.toml.new"
    partial.write_text(text + extra)
    partial.replace(gateway_state / "policy.toml")


def start(state: Path, origin: Origin, *options: str) -> Gateway:
    """Run `schoolgate up` on free ports and wait for its ready line."""
    log = state.parent / f"{state.name}.log"
    command = [
        sys.executable,
        "-m",
        "schoolgate",
        "up",
        "--state",
        str(state),
        "--listen",
        "127.0.0.1:0",
        "--console",
        "127.0.0.1:0",
        *options,
    ]
    with log.open("a") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"ready proxy=(\S+) console=(\S+) ca=(\S+)\n", line)
    if found is None:
        process.kill()
        process.wait()
        process.stdout.close()
        pytest.fail(f"no ready line but {line!r}; log: {log.read_text()[-3000:]}")
    return Gateway(state, origin, process, found[1], found[2], Path(found[3]))


def pretty(value: Any) -> str:
    """Readable JSON for messages of failed assertions."""
    return json.dumps(value, indent=1, default=str)[:4000]


def processes(gateway: Gateway, kind: str) -> list[int]:
    """Process ids of the installation's `worker`s or its `console`."""
    found = []
    for pid in Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if kind.encode() in words:
            found.append(int(pid))
    return found
