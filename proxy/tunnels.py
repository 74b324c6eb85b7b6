"""Hooks of tunnels: CONNECT, the TLS connection inside, and its end."""

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.tls import ClientHelloData, TlsData

from blocklists.url import UrlError, canonicalise
from proxy import blockpage
from proxy.hooks import BAD, HTML, NoRulesetError, guarded
from proxy.records import new_id
from proxy.requests import BadRequestError, host_of, take_headers
from proxy.signin import SignIn
from proxy.tls import ClientTls, UpstreamTls
from proxy.visit import Exchange, Visit
from rules.decide import decide
from rules.decision import Action, Decision, Reason
from rules.request import Request
from rules.ruleset import Ruleset

if TYPE_CHECKING:
    from OpenSSL import SSL

    from proxy.connection import ClientSide


class TunnelHooks(SignIn):
    """Opens tunnels, decides about the host inside before anybody upstream hears of it, and shows certificates."""

    client_tls: ClientTls
    upstream_tls: UpstreamTls

    @guarded
    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Open a tunnel to a host and port, unless the port is closed or the person has to sign in first."""
        visit = self._visit(flow)
        try:
            ruleset = self._ruleset()
        except NoRulesetError:
            # Browsers show no page in place of a tunnel. Inside it they do, and nobody upstream hears of it.
            visit.outer_host, visit.outer_port = host_of(_authority_host(flow.request.data.host)), flow.request.data.port
            visit.unchecked = True
            return None
        exchange = self._exchange(flow, visit)
        try:
            headers = take_headers(flow.request)
            host = host_of(_authority_host(flow.request.data.host))
            url = canonicalise(f"https://{host}:{flow.request.data.port}/")
        except (BadRequestError, UrlError):
            self._answer(flow, exchange, BAD, blockpage.respond(400, blockpage.error_page(400, ""), HTML))
            return None

        def go_on() -> None:
            exchange.request = Request(url, visit.who(ruleset), exchange.started, "CONNECT")
            exchange.subject = exchange.request.subject
            fault = ruleset.policy.safety.fault_of(exchange.request)
            if fault is not None and fault[0] is Reason.UNSAFE_PORT:
                refused = Decision(Action.BLOCK, fault[0], "filter-bypass", level=2, rule=fault[1], categories=("filter-bypass",))
                page = blockpage.respond(403, blockpage.error_page(403, ""), HTML)
                self._answer(flow, exchange, refused, page)
                return
            visit.outer_host, visit.outer_port = host, flow.request.data.port
            self._close(exchange)

        return self._signed_in(flow, exchange, headers, ruleset, url.host in ruleset.policy.own_hosts, go_on)

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """Decide about the host before anybody upstream hears of it: splice, ask upstream first, or answer alone."""
        client = data.context.client
        visit: Visit | None = getattr(client, "visit", None)
        try:
            if visit is None or visit.outer_host is None:
                return
            visit.sni = host_of(client.sni) if client.sni else None
            if visit.unchecked or self.live.fault or self.spool.full:
                # A page of ours inside, and nothing else.
                visit.unchecked = visit.unchecked or bool(self.live.fault)
                return
            ruleset = self._ruleset()
            server = data.context.server
            host = visit.sni or visit.outer_host
            url = canonicalise(f"https://{host}:{visit.outer_port}/")
            claimed = (visit.outer_host,) if visit.outer_host != host else ()
            request = Request(url, visit.who(ruleset), time.time(), claimed_hosts=claimed)
            decision = decide(request, ruleset, self.live.state)
            if decision.action.stops or decision.reason is Reason.OWN_HOST:
                return
            server.sni = host.strip("[]")
            if visit.sni == visit.outer_host and self._splices(ruleset, request):
                exchange = Exchange(new_id(), request.at, visit)
                exchange.request, exchange.ruleset, exchange.subject, exchange.decision = request, ruleset, request.subject, decision
                visit.spliced = exchange
                visit.lasting[exchange] = None
                data.ignore_connection = True
            else:
                data.establish_server_tls_first = True
        except (BadRequestError, UrlError):
            # The request inside will be refused; until then nobody upstream is contacted.
            return
        except Exception as error:  # noqa: BLE001 - fail closed: no upstream connection, and a page that says so
            self._count("tls_clienthello", error)

    @staticmethod
    def _splices(ruleset: Ruleset, request: Request) -> bool:
        """Return whether a connection passes unread; not where the school denies a part of the site, which only reading can tell."""
        policy = ruleset.policy
        return policy.splices(request.url.host) and not policy.deny_entries.divides(request.url, request.subject.group)

    def tls_start_client(self, data: TlsData) -> None:
        """Show a certificate of ours for the name that the client wants; without one the connection is closed."""
        visit: Visit | None = getattr(data.context.client, "visit", None)
        if visit is None:
            return
        try:
            self.client_tls.start(data, (visit.sni or visit.outer_host or "").strip("[]"), short=visit.unchecked)
        except Exception as error:  # noqa: BLE001 - no certificate, no connection
            self._count("tls_start_client", error)

    def tls_start_server(self, data: TlsData) -> None:
        """Verify the site; without that the connection is closed."""
        try:
            self.upstream_tls.start(data)
        except Exception as error:  # noqa: BLE001 - nothing verified, no connection
            self._count("tls_start_server", error)

    def keep_session(self, server: Server, connection: "SSL.Connection") -> None:
        """Keep a verified TLS session for the next connection to the same place."""
        self.upstream_tls.keep_session(server, connection)

    def tls_failed_client(self, data: TlsData) -> None:
        """Note a device or app that does not accept our certificate."""
        visit: Visit | None = getattr(data.context.client, "visit", None)
        if visit is None or visit.outer_host is None or (data.conn.error or "") == "connection closed early":
            return
        ruleset, host = self.live.ruleset, visit.sni or visit.outer_host
        try:
            # Nobody is to read the name of a sealed site, not even in the state of the gateway.
            if ruleset is not None and ruleset.sealed.find(canonicalise(f"https://{host}:{visit.outer_port}/")) is None:
                self.health.pinned(host)
        except Exception as error:  # noqa: BLE001 - without an answer, nothing is written
            self._count("tls_failed_client", error)

    def busy(self, connection: "ClientSide") -> bool:
        """True while an exchange is under way on a client connection."""
        visit: Visit | None = connection.client.visit
        return visit is not None and visit.open > 0

    def client_left(self, connection: "ClientSide") -> None:
        """Write down a connection that was let through unread."""
        visit: Visit | None = connection.client.visit
        if visit is not None and visit.spliced is not None:
            exchange = visit.spliced
            exchange.bytes_in, exchange.length = connection.bytes_in, connection.bytes_out
            self.spool.put(self.recorder.event(exchange, status=0, method="CONNECT", inspected=False))


def _authority_host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
