"""An HTTP/2 server that answers every request with one status and a page, as a gateway does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PREFACE = 24  # bytes that a client begins with
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_ACKNOWLEDGED, _END_STREAM, _END_HEADERS = 1, 1, 4


@contextmanager
def canned_http2(status: str, page: bytes) -> Iterator[str]:
    """The address of such a server; `status` has three digits."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_converse, args=(connection, status, page), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _converse(connection: socket.socket, status: str, page: bytes) -> None:
    # Literal fields of HPACK: the name by its number in the static table (:status 8, content-type 31), then the value.
    head = b"\x08\x03" + status.encode() + b"\x0f\x10\x09text/html"
    with connection, contextlib.suppress(OSError):
        stream = connection.makefile("rb")
        stream.read(_PREFACE)
        connection.sendall(_frame(_SETTINGS, 0, 0, b""))
        while start := stream.read(9):
            payload = stream.read(int.from_bytes(start[:3], "big"))
            kind, flags, number = start[3], start[4], int.from_bytes(start[5:], "big")
            if kind in (_SETTINGS, _PING) and not flags & _ACKNOWLEDGED:
                connection.sendall(_frame(kind, _ACKNOWLEDGED, 0, payload if kind == _PING else b""))
            if kind == _HEADERS:
                answer = _frame(_HEADERS, _END_HEADERS, number, head) + _frame(_DATA, _END_STREAM, number, page)
                connection.sendall(answer)


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload
