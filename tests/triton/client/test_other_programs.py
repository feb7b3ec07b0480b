"""A program that answers but is no Triton ends the wait; a proxy or a server that starts does not."""

from __future__ import annotations

import socket
import struct

import pytest
from canned_http import Answer, canned, response
from canned_http2 import canned_http2

from gpu_infer.errors import DeadlineError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import NotTriton
from gpu_infer.triton.client.server import Server

PAGE = b"<html>no such page</html>"
FAR_S = 60.0  # a wait that no test spends


def _paths(known: dict[bytes, bytes], other: bytes) -> Answer:
    """Answers by the request's path."""

    def answer(connection: socket.socket, head: bytes) -> None:
        words = head.split(b" ", 2)
        connection.sendall(known.get(words[1], other))

    return answer


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
@pytest.mark.parametrize("control", ["auto", "http"])
def test_another_http_server(status: str, control: str) -> None:
    with canned(response(PAGE, status=status)) as address, pytest.raises(NotTriton) as caught:
        Server.connect(Endpoints(either=address), control, wait_s=FAR_S)
    assert str(caught.value) == (
        f"{address} answers, but not as a Triton with protocol V2 (HTTP {status[:3]}): a TensorRT Inference "
        "Server (V1) or another program (start Triton there, or "
        "correct the address (--triton host:port, NVIDIA_CLARA_TRTISURI))"
    )
    assert caught.value.exit_code == 4


def test_an_http_server_that_is_asked_over_grpc() -> None:
    with (
        canned(response(PAGE, status="404 Not Found")) as address,
        pytest.raises(NotTriton, match="404 to a gRPC"),
    ):
        Server.connect(Endpoints(grpc=address), wait_s=FAR_S)


@pytest.mark.parametrize("status", ["404", "501"])
def test_a_server_of_other_services(status: str) -> None:
    with canned_http2(status, PAGE) as address, pytest.raises(NotTriton):
        Server.connect(Endpoints(either=address), "grpc", wait_s=FAR_S)


def test_no_http_at_all() -> None:
    """As a server of SSH, which speaks first."""
    with (
        canned(b"SSH-2.0-OpenSSH_9.2\r\n") as address,
        pytest.raises(NotTriton, match=r"no HTTP\): Triton's port for gRPC"),
    ):
        Server.connect(Endpoints(either=address), wait_s=FAR_S)


def test_a_server_of_protocol_v1() -> None:
    """It says 400 about each path that it does not know, as a Triton that is not live does about its liveness."""
    serve = _paths({b"/api/health/live": response(b"")}, response(b"", status="400 Bad Request"))
    with canned(serve) as address, pytest.raises(NotTriton) as caught:
        Server.connect(Endpoints(either=address), wait_s=FAR_S)
    assert "(HTTP 400): a TensorRT Inference Server (V1)" in caught.value.message


def test_a_triton_that_is_not_live_is_waited_for() -> None:
    refused = response(b"", status="400 Bad Request")
    with canned(refused) as address, pytest.raises(DeadlineError, match=r"http .*: not live yet"):
        Server.connect(Endpoints(either=address), wait_s=1.2)


def test_a_server_that_begins_to_listen_is_waited_for() -> None:
    """One answer is no proof: HTTP may reach a port of gRPC that refused a moment before."""
    ready = response(b'{"name": "triton", "version": "2.51.0", "extensions": []}')
    first: list[int] = []

    def answer(connection: socket.socket, head: bytes) -> None:
        if b"/v2" in head and not first:
            first.append(1)
            connection.sendall(response(PAGE, status="404 Not Found"))
        else:
            connection.sendall(ready)

    with canned(answer) as address:
        server = Server.connect(Endpoints(http=address), wait_s=FAR_S)
    assert server.version == "2.51.0"


def test_another_address_that_may_start_is_waited_for() -> None:
    with (
        canned(response(PAGE, status="404 Not Found")) as address,
        pytest.raises(DeadlineError, match="answers, but not as a Triton"),
    ):
        Server.connect(Endpoints(http=address, grpc="127.0.0.1:9"), wait_s=1.2)
    with (
        canned(response(PAGE, status="404 Not Found")) as address,
        canned_http2("503", PAGE) as proxy,
        pytest.raises(DeadlineError, match=r"not reachable: .*503"),
    ):
        Server.connect(Endpoints(http=address, grpc=proxy), wait_s=1.2)


@pytest.mark.parametrize("has_reset", [False, True])
@pytest.mark.parametrize("name", ["http", "either"])
def test_a_proxy_that_closes_connections_is_waited_for(name: str, has_reset: bool) -> None:
    """As the one of a container's published port does while nobody listens in the container."""

    def close(connection: socket.socket, _: bytes) -> None:
        if has_reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with canned(close) as address, pytest.raises(DeadlineError, match=r"http .*: connection closed"):
        Server.connect(Endpoints(**{name: address}), wait_s=1.2)
