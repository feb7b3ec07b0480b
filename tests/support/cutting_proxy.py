"""A TCP proxy between client and server that cuts every connection on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class CuttingProxy:
    """Forwards connections to `address` ("host:port") from a separate port, as a context manager.

    listen  (host, port) of the separate port; port 0: any free one
    answer  bytes that the client receives when its connection is cut, from a proxy whose connection to the server
            stays open
    """

    def __init__(self, address: str, answer: bytes = b"", listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))
        self._answer = answer
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._sockets: list[socket.socket] = []
        self._cut_next = False
        self._lock = threading.Lock()
        self._listener = socket.create_server(listen)
        self.address = f"{listen[0]}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all present connections; later ones are forwarded."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for client, server in pairs:
            if self._answer:
                with contextlib.suppress(OSError):
                    client.sendall(self._answer)
            for each in [client] if self._answer else [client, server]:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def cut_next(self) -> None:
        """End the next connection as soon as it is made."""
        self._cut_next = True

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._cut_next:
                self._cut_next = False
                client.close()
                continue
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
                self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
