"""One HTTP connection that limits its answers: in bytes of headers and of the body, without compression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gevent import ssl
from geventhttpclient import HTTPClient

from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.answers import Malformed
from gpu_infer.triton.client.endpoints import parse_uri, tls_protocol
from gpu_infer.triton.client.failures import one_line

CONNECT_TIMEOUT_S = 10.0
RECEIVE_BYTES = 1 << 20  # outputs are tens of megabytes; the library's default of 4 KiB costs a quarter of the time
HEADER_LIMIT = 64 << 10  # bytes of an answer's headers, without what arrives with their last piece


@dataclass(frozen=True)
class HttpAnswer:
    """A complete answer; `header_length` as in its Inference-Header-Content-Length, None if it has none."""

    status: int
    body: bytes
    header_length: object

    def refusal_text(self) -> str:
        """The text of Triton's error in an answer other than 200, else the beginning of the body."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            return str(document["error"])
        start = one_line(self.body[:200].decode(errors="replace"), 120)
        return f"status {self.status}" + (f": {start}" if start else " without a text")


class HttpConnection:
    """Requests over one connection, which the first request opens; for one thread.

    Raises ConfigError for certificates of `access` that cannot be used.
    """

    def __init__(self, url: str, access: Access) -> None:
        host, port = parse_uri(url)
        # No network timeout: it would limit each read, while the call's deadline limits all reads together.
        # Any: the library takes None, but its types do not name it.
        options: dict[str, Any] = {"connection_timeout": CONNECT_TIMEOUT_S, "network_timeout": None}
        if tls_protocol(url) is not None:
            context = access.context(ssl.create_default_context)
            options |= {"ssl": True, "ssl_context_factory": lambda cafile=None: context}
        headers = {**dict(access.headers), "Accept-Encoding": "identity"}
        self._http = HTTPClient(host, port, block_size=RECEIVE_BYTES, headers=headers, **options)
        self._pool = _BoundedPool(self._http._connection_pool)
        cast(_Pooled, self._http)._connection_pool = self._pool

    def get(self, path: str, limit: int) -> HttpAnswer:
        """The answer to a GET, with a body of at most `limit` bytes; Malformed for a larger one."""
        return self._request("GET", path, b"", {}, limit)

    def post_document(self, path: str, document: dict[str, object], limit: int) -> HttpAnswer:
        """The answer to the POST of a JSON document; see `get`."""
        return self._request("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"}, limit)

    def post(self, path: str, body: bytes, header_length: int | None, limit: int) -> HttpAnswer:
        """The answer to the POST of an inference request, whose JSON takes `header_length` bytes; see `get`."""
        headers = {"Content-Type": "application/octet-stream"}
        if header_length is not None:
            headers["Inference-Header-Content-Length"] = str(header_length)
        return self._request("POST", path, body, headers, limit)

    def close(self) -> None:
        self._http.close()

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        self._pool.begin(HEADER_LIMIT + RECEIVE_BYTES)
        self._pool.allow_retries(method == "GET")
        response = self._http.request(method, path, body=body, headers=headers)
        coding = response.get("Content-Encoding", "identity")
        if coding != "identity":
            # No compression was requested, and a small answer could inflate to any size.
            raise Malformed(f"it is compressed ({one_line(coding, 40)}), expected it as it is")
        self._pool.begin(limit + HEADER_LIMIT)
        return HttpAnswer(response.status_code, response.read(), response.get("Inference-Header-Content-Length"))


class _Socket(Protocol):
    """The part of gevent's socket that requests use."""

    def sendall(self, data: bytes) -> object: ...

    def recv(self, nbytes: int) -> bytes: ...

    def close(self) -> None: ...


class _Pool(Protocol):
    """The part of the library's connection pool that requests use."""

    size: int

    def get_socket(self) -> _Socket: ...

    def return_socket(self, sock: _Socket) -> object: ...

    def release_socket(self, sock: _Socket) -> object: ...

    def close(self) -> object: ...


class _Pooled(Protocol):
    """The library's client, whose pool a `_BoundedPool` replaces."""

    _connection_pool: _BoundedPool


class _BoundedPool:
    """A pool of one connection that counts what it receives."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self.size = pool.size
        self.remaining = self._limit = 0

    def allow_retries(self, allowed: bool) -> None:
        """Set whether the library sends a request again if its connection was closed: `size` + 1 times, never at -1.

        Before 2.6 it sends a POST again, too. The server may still work on the first one, which names the same memory.
        """
        self.size = self._pool.size if allowed else -1

    def begin(self, limit: int) -> None:
        """Allow the connection to receive `limit` bytes from now on."""
        self.remaining = self._limit = limit

    def take(self, nbytes: int) -> None:
        self.remaining -= nbytes
        if self.remaining < 0:
            raise Malformed(f"more than {self._limit >> 10} KiB, expected less")

    def get_socket(self) -> _CountedSocket:
        return _CountedSocket(self._pool.get_socket(), self)

    def return_socket(self, sock: _CountedSocket) -> None:
        self._pool.return_socket(sock.socket)

    def release_socket(self, sock: _CountedSocket) -> None:
        self._pool.release_socket(sock.socket)

    def close(self) -> None:
        self._pool.close()


class _CountedSocket:
    """The part of a socket that requests use."""

    def __init__(self, sock: _Socket, pool: _BoundedPool) -> None:
        self.socket = sock
        self._pool = pool

    def sendall(self, data: bytes) -> None:
        self.socket.sendall(data)

    def recv(self, nbytes: int) -> bytes:
        data = self.socket.recv(nbytes)
        self._pool.take(len(data))
        return data

    def close(self) -> None:
        self.socket.close()
