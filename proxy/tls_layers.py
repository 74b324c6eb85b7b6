"""mitmproxy's TLS layers with the costly steps replaced: buffers used again, no exceptions on the way, a short hello."""

import time
from collections.abc import Generator
from typing import Any

from mitmproxy import connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import tcp
from mitmproxy.proxy.layers import tls as mitm
from mitmproxy.tls import ClientHelloData, TlsData
from OpenSSL import SSL

from proxy import hello

type Commands[T] = Generator[commands.Command, Any, T]

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - see proxy.tls
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001
_WANT_READ = 2
_SIZE = 2**18
_BUFFER = _ffi.new("char[]", _SIZE)
"""Shared by all connections of the process: layers run one at a time and every read is copied out at once."""


class _FastTls(mitm.TLSLayer):
    """Moves bytes between OpenSSL's memory buffers and the layers without pyOpenSSL's allocations and exceptions."""

    def tls_interact(self) -> Commands[None]:
        """Send what OpenSSL wants to send."""
        size = _lib.BIO_read(self.tls._from_ssl, _BUFFER, _SIZE)  # noqa: SLF001
        while size > 0:
            yield commands.SendData(self.conn, _ffi.buffer(_BUFFER, size)[:])
            if size < _SIZE:
                return
            size = _lib.BIO_read(self.tls._from_ssl, _BUFFER, _SIZE)  # noqa: SLF001

    def receive_data(self, data: bytes) -> Commands[None]:
        """Decrypt what arrived and hand it on."""
        if data:
            self.tls.bio_write(data)
        ssl = self.tls._ssl  # noqa: SLF001
        parts: list[bytes] = []
        closed = False
        while True:
            size = _lib.SSL_read(ssl, _BUFFER, _SIZE)
            if size > 0:
                parts.append(_ffi.buffer(_BUFFER, size)[:])
                continue
            # Anything but "no more for now" ends the stream: a goodbye, an alert, a damaged record.
            closed = _lib.SSL_get_error(ssl, size) != _WANT_READ
            _lib.ERR_clear_error()
            break
        # After reading, which may have moved OpenSSL's own state on.
        yield from self.tls_interact()
        if parts:
            yield from self.event_to_child(events.DataReceived(self.conn, parts[0] if len(parts) == 1 else b"".join(parts)))
            self.data_flowed()
        if closed:
            self.conn.state &= ~connection.ConnectionState.CAN_READ
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def send_data(self, data: bytes) -> Commands[None]:
        """Encrypt and send; what a closed peer can't take any more is dropped."""
        ssl = self.tls._ssl  # noqa: SLF001
        view = memoryview(data)
        while view:
            size = _lib.SSL_write(ssl, _ffi.from_buffer(view), len(view))
            if size <= 0:
                _lib.ERR_clear_error()
                break
            view = view[size:]
        yield from self.tls_interact()

    def receive_handshake_data(self, data: bytes) -> Commands[tuple[bool, str | None]]:
        """Take the handshake a step further; certificates are verified by OpenSSL and not parsed a second time."""
        if data:
            self.tls.bio_write(data)
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            yield from self.tls_interact()
            return False, None
        except SSL.Error as error:
            yield from self.tls_interact()
            return False, self._handshake_error(error)
        conn = self.conn
        conn.timestamp_tls_setup = time.time()
        conn.alpn = self.tls.get_alpn_proto_negotiated()
        yield from self.receive_data(b"")
        return True, None

    def _handshake_error(self, error: SSL.Error) -> str:
        verdict = _lib.SSL_get_verify_result(self.tls._ssl)  # noqa: SLF001
        if verdict:
            return "certificate: " + str(_ffi.string(_lib.X509_verify_cert_error_string(verdict)).decode())
        reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return str(reasons[-1][-1]) if reasons else type(error).__name__

    def data_flowed(self) -> None:
        """Called when decrypted bytes have passed."""


class ServerTls(_FastTls, mitm.ServerTLSLayer):
    """TLS towards a site."""

    _kept = False

    def data_flowed(self) -> None:
        """Keep the session for the next connection, once."""
        if not self._kept:
            self._kept = True
            keep = self.context.options.keep_session
            keep(self.conn, self.tls)

    def on_handshake_error(self, err: str) -> Commands[None]:
        """Note the error and close the socket."""
        self.conn.error = err
        yield commands.CloseConnection(self.tunnel_connection)


class ClientTls(_FastTls, mitm.ClientTLSLayer):
    """TLS towards a client."""

    def receive_handshake_data(self, data: bytes) -> Commands[tuple[bool, str | None]]:
        """Read the ClientHello, ask what to do with the connection, then shake hands or step aside."""
        if self.client_hello_parsed:
            return (yield from _FastTls.receive_handshake_data(self, data))
        self.recv_buffer.extend(data)
        try:
            client_hello = hello.parse(self.recv_buffer)
        except ValueError as error:
            return False, f"Cannot parse ClientHello: {error}"
        if client_hello is None:
            return False, None
        self.client_hello_parsed = True
        self.conn.sni = client_hello.sni
        self.conn.alpn_offers = client_hello.alpn
        question = ClientHelloData(self.context, client_hello)  # type: ignore[arg-type]
        yield mitm.TlsClienthelloHook(question)
        if question.ignore_connection:
            yield from self._step_aside()
            return True, None
        if question.establish_server_tls_first and not self.context.server.tls_established:
            # An error stays with the server connection, and the request that follows shows it to the person.
            yield from self.start_server_tls()
        yield from self.start_tls()
        if not self.conn.connected:
            return False, "connection closed early"
        result = yield from _FastTls.receive_handshake_data(self, bytes(self.recv_buffer))
        self.recv_buffer.clear()
        return result

    def _step_aside(self) -> Commands[None]:
        """Let the connection through unread: the same moves as mitmproxy's own `ignore_connection`."""
        self.conn = self.tunnel_connection = connection.Client(peername=("ignore-conn", 0), sockname=("ignore-conn", 0))
        parent = self.context.layers[self.context.layers.index(self) - 1]
        if isinstance(parent, ServerTls):
            parent.conn = parent.tunnel_connection = connection.Server(address=None)
        self.child_layer = tcp.TCPLayer(self.context, ignore=True)
        yield from self.event_to_child(events.DataReceived(self.context.client, bytes(self.recv_buffer)))
        self.recv_buffer.clear()

    def on_handshake_error(self, err: str) -> Commands[None]:
        """Report the failure (a pinned app, an untrusting device) and close the connection."""
        self.conn.error = err
        yield mitm.TlsFailedClientHook(TlsData(self.conn, self.context, self.tls))
        yield commands.CloseConnection(self.tunnel_connection)
        self.event_to_child = self.errored  # type: ignore[method-assign]

    def errored(self, event: events.Event) -> Commands[None]:
        """Swallow what comes after a failed handshake."""
        del event
        yield from ()
