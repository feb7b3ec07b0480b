"""A request over HTTP is sent once: what a library sends again by itself, the ring never learns of."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.http_connection import _BoundedPool
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


def test_an_inference_without_an_answer_is_not_sent_again(
    server: ClosingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Releases of the library before 2.6 send it again `size` + 1 times; later ones do not."""
    sizes: list[int] = []
    get_socket = _BoundedPool.get_socket

    def noted(pool: _BoundedPool) -> object:
        sizes.append(pool.size)
        return get_socket(pool)

    monkeypatch.setattr(_BoundedPool, "get_socket", noted)
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
    assert sizes == [-1]
