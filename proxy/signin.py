"""Signing in to the proxy: who asks is found out before anything else, and who has to say it and does not gets 407."""

import time
from collections.abc import Awaitable, Callable

import msgspec
from mitmproxy import http

from proxy import blockpage
from proxy.hooks import HTML, Hooks
from proxy.identity import Credentials, Identity, parse_basic
from proxy.records import new_id
from proxy.visit import Exchange
from rules.decision import Action, Decision, Reason
from rules.request import Subject
from rules.ruleset import Ruleset
from rules.state import ProxyAccount

_REFUSED = Decision(Action.BLOCK, Reason.AUTHENTICATION)


class SignIn(Hooks):
    """Asks for names and passwords."""

    identity: Identity

    def _signed_in(
        self, flow: http.HTTPFlow, exchange: Exchange, headers: dict[bytes, bytes], ruleset: Ruleset, own: bool, go_on: Callable[[], None]
    ) -> Awaitable[None] | None:  # fmt: skip
        """Find out who asks, then go on; the answer to somebody who has to sign in and did not is 407."""
        visit = exchange.visit
        exchange.ruleset = ruleset
        required = ruleset.policy.sign_in_required(visit.address) and not own
        header = headers.get(b"proxy-authorization")
        credentials = parse_basic(header) if header is not None else None

        def settle(account: ProxyAccount | None) -> None:
            visit.signed_in(account.name if account else None, account.group if account else None)
            if account is None and (required or header is not None):
                self._note_failure(flow, exchange, credentials)
            if account is None and required:
                self._ask_to_sign_in(flow, exchange)
            else:
                go_on()

        if credentials is None:
            settle(None)
            return None
        known = self.identity.known(credentials, visit.address, self.live.state)
        if known is not None:
            settle(known if isinstance(known, ProxyAccount) else None)
            return None

        async def verify() -> None:
            settle(await self.identity.verify(credentials, visit.address, self.live.state))

        return verify()

    def _note_failure(self, flow: http.HTTPFlow, exchange: Exchange, credentials: Credentials | None) -> None:
        """Write a challenge or a wrong guess down, once: a program repeats it with every request."""
        visit = exchange.visit
        if not self.identity.worth_noting(credentials, visit.address):
            return
        note = Exchange(new_id(), time.time(), visit)
        note.ruleset, note.decision = exchange.ruleset, _REFUSED
        note.subject = self._nobody(exchange)
        if credentials is not None and credentials.name in self.live.state.accounts:
            # A name that we know. Any other may be a password in the wrong field, and must not be written down.
            note.subject = msgspec.structs.replace(note.subject, user=credentials.name)
        self.spool.put(self.recorder.event(note, status=407, method=flow.request.method))

    def _ask_to_sign_in(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        page = blockpage.respond(407, blockpage.error_page(407, ""), HTML)
        page.headers["Proxy-Authenticate"] = 'Basic realm="School network", charset="UTF-8"'
        exchange.subject, exchange.decision = self._nobody(exchange), _REFUSED
        flow.response = page
        self.health.blocked += 1
        # Written down above, where it was new.
        self._close(exchange)

    @staticmethod
    def _nobody(exchange: Exchange) -> Subject:
        assert exchange.ruleset is not None
        return exchange.ruleset.policy.identify(exchange.visit.address)
