"""Refuses changes that another site asks a signed-in browser to make (cross-site request forgery).

The rule is that of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site` decides where the browser sends it; otherwise
`Origin` must be ours; a request with neither does not come from a browser of this century.
"""

from collections.abc import Mapping

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def comes_from_elsewhere(method: str, headers: Mapping[str, str], scheme: str) -> bool:
    """Say whether a request that changes something was sent by a page of another origin.

    `headers` is case-insensitive or has lower-case names; `scheme` is the one under which people reach the console.
    """
    if method in SAFE_METHODS:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    return origin.lower() != f"{scheme}://{headers.get('host', '').lower()}"
