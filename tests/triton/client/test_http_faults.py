"""Answers over HTTP to a request that only names memory: whole or not, whatever the pieces in which they arrive."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canned_http import canned, response
from tls_proxy import Certificates, tls_proxy

from gpu_infer.errors import DeadlineError, GpuInferError, ModelError, ServerError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.failures import ConnectionLost, QueueFull, RegionUnknown
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.http_connection import HttpConnection
from gpu_infer.triton.client.protocol import InferReply, InferRequest, RegionSlice

REQUEST = InferRequest("m", "1", "IN", "FP32", (1, 2), RegionSlice("r", 0, 8), "OUT", RegionSlice("r", 4096, 8), 8)
REPLY = InferReply((1, 2), "FP32", None)
BODY = json.dumps({"outputs": [{"name": "OUT", "datatype": "FP32", "shape": [1, 2]}]}).encode()
OTHER_BODY = BODY.replace(b"[1, 2]", b"[2, 1]")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
CLOSING = response(BODY, "Connection: close")


@contextmanager
def client_of(answer: Callable[[socket.socket, bytes], None] | bytes) -> Iterator[HttpClient]:
    with canned(answer) as address:
        client = HttpClient(address)
        try:
            yield client
        finally:
            client.close()


def outcome(client: HttpClient, timeout: float = 10.0) -> InferReply | type[GpuInferError]:
    try:
        return client.infer(REQUEST, timeout)
    except GpuInferError as error:
        assert str(error).isprintable()
        return type(error)


@pytest.mark.parametrize(
    "answer",
    [
        response(BODY),
        CHUNKED,
        response(BODY, f"Inference-Header-Content-Length: {len(BODY)}"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(BODY),
        b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" + CHUNKED,
        response(BODY, "Content-Encoding: identity"),
        response(BODY).replace(b"1.1", b"1.0"),
        CLOSING,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_whole_answers_in_pieces(answer: bytes, step: int) -> None:
    def send(connection: socket.socket, _: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(answer), step):
            connection.sendall(answer[at : at + step])
        if answer is CLOSING:
            connection.close()

    with client_of(send) as client:
        assert [outcome(client) for _ in range(3)] == [REPLY] * 3


def test_an_answer_that_ends_with_its_connection() -> None:
    def send(connection: socket.socket, _: bytes) -> None:
        connection.sendall(UNTIL_CLOSED)
        connection.close()

    with client_of(send) as client:
        assert [outcome(client) for _ in range(3)] == [REPLY] * 3


@pytest.mark.parametrize("end", range(0, len(response(BODY)), 9))
def test_a_truncated_answer_is_a_lost_connection(end: int) -> None:
    """Also after a whole one that it is the beginning of."""
    ends = iter([len(response(BODY)), end])

    def send(connection: socket.socket, _: bytes) -> None:
        length = next(ends)
        connection.sendall(response(BODY)[:length])
        if length == end:
            connection.close()

    with client_of(send) as client:
        assert [outcome(client), outcome(client)] == [REPLY, ConnectionLost]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (response(b"{"), ServerError, "no JSON"),
        (response(b"[]"), ServerError, "the reply is a list"),
        (response(b""), ServerError, "nothing"),
        (response(BODY[:-1] + b', "outputs": 3}'), ServerError, "outputs is a number"),
        (response(BODY, f"Inference-Header-Content-Length: {len(BODY) + 1}"), ServerError, "expected an integer"),
        (response(BODY + b"12345678", f"Inference-Header-Content-Length: {len(BODY)}"), ServerError, "8 bytes of"),
        (response(BODY, "Content-Encoding: gzip"), ServerError, "compressed"),
        (response(b" " * (17 << 20)), ServerError, "more than"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n" + BODY, ServerError, "more than"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * (2 << 20), ServerError, "more than|connection failed"),
        (response(BODY) + b"more", ConnectionLost, "connection failed"),
        (response(BODY) * 2, ConnectionLost, "more than one answer"),
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00", ConnectionLost, r"failed: the answer is not valid HTTP: [^(]+ \("),
        (b"HTTP/1.1 200 OK\nX: 1\r\n\r\n", ConnectionLost, "failed: the answer is not valid HTTP: Missing expected CR"),
        (response(b'{"error": "no luck\\u001b[2J"}', status="400 Bad Request"), ModelError, "no luck"),
        (response(b'{"error": "Exceeds maximum queue size"}', status="503 Unavailable"), QueueFull, "queue size"),
        (
            response(b'{"error": "Unable to find shared memory region: r"}', status="400 Bad Request"),
            RegionUnknown,
            "shared memory region",
        ),
        (response(b"slow down", status="429 Too Many Requests"), ModelError, "status 429: slow down"),
        (response(b"", status="503 Service Unavailable"), ConnectionLost, "not reachable: status 503"),
        (response(b"<html>", status="502 Bad Gateway"), ConnectionLost, "not reachable: status 502"),
    ],
)
def test_what_is_no_reply(answer: bytes, error: type[ServerError], text: str) -> None:
    """Each time it comes; and a reply after it is read as one."""
    answers = iter([response(BODY), answer, answer, response(BODY)])
    with client_of(lambda connection, _: connection.sendall(next(answers))) as client:
        assert client.infer(REQUEST, 10.0) == REPLY
        for _ in range(2):
            with pytest.raises(error, match=text) as caught:
                client.infer(REQUEST, 10.0)
            assert type(caught.value) is error
        assert client.infer(REQUEST, 10.0) == REPLY


def test_different_answers_of_one_size() -> None:
    bodies = [BODY, BODY, OTHER_BODY, BODY, OTHER_BODY, OTHER_BODY]
    answers = iter(map(response, bodies))
    with client_of(lambda connection, _: connection.sendall(next(answers))) as client:
        shapes = [client.infer(REQUEST, 10.0).shape for _ in bodies]
    assert shapes == [(1, 2) if body is BODY else (2, 1) for body in bodies]


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    """What arrives between two requests is not taken for the answer to the second one."""
    rest: list[bytes] = [response(OTHER_BODY)]
    late, sent = threading.Event(), threading.Event()

    def send(connection: socket.socket, _: bytes) -> None:
        connection.sendall(response(BODY))
        if rest:
            late.wait(30)
            connection.sendall(rest.pop())
            sent.set()

    with client_of(send) as client:
        assert client.infer(REQUEST, 10.0) == REPLY
        late.set()
        sent.wait(30)
        assert client.infer(REQUEST, 10.0) == REPLY


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_a_slow_answer_ends_at_the_deadline(pause_s: float) -> None:
    """No byte at all, or one from time to time: each would come before a limit of its own."""

    def send(connection: socket.socket, _: bytes) -> None:
        if pause_s == 0:
            connection.recv(1)  # until the client closes the connection
        for byte in response(BODY):
            connection.sendall(bytes([byte]))
            time.sleep(pause_s)

    with client_of(send) as client, pytest.raises(DeadlineError, match=r"did not end within 0\.3 s"):
        client.infer(REQUEST, 0.3)


def test_connections_are_used_again_until_the_server_ends_them() -> None:
    connections: list[Any] = []
    ending = threading.Event()

    def send(connection: socket.socket, _: bytes) -> None:
        connections.append(connection)
        connection.sendall(response(BODY))
        if len(connections) == 3:
            connection.close()
            ending.set()

    with client_of(send) as client:
        for _ in range(3):
            client.infer(REQUEST, 10.0)
        ending.wait(30)
        for _ in range(2):
            client.infer(REQUEST, 10.0)
    assert len({id(connection) for connection in connections[:3]}) == 1
    assert connections[3] is connections[4] is not connections[2]


def test_a_get_is_sent_again_if_its_connection_ends_without_an_answer() -> None:
    answered: list[bytes] = []

    def send(connection: socket.socket, head: bytes) -> None:
        if len(answered) == 1:
            answered.append(b"")
            connection.close()
            return
        answered.append(head)
        connection.sendall(response(b'{"version": "2.51.0"}'))

    with client_of(send) as client:
        assert [client.server_version(10.0) for _ in range(2)] == ["2.51.0"] * 2
    assert len(answered) == 3


def test_requests_name_host_length_and_type() -> None:
    heads: list[bytes] = []

    def send(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        connection.sendall(response(BODY))

    with client_of(send) as client:
        client.infer(REQUEST, 10.0)
    first, *fields = heads[0].decode("ascii").split("\r\n")
    assert first == "POST /v2/models/m/versions/1/infer HTTP/1.1"
    names = dict(field.split(": ", 1) for field in fields)
    assert names["Host"] == client.url
    assert names["Accept-Encoding"] == "identity"
    assert int(names["Content-Length"]) == int(names.get("Inference-Header-Content-Length", names["Content-Length"]))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("triton.example:8000", "triton.example:8000"),
        ("triton.example:80", "triton.example"),
        ("triton.example:443", "triton.example:443"),
        ("https://triton.example:443", "triton.example"),
        ("https://triton.example:80", "triton.example:80"),
        ("[::1]:8000", "[::1]:8000"),
        ("[fe80::1%eth0]:8000", "[fe80::1]:8000"),
        ("krankenhäuser.example:8000", "xn--krankenhuser-ncb.example:8000"),
    ],
)
def test_the_host_in_requests(url: str, host: str) -> None:
    head = HttpConnection(url, Access()).request("v2", b"", "").pieces[0]
    assert head.decode("ascii").split("\r\n")[1] == f"Host: {host}"


def test_requests_over_tls(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    bodies = [BODY, BODY, OTHER_BODY]
    answers = iter(map(response, bodies))
    with (
        canned(lambda connection, _: connection.sendall(next(answers))) as plain,
        tls_proxy(plain, certificates.context(want_client=False)) as address,
    ):
        client = HttpClient(f"https://{address}", Access(certificates.ca))
        shapes = [client.infer(REQUEST, 10.0).shape for _ in bodies]
        client.close()
    assert shapes == [(1, 2), (1, 2), (2, 1)]


def test_an_answer_before_the_end_of_the_request() -> None:
    """A server that refuses a large request may close the connection without receiving it."""
    voxels = np.zeros((1, 8 << 20), np.float32)
    refusal = response(b'{"error": "too much"}', "Connection: close", status="413 Too Large")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 10)
                connection.sendall(refusal)
                connection.shutdown(socket.SHUT_WR)
                time.sleep(0.2)

        thread = threading.Thread(target=serve)
        thread.start()
        client = HttpClient(f"127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(ServerError, match="too much"):
            client.infer(InferRequest("m", "1", "IN", "FP32", voxels.shape, voxels, "OUT"), 10.0)
        client.close()
        thread.join()
