"""Asks the running console, for the commands: only it may read the event store while it runs."""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from schoolgate.errors import Problem
from schoolgate.options import operator
from schoolgate.paths import StatePaths

_SECONDS = 60.0
PATIENCE = 15.0
"""Seconds for which a command waits for a console that is starting."""


class Console:
    """The running console, asked as the user of this machine who runs the command."""

    def __init__(self, paths: StatePaths, url: str, token: str) -> None:
        self._paths = paths
        self._client = _client(url, token)

    def get(self, path: str, parameters: dict[str, str | int]) -> dict[str, Any]:
        """Return the JSON object that the console answers with; raises `Problem` with its sentence for a refusal."""
        return self._ask("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON object and return the one that the console answers with; raises `Problem` as `get` does."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        try:
            answer = self._answer(method, path, **what)
            body = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Problem(f"The console does not answer as it should ({error}); `schoolgate --verbose up` shows why.") from error
        if answer.status_code != 200:
            detail = body.get("error") if isinstance(body, dict) else None
            raise Problem(str(detail or f"The console refused with status {answer.status_code}."))
        assert isinstance(body, dict)
        return body

    def _answer(self, method: str, path: str, **what: Any) -> httpx2.Response:
        """Ask; a console that starts makes a new token, so one that was read a moment too early is read again."""
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._client.request(method, path, **what)
            if answer.status_code != httpx2.codes.UNAUTHORIZED or time.monotonic() >= end:
                return answer
            time.sleep(0.1)
            if (found := _address(self._paths)) is not None:
                self._client.close()
                self._client = _client(*found)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()


def console_of(paths: StatePaths) -> Console:
    """Return the console that runs on this state folder; raises `Problem` when it has not started after `PATIENCE` seconds."""
    end = time.monotonic() + PATIENCE
    while (found := _address(paths)) is None:
        if time.monotonic() >= end:
            raise Problem("The console is starting or stopping; try again in a moment.")
        time.sleep(0.1)
    return Console(paths, *found)


def _address(paths: StatePaths) -> tuple[str, str] | None:
    """Return address and token of a console that takes connections; one that was killed leaves both behind until the next is ready."""
    try:
        url = msgspec.json.decode(paths.console_file.read_bytes(), type=dict[str, str])["url"]
        token = paths.operator_token.read_text().strip()
        parts = urlsplit(url)
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_SECONDS).close()
    except (OSError, ValueError, KeyError, msgspec.MsgspecError):
        return None
    return url, token


def _client(url: str, token: str) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {token}", "X-Schoolgate-Operator": operator()}
    return httpx2.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=False)
