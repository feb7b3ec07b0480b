"""One HTTP connection whose answers are bounded: so many bytes of headers, so many of the body, nothing compressed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gevent import ssl  # type: ignore[import-untyped]
from geventhttpclient import HTTPClient

from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.answers import Malformed
from gpu_infer.triton.client.endpoints import parse_uri, tls_protocol
from gpu_infer.triton.client.failures import one_line

CONNECT_TIMEOUT_S = 10.0
RECEIVE_BYTES = 1 << 20  # outputs are tens of megabytes; the library's own 4 KiB cost a quarter of the time
HEADER_LIMIT = 64 << 10  # bytes of an answer's headers, besides what comes with their last piece


@dataclass(frozen=True)
class HttpAnswer:
    """A complete answer; `header_length` as in its Inference-Header-Content-Length, None if it has none."""

    status: int
    body: bytes
    header_length: object

    def refusal_text(self) -> str:
        """What an answer other than 200 says: the text of Triton's error, else the beginning of the body."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            return str(document["error"])
        start = one_line(self.body[:200].decode(errors="replace"), 120)
        return f"status {self.status}" + (f": {start}" if start else " without a text")


class HttpConnection:
    """Requests over one connection, opened with the first of them; belongs to one thread.

    Raises ConfigError for certificates of `access` that cannot be used.
    """

    def __init__(self, url: str, access: Access) -> None:
        host, port = parse_uri(url)
        # No network timeout: the call's deadline bounds all its reads together, a socket's each one.
        options: dict[str, Any] = {"connection_timeout": CONNECT_TIMEOUT_S, "network_timeout": None}
        if tls_protocol(url) is not None:
            context = access.context(ssl.create_default_context)
            options |= {"ssl": True, "ssl_context_factory": lambda cafile=None: context}
        headers = {**dict(access.headers), "Accept-Encoding": "identity"}
        self._http = HTTPClient(host, port, block_size=RECEIVE_BYTES, headers=headers, **options)
        self._pool = _BoundedPool(self._http._connection_pool)
        self._http._connection_pool = self._pool  # type: ignore[assignment]

    def get(self, path: str, limit: int) -> HttpAnswer:
        """The answer to a GET, with a body of at most `limit` bytes; Malformed for a larger one."""
        return self._request("GET", path, b"", {}, limit)

    def post_document(self, path: str, document: dict[str, Any], limit: int) -> HttpAnswer:
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
            # Nothing compressed was asked for, and a small answer might inflate to any size.
            raise Malformed(f"it is compressed ({one_line(coding, 40)}), expected it as it is")
        self._pool.begin(limit + HEADER_LIMIT)
        return HttpAnswer(response.status_code, response.read(), response.get("Inference-Header-Content-Length"))


class _BoundedPool:
    """A pool of one connection that counts what it receives."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.size = pool.size
        self.left = self._limit = 0

    def allow_retries(self, allowed: bool) -> None:
        """Whether the library may send a request again whose connection was closed: `size` + 1 times, and never at -1.

        Before 2.6 it does so for a POST, too. The server may still work on the first one, which names the same memory.
        """
        self.size = self._pool.size if allowed else -1

    def begin(self, limit: int) -> None:
        """Let the connection receive `limit` bytes from now on."""
        self.left = self._limit = limit

    def take(self, nbytes: int) -> None:
        self.left -= nbytes
        if self.left < 0:
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

    def __init__(self, sock: Any, pool: _BoundedPool) -> None:
        self.socket = sock
        self._pool = pool

    def sendall(self, data: bytes) -> None:
        self.socket.sendall(data)

    def recv(self, nbytes: int) -> bytes:
        data: bytes = self.socket.recv(nbytes)
        self._pool.take(len(data))
        return data

    def close(self) -> None:
        self.socket.close()
