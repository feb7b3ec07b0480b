"""An inference over HTTP whose request is sent by one call, and whose reply is read by another."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest
from canned_http import canned, response

from gpu_infer.errors import DeadlineError, Interrupted, ModelError
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferRequest, RegionSlice


def request(model: str = "m") -> InferRequest:
    source, sink = RegionSlice("region", 0, 8), RegionSlice("region", 4096, 8)
    return InferRequest(model, "1", "IN", "FP32", (1, 2), source, "OUT", sink, 8)


def reply(shape: list[int]) -> bytes:
    output = {"name": "OUT", "datatype": "FP32", "shape": shape}
    return response(json.dumps({"model_name": "m", "outputs": [output]}).encode())


class Answering:
    """A server's side of requests: `received` is set by each, and it is answered once `allowed` is set."""

    def __init__(self, answer: Callable[[bytes], bytes] = lambda head: reply([1, 2])) -> None:
        self._answer = answer
        self.received, self.allowed, self.answered = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket, head: bytes) -> None:
        self.received.set()
        self.allowed.wait(30)
        with suppress(OSError):
            connection.sendall(self._answer(head))
        self.answered.set()


def test_the_server_has_the_request_before_the_reply_is_read() -> None:
    server = Answering()
    with canned(server) as address:
        client = HttpClient(address)
        read = client.begin_infer(request(), 10.0)
        assert server.received.wait(10)
        server.allowed.set()
        assert read().shape == (1, 2)
        client.close()


def test_each_client_reads_the_reply_to_its_own_request() -> None:
    """In another order than they were sent."""
    server = Answering(lambda head: reply([int(head.split(b"/models/")[1][:1]), 2]))
    server.allowed.set()
    with canned(server) as address:
        clients = [HttpClient(address) for _ in range(3)]
        for _ in range(2):
            reads = [client.begin_infer(request(f"{n}"), 10.0) for n, client in enumerate(clients)]
            assert [read().shape[0] for read in reversed(reads)] == [2, 1, 0]
        for client in clients:
            client.close()


def test_a_reply_that_arrived_in_time_may_be_read_late() -> None:
    """The caller may be busy with other windows."""
    server = Answering()
    server.allowed.set()
    with canned(server) as address:
        client = HttpClient(address)
        read = client.begin_infer(request(), 1.0)
        assert server.answered.wait(10)
        time.sleep(1.2)
        assert read().shape == (1, 2)
        client.close()


def test_a_reply_that_is_not_there_at_the_deadline() -> None:
    server = Answering()
    with canned(server) as address:
        client = HttpClient(address)
        read = client.begin_infer(request(), 0.2)
        time.sleep(0.3)
        with pytest.raises(DeadlineError, match=r"inference of model m at .* did not end within 0\.2 s"):
            read()
        server.allowed.set()
        client.close()


def test_a_server_that_cannot_be_reached_is_an_error_of_the_reply() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    client = HttpClient(address)
    read = client.begin_infer(request(), 10.0)
    with pytest.raises(ConnectionLost, match="inference of model m"):
        read()


def test_another_thread_ends_a_request_whose_reply_nobody_reads_yet() -> None:
    server = Answering()
    with canned(server) as address:
        client = HttpClient(address)
        read = client.begin_infer(request(), 60.0)
        assert server.received.wait(10)
        thread = threading.Thread(target=client.abort)
        thread.start()
        thread.join(10)
        with pytest.raises(ConnectionLost):
            read()
        server.allowed.set()
        assert client.begin_infer(request(), 10.0)().shape == (1, 2)  # over a new connection
        client.close()


def test_a_refusal_is_an_error_of_the_reply() -> None:
    server = Answering(lambda head: response(b'{"error": "boom"}', status="500 Internal Server Error"))
    server.allowed.set()
    with canned(server) as address:
        client = HttpClient(address)
        with pytest.raises(ModelError, match="boom"):
            client.begin_infer(request(), 10.0)()
        client.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("interrupted by SIGINT")])
def test_an_interrupt_while_a_request_is_sent(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Its reply is not taken for that of the next request."""
    server = Answering(lambda head: reply([int(head.split(b"/models/")[1][:1]), 2]))
    server.allowed.set()
    with canned(server) as address:
        client = HttpClient(address)
        client.begin_infer(request("0"), 10.0)()
        begin_post = client._connection.begin_post

        def interrupted(message: object) -> None:
            begin_post(message)  # type: ignore[arg-type]
            raise error

        monkeypatch.setattr(client._connection, "begin_post", interrupted)
        with pytest.raises(type(error)):
            client.begin_infer(request("1"), 10.0)
        monkeypatch.undo()
        assert client.begin_infer(request("2"), 10.0)().shape == (2, 2)
        client.close()


def test_a_reply_that_nobody_read_is_not_taken_for_that_of_the_next_request() -> None:
    """An interrupt may come when the request has been sent, before the caller has the function that reads."""
    server = Answering(lambda head: reply([int(head.split(b"/models/")[1][:1]), 2]))
    server.allowed.set()
    with canned(server) as address:
        client = HttpClient(address)
        client.begin_infer(request("1"), 10.0)()
        server.allowed.clear()
        client.begin_infer(request("2"), 10.0)
        threading.Timer(0.2, server.allowed.set).start()
        assert client.begin_infer(request("3"), 10.0)().shape == (3, 2)
        client.begin_infer(request("4"), 10.0)
        assert client.infer(request("5"), 10.0).shape == (5, 2)
        client.close()


def test_an_error_does_not_hold_what_its_caller_has() -> None:
    class Volume:
        pass

    def fail(client: HttpClient) -> None:
        volume = Volume()
        volumes.append(weakref.ref(volume))
        client.begin_infer(request(), 10.0)()

    volumes: list[weakref.ref[Volume]] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    gc.disable()
    try:
        client = HttpClient(address)
        with suppress(ConnectionLost):
            fail(client)
        assert volumes[0]() is None
    finally:
        gc.enable()
