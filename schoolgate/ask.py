"""Asks the running console, for the commands: only it may read the event store while it runs."""

from typing import Any

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
        return self._ask("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON object and return the one that the console answers with; raises `Problem` as `get` does."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **what)
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
