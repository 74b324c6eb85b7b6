"""What people and programs see instead of what they asked for."""

import base64
from importlib.resources import files
from typing import NamedTuple

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from mitmproxy import http

from rules.decision import Action, Decision, Reason

HELP_THEMES = ("self-harm", "suicide", "abuse", "self harm", "eating-disorder", "sexual-abuse", "grooming", "bullying")
"""Parts of a theme's or category's name that call for help lines."""

_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'

_FOR_PUPILS = {
    Reason.LIST: "The school's filter keeps this kind of site closed.",
    Reason.SCHOOL_DENY: "The school keeps this site closed.",
    Reason.TYPED_TEXT: "The words that you typed are on the list of words that the school looks out for.",
    Reason.PAGE_TEXT: "This page has words on it that are not right for school.",
    Reason.UNSAFE_PORT: "The address uses an unusual way in that the school keeps closed.",
    Reason.PRIVATE_ADDRESS: "The address leads to equipment inside a private network.",
    Reason.ADDRESS_LITERAL: "The address is a number instead of a name, so nobody can tell where it leads.",
    Reason.HOST_MISMATCH: "The address pretends to be another site than it is.",
    Reason.BAD_URL: "The address is not one that a browser can open.",
    Reason.HOST_WORDS: "The name of this site has words in it that are not right for school.",
    Reason.UNREADABLE: "What was sent is packed in a way that the school's filter can't read.",
    Reason.DEFAULT: "The school opens only sites that it knows, and this one is not among them.",
}


class Block(NamedTuple):
    """Everything that a block or warn page shows."""

    decision: Decision
    url: str
    host: str
    reference: str
    own_host: str
    token: str
    category: str
    theme: str
    wanted: str
    """What the browser wants to use the answer for (`Sec-Fetch-Dest`), or empty."""
    accept: str


def _environment() -> Environment:
    folder = files("proxy") / "templates"
    sources = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".html")}
    return Environment(loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


_templates = _environment()
_block, _warn, _sealed, _fault = (_templates.get_template(name + ".html") for name in ("block", "warn", "sealed", "fault"))


def block_response(block: Block) -> http.Response:
    """Return the answer to a request that a rule stops: our page for people, a small typed answer for parts of pages."""
    small = small_answer(block.wanted, block.accept)
    if small is not None:
        return respond(403, *small)
    return respond(403, block_page(block), "text/html; charset=utf-8", block.own_host)


def block_page(block: Block) -> bytes:
    """Render the page for a blocked address, a warning, or a sealed one (which names no address and has no form)."""
    decision = block.decision
    if decision.sealed:
        return _render(_sealed, reference=block.reference)
    template = _warn if decision.action is Action.WARN else _block
    about = f"{block.theme} {block.category} {decision.category or ''} {' '.join(decision.categories)}".lower()
    return _render(
        template, reference=block.reference, shown=shortened(block.url), url=block.url, own_host=block.own_host, token=block.token,
        category=block.category, sentence=_FOR_PUPILS.get(decision.reason, "The school's rules keep this page closed."),
        help_lines=any(part in about for part in HELP_THEMES),
    )  # fmt: skip


def fault_page(reference: str = "") -> bytes:
    """Render the page for an error of the gateway's own."""
    return _render(
        _fault, reference=reference, heading="The school's filter has a problem",
        sentence="To keep everybody safe it lets nothing through until it works again.",
        advice="Try again in a minute. If it goes on, tell a teacher or the person who looks after the computers.",
    )  # fmt: skip


def error_page(status: int, message: str) -> bytes:
    """Render the page for a site that can't be reached or a request that can't be read; `message` stays in our logs."""
    del message  # it may quote the address of a sealed page, or bytes of the request
    if status == 400:
        heading, sentence = "This request can't be read", "Your browser or app sent something that is not a proper web request."
    elif status == 413:
        heading, sentence = "This is too large", "What was sent is larger than the school's filter can carry."
    else:
        heading, sentence = "This site can't be reached", "The site did not answer, or could not prove that it is what it says it is."
    return _render(_fault, reference="", heading=heading, sentence=sentence, advice="Check the address, or try again later.")


def small_answer(wanted: str, accept: str) -> tuple[bytes, str] | None:
    """Return body and media type for parts of a page, or None where a person should see a page."""
    if wanted in ("document", "iframe", "frame", "embed", "object", "fencedframe"):
        return None
    if not wanted and "text/html" in accept:
        return None
    if wanted == "image" or (not wanted and accept.startswith("image/")):
        return (_SVG, "image/svg+xml") if accept.startswith("image/svg") else (_GIF, "image/gif")
    if wanted in ("script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet") or "javascript" in accept:
        return b"/* blocked by the school's filter */\n", "text/javascript; charset=utf-8"
    if wanted == "style" or accept.startswith("text/css"):
        return b"/* blocked by the school's filter */\n", "text/css; charset=utf-8"
    if wanted in ("audio", "video", "track", "font", "manifest", "report"):
        return b"", "application/octet-stream"
    if wanted == "empty" or "json" in accept:
        return b'{"error":"blocked by the school\'s filter"}', "application/json"
    # No hint at all (an old browser, curl): a page tells most.
    return None


def respond(status: int, body: bytes, media_type: str, own_host: str = "") -> http.Response:
    """Build an answer of ours that no cache keeps and that can load nothing."""
    form = f"; form-action https://{own_host}" if own_host else ""
    return http.Response.make(
        status, body,
        {
            "Content-Type": media_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": f"default-src 'none'; style-src 'unsafe-inline'{form}",
            "Referrer-Policy": "no-referrer",
            # Scripts of the page that asked may read that it was blocked, and nothing else.
            "X-Schoolgate": "blocked" if status == 403 else "fault",
        },
    )  # fmt: skip


def shortened(url: str, most: int = 160) -> str:
    """Return an address for people: without its query, which may hold anything, and not too long."""
    plain = url.partition("?")[0]
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _render(template: Template, **values: object) -> bytes:
    return template.render(**values).encode()
