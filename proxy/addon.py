"""The hooks of one worker: a flow becomes a request, the rules decide, the decision is applied and written down.

Thin on purpose. Every hook fails closed: whatever goes wrong in one, the answer is a 503 page of ours, an event and a
counter, never an unfiltered byte. The steps stand in the modules of the classes below, in the order of an exchange.
"""

from proxy.answering import AnswerHooks
from proxy.asking import RequestHooks
from proxy.certificates import Authority
from proxy.clean import CleanPages
from proxy.health import Health
from proxy.identity import Identity
from proxy.live import Live
from proxy.messages import MessageHooks
from proxy.records import Recorder
from proxy.spool import Spool
from proxy.tls import ClientTls, UpstreamTls
from proxy.tunnels import TunnelHooks


class GatewayAddon(TunnelHooks, RequestHooks, AnswerHooks, MessageHooks):
    """All hooks and what they share."""

    def __init__(
        self, live: Live, spool: Spool, health: Health, recorder: Recorder, authority: Authority, upstream_tls: UpstreamTls,
        key: bytes, console: tuple[str, int],
    ) -> None:  # fmt: skip
        """`key` signs forms and subjects (`gateway.key`); `console` is the host and port of the console."""
        super().__init__(live, spool, health, recorder, key)
        self.client_tls = ClientTls(authority)
        self.upstream_tls = upstream_tls
        self.identity = Identity()
        self.console = console
        self.clean_pages = CleanPages()
