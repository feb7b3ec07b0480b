"""Requests over one HTTP/1.1 connection that limits its answers: in time, in bytes of headers and of the body.

Requests are bytes over a plain socket, and answers are read by geventhttpclient's parser (llhttp, in C). A request that
is sent again and again is prepared once, and an answer with the same bytes as its last one is not parsed anew.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass

from gpu_infer._version import __version__
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.answers import Malformed
from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.client.http_parser import AnswerParser, HTTPConnectionClosed, HTTPParseError
from gpu_infer.triton.client.http_socket import HttpSocket

FIRST_BYTES = 16 << 10  # of the first piece of an answer: most are smaller, and the memory of larger pieces costs more
RECEIVE_BYTES = 1 << 20  # of the others: outputs are tens of megabytes
HEADER_LIMIT = 64 << 10  # bytes of an answer's headers, without what arrives with their last piece
ONE_PIECE = 64 << 10  # bytes of a body up to which it is copied behind its head


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


class HttpRequest:
    """A request in bytes, in one or two pieces; and the last answer to it, as it was received and as it was read.

    The last answer is there only if its bytes came in one piece, and if the connection stayed open after it.
    """

    def __init__(self, head: bytes, body: bytes) -> None:
        self.pieces = (head + body,) if len(body) <= ONE_PIECE else (head, body)
        self.last: tuple[bytes, HttpAnswer] | None = None  # one attribute: an interrupt cannot part bytes and answer


class HttpConnection:
    """Requests over one connection, which the first request opens; for one thread.

    Each call is one between `wire.begin` and `wire.end`. Raises ConfigError for certificates of `access` that cannot be
    used, DeadlineReached, OSError or HTTPException.
    """

    def __init__(self, url: str, access: Access) -> None:
        self.wire = HttpSocket(url, access)
        fields = {
            "Host": _host_field(self.wire),
            "User-Agent": f"gpu_infer/{__version__}",
            "Accept-Encoding": "identity",
            **dict(access.headers),
        }
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._is_answer_due = False  # from before a request is sent until its answer has been read
        self._unsent: OSError | None = None  # why a request was not sent completely

    def get(self, path: str, limit: int) -> HttpAnswer:
        """The answer to a GET, with a body of at most `limit` bytes; Malformed for a larger one."""
        request = HttpRequest(self._head("GET", path, ""), b"")
        if self._open():
            # The server may have closed a connection that was silent just now. A GET may be sent twice.
            with contextlib.suppress(HTTPConnectionClosed):
                return self._exchange(request, limit)
            self._open()
        return self._exchange(request, limit)

    def post_document(self, path: str, document: dict[str, object], limit: int) -> HttpAnswer:
        """The answer to the POST of a JSON document; see `get`."""
        return self.post(self.request(path, json.dumps(document).encode(), "Content-Type: application/json\r\n"), limit)

    def inference(self, path: str, body: bytes, header_length: int | None) -> HttpRequest:
        """The POST of an inference request, whose JSON takes `header_length` bytes (None: all of it)."""
        fields = "Content-Type: application/octet-stream\r\n"
        if header_length is not None:
            fields += f"Inference-Header-Content-Length: {header_length}\r\n"
        return self.request(path, body, fields)

    def request(self, path: str, body: bytes, fields: str) -> HttpRequest:
        """A POST with further header fields."""
        return HttpRequest(self._head("POST", path, f"{fields}Content-Length: {len(body)}\r\n"), body)

    def post(self, request: HttpRequest, limit: int) -> HttpAnswer:
        """The answer to a POST; see `get`. It is sent once: the server may still work on one that has no answer.

        An answer with the bytes of the last one is the same object.
        """
        self.begin_post(request)
        return self.read_answer(request, limit)

    def begin_post(self, request: HttpRequest) -> None:
        """Send a POST, whose answer `read_answer` reads. No other request may come between them."""
        self._open()
        self._send(request)

    def _open(self) -> bool:
        """See `HttpSocket.open`.

        After an interrupt, the connection may have an unread answer, which would be taken for that of the next request.
        """
        if self._is_answer_due:
            self.wire.close()
            self._is_answer_due = False
        return self.wire.open()

    def _head(self, method: str, path: str, fields: str) -> bytes:
        return f"{method} /{path} HTTP/1.1\r\n{self._fields}{fields}\r\n".encode("latin-1")

    def _exchange(self, request: HttpRequest, limit: int) -> HttpAnswer:
        """Send a request over the open connection, and read its answer."""
        self._send(request)
        return self.read_answer(request, limit)

    def _send(self, request: HttpRequest) -> None:
        self._unsent, self._is_answer_due = None, True
        try:
            for piece in request.pieces:
                self.wire.send(piece)
        except OSError as error:
            self._unsent = error

    def read_answer(self, request: HttpRequest, limit: int) -> HttpAnswer:
        """The answer to the request that was sent just now; see `post`."""
        if (error := self._unsent) is not None:
            # A server that refuses a request may answer and close the connection before it has received all of it.
            self._unsent = None
            try:
                return self._read(self._first_piece(), limit)[0]
            except (OSError, HTTPParseError):
                if isinstance(error, BrokenPipeError | ConnectionResetError):
                    raise HTTPConnectionClosed(str(error)) from None
                raise error from None
            finally:
                self.wire.close()  # which has a part of the request
        first = self._first_piece()
        if request.last is not None and first == request.last[0]:
            self._is_answer_due = False
            return request.last[1]
        answer, repeatable = self._read(first, limit)
        self._is_answer_due = False
        request.last = (first, answer) if repeatable else None
        return answer

    def _first_piece(self) -> bytes:
        """The first bytes of an answer; HTTPConnectionClosed if the connection ends before them."""
        try:
            first = self.wire.receive(FIRST_BYTES)
        except ConnectionResetError:
            first = b""
        if not first:
            self.wire.close()
            raise HTTPConnectionClosed("connection closed.")
        return first

    def _read(self, first: bytes, limit: int) -> tuple[HttpAnswer, bool]:
        """The answer that begins with `first`; whether these bytes are all of it, and the connection stays open."""
        parser, budget = AnswerParser(), _Budget(HEADER_LIMIT + RECEIVE_BYTES)
        parser.feed(first)
        in_one_piece = parser.is_complete
        while not parser.has_headers:
            self._feed(parser, budget)
        coding = parser.get("Content-Encoding") or "identity"
        if coding != "identity":
            # No compression was requested, and a small answer could inflate to any size.
            raise Malformed(f"it is compressed ({one_line(coding, 40)}), expected it as it is")
        budget = _Budget(limit + HEADER_LIMIT)
        budget.check(parser.content_length or 0)  # before the wait for bytes that may never come
        while not parser.is_complete:
            self._feed(parser, budget)
        is_open = not parser.closes_connection()
        if not is_open:
            self.wire.close()
        answer = HttpAnswer(parser.status, parser.body(), parser.get("Inference-Header-Content-Length"))
        return answer, in_one_piece and is_open

    def _feed(self, parser: AnswerParser, budget: _Budget) -> None:
        """Give the next bytes to the parser."""
        piece = self.wire.receive(RECEIVE_BYTES)
        budget.take(len(piece))
        parser.feed(piece)  # none: the end of an answer without a length
        if not piece and not parser.is_complete:
            raise HTTPParseError("connection closed before the end of the answer")


def _host_field(wire: HttpSocket) -> str:
    """The server as requests name it: without the port of its scheme, and without the zone of an IPv6 address."""
    host = wire.host.encode("idna").decode()
    if ":" in host:
        host = f"[{host.partition('%')[0]}]"
    return host if wire.port == wire.default_port else f"{host}:{wire.port}"


class _Budget:
    """The bytes that a part of an answer may have."""

    def __init__(self, limit: int) -> None:
        self._limit = self._remaining = limit

    def take(self, nbytes: int) -> None:
        self.check(nbytes)
        self._remaining -= nbytes

    def check(self, nbytes: int) -> None:
        """Raise Malformed if so many bytes are more than what is left."""
        if nbytes > self._remaining:
            raise Malformed(f"more than {self._limit >> 10} KiB, expected less")
