"""A proxy that answers in the place of the server is named as unreachable, never taken for the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from canned_http import canned, response
from canned_http2 import canned_http2

from gpu_infer.errors import DeadlineError, ModelError, ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import Server, wait_until_ready

PAGE = b"<html>\n<head><title>Gateway</title></head>\n</html>"
STATUS = ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Time-out", "520 Unknown", "530 Origin"]
REQUEST = InferRequest("m", "1", "IN", "FP32", (1, 2), np.zeros((1, 2), np.float32), "OUT")
CALLS: dict[str, Callable[[Any], object]] = {
    "live": lambda client: client.server_live(2.0),
    "version": lambda client: client.server_version(2.0),
    "ready": lambda client: client.model_ready("m", "1", 2.0),
    "metadata": lambda client: client.model_metadata("m", "1", 2.0),
    "load": lambda client: client.load_model("m", 2.0),
    "infer": lambda client: client.infer(REQUEST, 2.0),
}


def assert_unreachable(error: ServerError, address: str, status: str) -> None:
    assert f" at {address}: server or proxy not reachable: " in error.message
    assert status[:3] in error.message
    assert error.exit_code == 4
    assert str(error).isprintable()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUS)
@pytest.mark.parametrize("body", [PAGE, b"", b"upstream request timeout", b'{"message": "no healthy upstream"}'])
def test_http(call: str, status: str, body: bytes) -> None:
    with canned(response(body, status=status)) as address:
        client = HttpClient(address)
        with pytest.raises(ConnectionLost) as caught:
            CALLS[call](client)
        client.close()
    assert_unreachable(caught.value, address, status)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUS)
def test_grpc(call: str, status: str) -> None:
    with canned_http2(status[:3], PAGE) as address:
        client = GrpcClient(address)
        with pytest.raises(ConnectionLost) as caught:
            CALLS[call](client)
        client.close()
    assert_unreachable(caught.value, address, status)


@pytest.mark.parametrize("status", STATUS)
def test_grpc_over_a_gateway_without_http2(status: str) -> None:
    with canned(response(PAGE, status=status)) as address:
        client = GrpcClient(address)
        with pytest.raises(ConnectionLost) as caught:
            client.server_version(5.0)
        client.close()
    assert address in caught.value.message


@pytest.mark.parametrize("control", ["http", "grpc"])
def test_the_wait_for_a_server(control: str) -> None:
    serve = canned(response(PAGE, status=STATUS[0])) if control == "http" else canned_http2("502", PAGE)
    with serve as address, pytest.raises(DeadlineError) as caught:
        Server.connect(Endpoints(either=address), control, wait_s=0.3)
    assert f"{control} {address}: server or proxy not reachable: " in caught.value.message
    assert "502" in caught.value.message


def test_a_server_that_a_proxy_lost() -> None:
    with canned(response(PAGE, status=STATUS[2])) as address:
        client = HttpClient(address)
        with pytest.raises(DeadlineError, match="server or proxy not reachable: status 504"):
            wait_until_ready(client, "m", "1", 0.3)
        client.close()


def test_words_of_the_server_itself() -> None:
    """Triton says 503 too; a model may quote anything."""
    text = json.dumps({"error": "Request for unknown model: 'm' has no available versions"}).encode()
    for status, kind in (("503 Service Unavailable", ModelError), ("500 Internal Server Error", ModelError)):
        with canned(response(text, status=status)) as address:
            client = HttpClient(address)
            with pytest.raises(kind, match="has no available versions"):
                client.infer(REQUEST, 2.0)
            assert not client.model_ready("m", "1", 2.0)
            client.close()
