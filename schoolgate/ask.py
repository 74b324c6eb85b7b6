"""Asks the running console, for the commands: only it may read the event store while it runs."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import httpx2
import msgspec

from schoolgate.errors import Problem
from schoolgate.options import operator
from schoolgate.paths import StatePaths

_SECONDS = 60.0


class Console:
    """The running console, asked as the user of this machine who runs the command."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "X-Schoolgate-Operator": operator()}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=False)

    def get(self, path: str, parameters: dict[str, str | int]) -> dict[str, Any]:
        """Return the JSON object that the console answers with; raises `Problem` with its sentence for a refusal."""
        try:
            answer = self._client.get(path, params=parameters)
            body = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Problem(f"The console does not answer as it should ({error}); `schoolgate --verbose up` shows why.") from error
        if answer.status_code != 200:
            detail = body.get("error") if isinstance(body, dict) else None
            raise Problem(str(detail or f"The console refused with status {answer.status_code}."))
        assert isinstance(body, dict)
        return body

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()


def console_of(paths: StatePaths) -> Console:
    """Return the console that runs on this state folder; raises `Problem` while it is still starting."""
    try:
        url = msgspec.json.decode(paths.console_file.read_bytes(), type=dict[str, str])["url"]
        token = paths.operator_token.read_text().strip()
    except (FileNotFoundError, msgspec.MsgspecError, KeyError):
        raise Problem("The console is starting or stopping; try again in a moment.") from None
    return Console(url, token)


@contextmanager
def store_lock(paths: StatePaths, patience: float = 0.0) -> Iterator[bool]:
    """Give True while this process may open the event store, False when the console has it.

    One process owns the store. The console waits for a command that looks something up while no console runs.
    """
    with paths.console_lock.open("a") as file:
        end = time.monotonic() + patience
        mine = _locked(file)
        while not mine and time.monotonic() < end:
            time.sleep(0.05)
            mine = _locked(file)
        yield mine


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
