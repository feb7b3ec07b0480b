"""A proxy that ends TLS in front of a server, with certificates of a test authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme


class Certificates:
    """PEM files of an authority, a client's certificate and its key; and a certificate of the server at `host`."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        self._authority = trustme.CA()
        self._server = self._authority.issue_cert(host)
        client = self._authority.issue_cert("operator@example.org")
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        self._authority.cert_pem.write_to_path(self.ca)
        client.cert_chain_pems[0].write_to_path(self.certificate)
        client.private_key_pem.write_to_path(self.key)

    def context(self, *, want_client: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["h2", "http/1.1"])
        self._server.configure_cert(context)
        if want_client:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@contextmanager
def tls_proxy(target: str, context: ssl.SSLContext) -> Iterator[str]:
    """The "localhost:port" of a proxy in front of `target`, "host:port"."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, _, port = target.rpartition(":")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=connect, args=(plain,), daemon=True).start()

    def connect(plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            plain,
            context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection((host, int(port))) as far,
        ):
            back = threading.Thread(target=forward, args=(far, near), daemon=True)
            back.start()
            forward(near, far)
            back.join()

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"localhost:{listener.getsockname()[1]}"
    finally:
        listener.close()
