"""A call that another thread ends: the server never answers it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import make_client

CONTROLS: list[Any] = ["grpc", "http"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30.0)
        yield listener


@pytest.fixture
def silent(listener: socket.socket) -> str:
    """The address of a server that accepts connections and sends nothing."""
    return f"127.0.0.1:{listener.getsockname()[1]}"


def request() -> InferRequest:
    data = np.zeros((1, 1, 2, 2, 2), np.float32)
    return InferRequest("toy", "", "IN", "FP32", data.shape, data, "OUT")


@pytest.mark.parametrize("control", CONTROLS)
def test_another_thread_ends_a_call(silent: str, listener: socket.socket, control: Any) -> None:
    errors: list[BaseException] = []
    clients: list[Any] = []

    def call() -> None:
        client = make_client(control, silent)
        clients.append(client)
        try:
            client.infer(request(), 60.0)
        except BaseException as error:
            errors.append(error)
        client.close()

    thread = threading.Thread(target=call)
    thread.start()
    connection, _ = listener.accept()
    with connection:
        assert connection.recv(1)  # the request is on its way
        clients[0].abort()
        thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [ConnectionLost]
    clients[0].abort()  # nothing is in progress


@pytest.mark.parametrize("control", CONTROLS)
def test_between_calls_there_is_nothing_to_end(silent: str, control: Any) -> None:
    client = make_client(control, silent)
    client.abort()
    client.close()
