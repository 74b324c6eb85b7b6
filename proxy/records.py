"""From an exchange to the event that is written down."""

import os
import time

from blocklists.sealed import digest_url
from blocklists.url import CanonicalUrl
from proxy.visit import Exchange
from rules.decision import Action, Decision, Reason
from rules.event import Event
from rules.request import Subject

MATCHES = 10
EXCERPT_CHARACTERS = 200
LONGEST_PATH = 2048

_NOBODY = Subject("", "")
_UNDECIDED = Decision(Action.BLOCK, Reason.FAULT)


def new_id() -> str:
    """Return 32 random hexadecimal digits."""
    return os.urandom(16).hex()


class Recorder:
    """Makes the events of one worker."""

    def __init__(self, worker: str, key: bytes) -> None:
        self._worker = worker
        self._key = key

    def event(self, exchange: Exchange, *, status: int, method: str, scheme: str = "", inspected: bool = True) -> Event:
        """Return the event of a finished exchange. Secrets stay out: no query, no header, no body; sealed hits no address."""
        decision = exchange.decision or _UNDECIDED
        subject = exchange.subject or _NOBODY
        request = exchange.request
        url = request.url if request is not None else None
        action = "error" if exchange.fault or exchange.decision is None else decision.action.value
        sealed = decision.reason is Reason.SEALED_LIST
        search = exchange.search
        shown = None if sealed else url
        return Event(
            exchange.id, exchange.started, self._worker, subject.client_address or exchange.visit.address, subject.group,
            subject.identity_source.value, action, (Reason.FAULT if action == "error" else decision.reason).value,
            site=exchange.ruleset.policy.site if exchange.ruleset is not None else "",
            user=subject.user or "", device=subject.device or "", room=subject.room or "", method=method,
            scheme=url.scheme if url is not None else scheme,
            host=shown.host if shown is not None else "",
            registrable_domain=shown.registrable_domain if shown is not None else "",
            port=shown.port if shown is not None else 0,
            path=_path(shown, method) if shown is not None else "",
            search=search.text if search is not None and not sealed else "",
            search_partial=search is not None and search.partial, page=exchange.page,
            category=decision.category or "", categories=decision.categories, level=decision.level, list=decision.list or "",
            rule="" if sealed else decision.rule or "",
            matches=tuple([match.phrase for match in decision.matches[:MATCHES]]) if decision.matches and not sealed else (),
            excerpt=excerpt(exchange, decision) if decision.matches and not sealed else "",
            grant=decision.grant or "", status=status, media_type=exchange.media_type, bytes_in=exchange.bytes_in,
            bytes_out=exchange.counter.size if exchange.counter is not None else max(exchange.length, 0),
            milliseconds=round((time.time() - exchange.started) * 1000, 2), inspected=inspected,
            url_digest=digest_url(url, self._key) if sealed and url is not None else "", fault=exchange.fault,
        )  # fmt: skip

    def fault(self, sentence: str, site: str = "") -> Event:
        """Return an event about the gateway itself."""
        return Event(new_id(), time.time(), self._worker, "", "", "none", "error", Reason.FAULT.value, site=site, fault=sentence[:500])


def _path(url: CanonicalUrl, method: str) -> str:
    return "" if method == "CONNECT" else url.path[:LONGEST_PATH]


def excerpt(exchange: Exchange, decision: Decision) -> str:
    """Return the first match with some text around it."""
    match = decision.matches[0]
    text = exchange.page_text if decision.reason is Reason.PAGE_TEXT else ""
    if not text and exchange.request is not None:
        text = next((typed.text for typed in exchange.request.typed if typed.context == match.context), "")
    start = max(0, match.start - EXCERPT_CHARACTERS // 2)
    return " ".join(text[start : match.end + EXCERPT_CHARACTERS // 2].split())
