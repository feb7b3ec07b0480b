"""An inference over HTTP is sent once: the server may still work on one whose connection it closed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from canned_http import canned, response

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferRequest, RegionSlice


class ClosingServer:
    """Reads whole requests and closes their connections without an answer; `requests` has their first lines."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                missing = int(lengths[0].partition(b":")[2]) - len(body) if lengths else 0
                while missing > 0:
                    missing -= len(connection.recv(1 << 16))
                self.requests.append(head.partition(b"\r\n")[0])

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[ClosingServer]:
    closing = ClosingServer()
    yield closing
    closing.close()


def test_an_inference_without_an_answer_is_not_sent_again(server: ClosingServer) -> None:
    client = HttpClient(server.url)
    request = InferRequest(
        model="m",
        version="",
        input_name="i",
        datatype="FP32",
        shape=(1, 1, 2, 2, 2),
        source=RegionSlice("r", 0, 32),
        output_name="o",
        sink=RegionSlice("r", 4096, 32),
    )
    try:
        with pytest.raises(ConnectionLost):
            client.infer(request, 10.0)
    finally:
        client.close()
    assert server.requests == [b"POST /v2/models/m/infer HTTP/1.1"]


def test_a_connection_that_ends_while_a_request_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GET goes over a new connection; nothing else does."""
    heads: list[bytes] = []

    def answer(connection: socket.socket, head: bytes) -> None:
        heads.append(head.partition(b" HTTP")[0])
        connection.sendall(response(b'{"version": "2.51.0"}'))

    with canned(answer) as address:
        client = HttpClient(address)
        wire = client._connection.wire
        send = wire.send

        def send_late(data: bytes) -> None:
            assert wire._socket is not None
            wire._socket.shutdown(socket.SHUT_RDWR)
            monkeypatch.setattr(wire, "send", send)
            send(data)

        client.server_version(10.0)
        monkeypatch.setattr(wire, "send", send_late)
        assert client.server_version(10.0) == "2.51.0"
        monkeypatch.setattr(wire, "send", send_late)
        with pytest.raises(ConnectionLost, match="Broken pipe"):
            client.load_model("m", 10.0)
        client.close()
    assert heads == [b"GET /v2"] * 2
