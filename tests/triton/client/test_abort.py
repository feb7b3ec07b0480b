"""A call that another thread ends: the server never answers it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import Server, make_client

CONTROLS: list[Any] = ["grpc", "http"]


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def request() -> InferRequest:
    data = np.zeros((1, 1, 2, 2, 2), np.float32)
    return InferRequest("toy", "", "IN", "FP32", data.shape, data, "OUT")


@pytest.mark.parametrize("control", CONTROLS)
def test_another_thread_ends_a_call(silent: str, control: Any) -> None:
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
        Server(control, silent, "").end_thread()

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.5)
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
