"""TLS on both sides: contexts built once, upstream certificates verified, sessions resumed where both sides agree."""

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import certifi
from mitmproxy.connection import Server
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from proxy.certificates import Authority

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - pyOpenSSL has no public name for these calls; mitmproxy uses them the same way

CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""TLS 1.2 suites for clients: forward secrecy and authenticated encryption only. TLS 1.3 has its own, all good."""
UPSTREAM_CIPHERS = CIPHERS + b":DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384"
"""Upstream also the suites of old servers, as browsers accept them."""
CLIENT_GROUPS = b"X25519:P-256:P-384:X25519MLKEM768"
"""The client is on the school's own network, so the cheap exchange comes first."""
TLS_1_2 = 0x0303
HOST_FLAGS = _lib.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | getattr(_lib, "X509_CHECK_FLAG_NEVER_CHECK_SUBJECT", 0)
HTTP_PROTOCOLS = (b"h2", b"http/1.1")
SESSIONS = 4096


def _context(method: int, ciphers: bytes) -> SSL.Context:
    context = SSL.Context(method)
    SSL._openssl_assert(_lib.SSL_CTX_set_min_proto_version(context._context, TLS_1_2) == 1)  # noqa: SLF001
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_cipher_list(ciphers)
    # Idle connections give their 32 kB of buffers back.
    context.set_mode(_lib.SSL_MODE_RELEASE_BUFFERS)
    return context


def _choose_protocol(connection: SSL.Connection, offers: list[bytes]) -> Any:
    """Pick what the origin speaks (it was asked first where the host is allowed), otherwise the client's favourite."""
    upstream = connection.get_app_data()
    if upstream:
        return upstream if upstream in offers else SSL.NO_OVERLAPPING_PROTOCOLS
    if upstream == b"":
        # The origin speaks no ALPN, which means HTTP/1.1.
        return b"http/1.1" if b"http/1.1" in offers else SSL.NO_OVERLAPPING_PROTOCOLS
    for offer in offers:
        if offer in HTTP_PROTOCOLS:
            return offer
    return SSL.NO_OVERLAPPING_PROTOCOLS


class ClientTls:
    """TLS towards clients: one context for all hosts, so that session tickets stay valid while the process lives."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._context = _context(SSL.TLS_SERVER_METHOD, CIPHERS)
        SSL._openssl_assert(_lib.SSL_CTX_set1_curves_list(self._context._context, CLIENT_GROUPS) == 1)  # noqa: SLF001
        self._context.use_privatekey(authority.leaf_key)
        self._context.set_alpn_select_callback(_choose_protocol)
        # Tickets carry the session; a table of our own would only grow.
        self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self._context.set_session_id(b"schoolgate")

    def start(self, data: TlsData, host: str, *, short: bool = False) -> None:
        """Give mitmproxy the connection object for a handshake with a client that wants `host`.

        `short` keeps it to HTTP/1, where one answer can end the connection.
        """
        connection = SSL.Connection(self._context)
        leaf: Any = self.authority.leaf(host)
        SSL._openssl_assert(_lib.SSL_use_certificate(connection._ssl, leaf._x509) == 1)  # noqa: SLF001
        server = data.context.server
        connection.set_app_data((server.alpn or b"") if server.tls_established else b"" if short else None)
        connection.set_accept_state()
        data.ssl_conn = connection


class UpstreamTls:
    """TLS towards sites: verified against one set of authorities, sessions kept per address and name."""

    def __init__(self, trusted: Sequence[Path] = ()) -> None:
        """`trusted` are PEM files whose authorities hold; without any, certifi's."""
        self._context = _context(SSL.TLS_CLIENT_METHOD, UPSTREAM_CIPHERS)
        self._context.set_verify(SSL.VERIFY_PEER, None)
        for path in trusted or (Path(certifi.where()),):
            self._context.load_verify_locations(str(path))
        # Sessions of this object only: another set of authorities is another object, so nothing verified by one
        # is ever taken over by the other.
        self._sessions: OrderedDict[tuple[Any, ...], SSL.Session] = OrderedDict()

    def start(self, data: TlsData) -> None:
        """Give mitmproxy the connection object for a handshake with a site, ready to verify its name."""
        server = data.conn
        assert isinstance(server, Server)
        assert server.address is not None
        name = server.sni = server.sni or server.address[0]
        connection = SSL.Connection(self._context)
        self._expect_name(connection, name)
        offers = [offer for offer in data.context.client.alpn_offers if offer in HTTP_PROTOCOLS]
        if offers:
            connection.set_alpn_protos(offers)
        session = self._sessions.get((server.address, name))
        if session is not None:
            connection.set_session(session)
        connection.set_connect_state()
        data.ssl_conn = connection

    @staticmethod
    def _expect_name(connection: SSL.Connection, name: str) -> None:
        ssl = connection._ssl  # noqa: SLF001
        parameters = _lib.SSL_get0_param(ssl)
        _lib.X509_VERIFY_PARAM_set_hostflags(parameters, HOST_FLAGS)
        try:
            packed = ipaddress.ip_address(name.strip("[]")).packed
        except ValueError:
            host = name.rstrip(".").encode("idna" if not name.isascii() else "ascii")
            connection.set_tlsext_host_name(host)
            accepted = _lib.X509_VERIFY_PARAM_set1_host(parameters, host, len(host))
        else:
            accepted = _lib.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed))
        SSL._openssl_assert(accepted == 1)  # noqa: SLF001

    def keep_session(self, server: Server, connection: SSL.Connection) -> None:
        """Remember the session of a verified connection; called once data flowed, when TLS 1.3 has sent its ticket."""
        if server.address is None or server.error is not None:
            return
        if _lib.SSL_get_verify_result(connection._ssl) != 0:  # noqa: SLF001
            return
        session = connection.get_session()
        if session is None:
            return
        key = (server.address, server.sni)
        self._sessions[key] = session
        self._sessions.move_to_end(key)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
