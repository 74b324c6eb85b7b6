"""Fixtures of the console's tests: a real analyser on a temporary folder behind a real server on a free port."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from analyser.casework import accounts, signins
from analyser.casework.people import Actor
from analyser.service import Analyser, AnalyserSettings
from api.app import create_app
from api.server import ConsoleServer, listen, make_server
from api.settings import ConsoleSettings
from blocklists.library import Library
from blocklists.sealedstore import load_sealed
from rules.event import Event, encoder

OPERATOR = Actor("os", "tester")
POLICY = """
[school]
name = "Elm Road School"
site = "Elm Road"
timezone = "Europe/London"
contact = "the school office"

[gateway]
own_host = "schoolgate.internal"

[limits]
grant_minutes = 120

[categories.gambling]
title = "Gambling"
level = 2
includes = ["gambling"]

[categories.self-harm]
title = "Suicide and self-harm"
level = 4

[groups.pupils]
default = "allow"
users = ["pupil7", "pupil8"]
[groups.pupils.actions]
gambling = "block"

[groups.staff]
default = "allow"
[groups.staff.actions]
gambling = "warn"
"""


class World:
    """A running console with everything behind it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gateway_key = secrets.token_bytes(32)
        self.policy = root / "policy.toml"
        self.policy.write_text(POLICY)
        for name in ("lists", "sealed", "rulesets", "spool", "run"):
            (root / name).mkdir()
        self.certificate = root / "ca.crt"
        self.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
        (root / "gambling.txt").write_text("casino.test\nbets.example.org\n")
        library = Library(root / "lists")
        library.load("bets", root / "gambling.txt", "domains", "gambling")
        library.compile()
        (root / "sealed.txt").write_text("unlawful.sealed.test\n")
        load_sealed(root / "sealed", "sealed-test", root / "sealed.txt")
        (root / "run" / "operator.token").write_text("operator-secret\n")
        self.tokens: dict[str, str] = {}
        self.analyser: Analyser
        self.server: ConsoleServer
        self.url = ""
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="console")
        self._segments = 0

    def start(self) -> None:
        """Run the console in a thread of its own."""
        self._thread.start()
        assert self._ready.wait(30), "the console did not start"
        if self._fault is not None:
            raise self._fault
        with self.analyser.casework.session() as session:
            for role in ("administrator", "technician", "dsl", "teacher", "headteacher", "governor"):
                self.tokens[role] = signins.create_token(session, OPERATOR, f"{role}-1", role)

    def stop(self) -> None:
        """Stop it as a signal would."""
        self.server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the console did not stop"

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._fault = error
            self._ready.set()

    async def _serve(self) -> None:
        root = self.root
        self.analyser = Analyser(
            AnalyserSettings(
                policy_file=self.policy, lists=root / "lists", sealed=root / "sealed", rulesets=root / "rulesets", spool=root / "spool",
                snapshot=root / "snapshot.json", run=root / "run", events=root / "events.duckdb", events_key=bytes(32),
                casework=str(root / "casework.db"), casework_key=bytes(32),
            )
        )  # fmt: skip
        await self.analyser.start()
        try:
            with listen("127.0.0.1", 0) as listener:
                port = listener.getsockname()[1]
                self.url = f"http://127.0.0.1:{port}"
                settings = ConsoleSettings(
                    host="127.0.0.1", port=port, proxy_host="127.0.0.1", proxy_port=8080, run_folder=root / "run",
                    ca_certificate=self.certificate, gateway_key=self.gateway_key, names=frozenset({"console.elmroad.test"}),
                    heartbeat_seconds=0.5,
                )  # fmt: skip
                self.server = make_server(create_app(self.analyser, settings), self._ready.set)
                await self.server.serve(sockets=[listener])
        finally:
            await self.analyser.stop()

    def client(self, role: str | None = None, **headers: str) -> httpx2.Client:
        """A client with the token of a role, or with none."""
        bearer = {"Authorization": f"Bearer {self.tokens[role]}"} if role is not None else {}
        return httpx2.Client(base_url=self.url, headers=bearer | headers, timeout=10, trust_env=False)

    def account(self, role: str | None, group: str | None = None, password: str = "four dull green lamps") -> str:
        """A new account with a password; returns its name."""
        name = f"person-{secrets.token_hex(4)}"
        with self.analyser.casework.session() as session:
            account = accounts.add(session, OPERATOR, name, role=role, group=group)
            accounts.set_password(session, OPERATOR, account, password)
        return name

    def browser(self, role: str) -> tuple[httpx2.Client, str]:
        """A signed-in browser and its account's name."""
        name = self.account(role)
        client = self.client(accept="text/html")
        answer = client.post("/sign-in", data={"name": name, "password": "four dull green lamps"})
        assert answer.status_code == 303, answer.text
        return client, name

    def forwarded(
        self, user: str | None = "pupil7", address: str = "10.0.0.7", *, key: bytes | None = None, age: float = 0.0
    ) -> dict[str, str]:
        """Headers that a worker adds to a request for the public pages."""
        subject: dict[str, Any] = {
            "user": user,
            "group": "pupils",
            "room": None,
            "address": address,
            "time": time.time() - age,
            "source": "proxy-auth",
        }
        payload = base64.urlsafe_b64encode(json.dumps(subject).encode()).decode().rstrip("=")
        mac = hmac.new(key or self.gateway_key, payload.encode(), hashlib.sha256).hexdigest()
        return {"Host": "schoolgate.internal", "X-Schoolgate-Subject": f"{payload}.{mac}"}

    def happen(self, **fields: object) -> Event:
        """Let the gateway write one event into the spool."""
        values: dict[str, object] = {
            "id": secrets.token_hex(16), "time": time.time(), "worker": "worker-1", "client_address": "10.0.0.7", "group": "pupils",
            "identity_source": "proxy-auth", "action": "allow", "reason": "default", "user": "pupil7", "host": "www.example.org",
            "registrable_domain": "example.org", "method": "GET", "scheme": "https", "port": 443, "path": "/", "page": True,
        }  # fmt: skip
        event = Event(**(values | fields))  # type: ignore[arg-type]
        self._segments += 1
        path = self.root / "spool" / f"worker-1-100-{int(time.time() * 1000)}-{self._segments:08}.ndjson"
        draft = path.with_suffix(".draft")
        draft.write_bytes(encoder.encode(event) + b"\n")
        draft.rename(path)
        return event

    def grave(self, subject: str, **fields: object) -> dict[str, Any]:
        """Let somebody search for something grave, and wait for its alert."""
        self.happen(
            user=subject, action="block", reason="typed-text", category="self-harm", level=5, search="how to hurt myself", path="/search",
            host="www.google.com", registrable_domain="google.com", matches=("hurt myself",), excerpt="how to hurt myself",
            rule="hurt myself",
            **fields,
        )  # fmt: skip
        return self.eventually(lambda: next((a for a in self.alerts() if a["subject"] == subject), None))

    def alerts(self, **parameters: str) -> list[dict[str, Any]]:
        """The alert list as the safeguarding lead gets it."""
        with self.client("dsl") as client:
            found: list[dict[str, Any]] = client.get("/api/v1/alerts", params=parameters).json()["alerts"]
            return found

    @staticmethod
    def eventually[T](look: Callable[[], T | None], seconds: float = 8.0) -> T:
        """Look until there is something to see."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.03)
        raise AssertionError("nothing came")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One running console for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        # Argon2 with little memory: the tests sign in often.
        patch.setattr(accounts, "hasher", accounts.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        accounts._no_password.cache_clear()
        made = World(tmp_path_factory.mktemp("console"))
        made.start()
        yield made
        made.stop()
        accounts._no_password.cache_clear()
