"""Answers that no Triton sends: exit 4 with the fault, over both protocols, within the deadline."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from canned_http import canned, response
from tritonclient.grpc import service_pb2

from gpu_infer.errors import DeadlineError, ModelError, ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import Server

REQUEST = InferRequest("m", "1", "IN", "FP32", (1, 2), np.zeros((1, 2), np.float32), "OUT")
CALLS: dict[str, Callable[[Any], object]] = {
    "version": lambda client: client.server_version(2.0),
    "metadata": lambda client: client.model_metadata("m", "1", 2.0),
    "config": lambda client: client.model_config("m", "1", 2.0),
    "index": lambda client: client.model_index(2.0),
    "regions": lambda client: client.registered_regions(2.0),
    "infer": lambda client: client.infer(REQUEST, 2.0),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "nothing"),
        (b"<html>It works!</html>", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "no JSON"),
        (b'"text"', "is a text, expected"),
        (b"null", "expected"),
    ],
    ids=["empty", "html", "bytes", "nested", "digits", "text", "null"],
)
def test_any_web_server(call: str, body: bytes, fault: str) -> None:
    with canned(response(body)) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError, match="the answer cannot be used: ") as caught:
            CALLS[call](client)
        client.close()
    assert fault in caught.value.message
    assert address in caught.value.message
    assert caught.value.exit_code == 4
    assert str(caught.value).isprintable()


TENSOR = {"name": "IN", "datatype": "FP32", "shape": [1, 2]}
SPOILED: list[tuple[str, Any, str]] = [
    ("version", {}, "the server's version is missing, expected a text"),
    ("version", {"version": "2\x1b[0m"}, "expected characters that can be printed"),
    ("metadata", {"name": "other"}, "metadata of model 'other', expected those of 'm'"),
    ("metadata", {"name": "m", "versions": ["x"]}, "a version is 'x', expected an integer from 1"),
    ("metadata", {"name": "m", "inputs": {}}, "inputs is an object, expected a list"),
    ("metadata", {"name": "m", "inputs": [TENSOR | {"shape": [1.5]}]}, "an axis of IN is 1.5"),
    ("metadata", {"name": "m", "inputs": [TENSOR | {"shape": [2**40]}]}, "an axis of IN is 1099511627776"),
    ("metadata", {"name": "m", "inputs": [TENSOR | {"shape": [1] * 99}]}, "99 axes, expected at most 32"),
    ("metadata", {"name": "m", "inputs": [TENSOR | {"datatype": 7}]}, "the datatype of IN is a number"),
    ("config", {"max_batch_size": True}, "max_batch_size is True"),
    ("config", {"max_batch_size": -1}, "max_batch_size is -1, expected an integer from 0"),
    ("config", {"model_transaction_policy": []}, "model_transaction_policy is a list"),
    ("config", {"dynamic_batching": 1}, "dynamic_batching is a number, expected an object"),
    (
        "config",
        {"dynamic_batching": {"default_queue_policy": {"max_queue_size": -1}}},
        "max_queue_size is -1, expected an integer from 0",
    ),
    ("index", {"models": []}, "the index is an object, expected a list"),
    ("index", [{"version": "1"}], "a model's name is missing"),
    ("regions", [{"name": "r", "key": "/k"}], "a region's size is missing"),
    ("infer", {"outputs": 3}, "outputs is a number, expected a list"),
    ("infer", {}, "outputs is missing, expected a list"),
    ("infer", {"outputs": [{"name": "OUT", "datatype": "BYTES", "shape": [1, 2]}]}, "output OUT is BYTES"),
    ("infer", {"outputs": [{"name": "OUT", "datatype": "FP32", "shape": [1, 2]}]}, "has 0 bytes, expected 8"),
    ("infer", {"outputs": [{"name": "OUT", "datatype": "FP32", "shape": [-1, 2]}]}, "an axis of OUT is -1"),
    ("infer", {"outputs": [{"name": "A", "parameters": {"binary_data_size": 9}}]}, "the size of A is 9"),
]


@pytest.mark.parametrize(("call", "document", "fault"), SPOILED)
def test_a_spoiled_field_is_named(call: str, document: Any, fault: str) -> None:
    with canned(response(json.dumps(document).encode())) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError) as caught:
            CALLS[call](client)
        client.close()
    assert fault in caught.value.message
    assert not isinstance(caught.value, ConnectionLost)


def reply_of(values: bytes, size: int, *, length: int | None = None) -> bytes:
    output = {"name": "OUT", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": size}}
    head = json.dumps({"outputs": [output]}).encode()
    shown = len(head) if length is None else length
    return response(head + values, f"Inference-Header-Content-Length: {shown}")


def test_a_sound_reply() -> None:
    with canned(reply_of(np.float32([3, 4]).tobytes(), 8)) as address:
        client = HttpClient(address)
        reply = client.infer(REQUEST, 2.0)
        client.close()
    assert (reply.shape, reply.datatype) == ((1, 2), "FP32")
    assert reply.data is not None
    assert reply.data.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (reply_of(bytes(4), 4), "output OUT has 4 bytes, expected 8 for FP32 [1, 2]"),
        (reply_of(bytes(12), 8), "12 bytes of outputs, expected 8"),
        (reply_of(bytes(8), -8), "the size of OUT is -8"),
        (reply_of(bytes(8), 8, length=10**6), "Inference-Header-Content-Length is 1000000"),
        (reply_of(bytes(8), 8, length=7), "no JSON"),
    ],
)
def test_bytes_that_do_not_fit_their_shape(answer: bytes, fault: str) -> None:
    with canned(answer) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError) as caught:
            client.infer(REQUEST, 2.0)
        client.close()
    assert fault in caught.value.message


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_nothing_is_inflated(coding: str) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    with canned(response(bomb, f"Content-Encoding: {coding}")) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError, match=f"it is compressed \\({coding}\\)"):
            client.infer(REQUEST, 2.0)
        client.close()


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket, bytes], None]:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", bytes(65536)),
        (b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 65536),
    ],
    ids=["chunks", "until-closed", "length", "headers", "header"],
)
def test_an_endless_answer_is_cut_off(start: bytes, piece: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with canned(endless(start, piece)) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError, match=r"more than .* KiB|connection failed"):
            client.server_version(30.0)
        client.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10


@pytest.mark.parametrize("headers", [b"Content-Length: 2000000000\r\n", b""], ids=["length", "until-closed"])
def test_an_inline_output_larger_than_expected_is_cut_off(headers: bytes) -> None:
    request = replace(REQUEST, output_bytes=1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with canned(endless(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n", bytes(65536))) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError, match=rf"at {address}: .* cannot be used: more than 2112 KiB") as caught:
            client.infer(request, 30.0)  # 1 MiB of output, 1 MiB of JSON, 64 KiB of headers
        client.close()
    assert caught.value.exit_code == 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("output_bytes", [8, None])
def test_an_inline_output_of_the_expected_size(output_bytes: int | None) -> None:
    parameters = {"binary_data_size": 8}
    head = json.dumps({"outputs": [TENSOR | {"name": "OUT", "parameters": parameters}]}).encode()
    values = np.array([[1.5, -2]], np.float32)
    with canned(response(head + values.tobytes(), f"Inference-Header-Content-Length: {len(head)}")) as address:
        client = HttpClient(address)
        reply = client.infer(replace(REQUEST, output_bytes=output_bytes), 5.0)
        client.close()
    np.testing.assert_array_equal(reply.data, values)


def test_a_long_error_instead_of_a_small_output() -> None:
    text = json.dumps({"error": "boom " * 100_000}).encode()
    with canned(response(text, status="500 Internal Server Error")) as address:
        client = HttpClient(address)
        with pytest.raises(ModelError, match="boom boom"):
            client.infer(replace(REQUEST, output_bytes=8), 5.0)
        client.close()


@pytest.mark.parametrize("piece", [b"", b" "], ids=["silent", "trickling"])
def test_the_deadline_holds_for_a_delayed_answer(piece: bytes) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        while True:
            time.sleep(0.05)
            connection.sendall(piece)

    with canned(answer) as address:
        client = HttpClient(address)
        with pytest.raises(DeadlineError, match=r"did not end within 0\.5 s"):
            client.server_version(0.5)
        client.close()


@pytest.mark.parametrize("cut", [0, 10, 30, 60])
def test_a_truncated_answer(cut: int) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(response(b'{"version": "2.51.0", "name": "triton"}')[:cut])
        connection.shutdown(socket.SHUT_RDWR)

    with canned(answer) as address:
        client = HttpClient(address)
        with pytest.raises(ServerError):
            client.server_version(2.0)
        client.close()


def test_a_web_server_is_not_taken_for_triton() -> None:
    with canned(response(b"<html>It works!</html>")) as address, pytest.raises(DeadlineError) as caught:
        Server.connect(Endpoints(http=address), wait_s=0.2)
    assert "no JSON" in caught.value.message


# -- gRPC ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def grpc_address() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a server, and the bytes that it answers by method."""
    answers: dict[str, bytes] = {}

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            name = details.method.rpartition("/")[2]
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answers.get(name, b""))

    server = grpc.server(ThreadPoolExecutor(2), [Handler()], options=[("grpc.max_send_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", answers
    server.stop(None).wait()


def output(shape: list[int], datatype: str = "FP32", name: str = "OUT") -> Any:
    return service_pb2.ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)


GRPC_REPLIES: list[tuple[str, Any, str]] = [
    ("infer", service_pb2.ModelInferResponse(outputs=[output([1, 2])]), "output OUT has no bytes"),
    (
        "infer",
        service_pb2.ModelInferResponse(outputs=[output([1, 3])], raw_output_contents=[bytes(8)]),
        r"output OUT has 8 bytes, expected 12 for FP32 \[1, 3\]",
    ),
    (
        "infer",
        service_pb2.ModelInferResponse(outputs=[output([1, -2])], raw_output_contents=[bytes(8)]),
        "an axis of OUT is -2",
    ),
    (
        "infer",
        service_pb2.ModelInferResponse(outputs=[output([2**31 - 1] * 9)], raw_output_contents=[bytes(8)]),
        "has 8 bytes, expected",
    ),
    (
        "infer",
        service_pb2.ModelInferResponse(outputs=[output([2], "BYTES")], raw_output_contents=[bytes(8)]),
        "output OUT is BYTES, expected numbers",
    ),
    ("metadata", service_pb2.ModelMetadataResponse(name="n"), "metadata of model 'n', expected those of 'm'"),
    ("metadata", service_pb2.ModelMetadataResponse(name="m", versions=["²"]), "a version is '²'"),
    ("version", service_pb2.ServerMetadataResponse(version="2\n"), "expected characters that can be printed"),
]
METHODS = {"infer": "ModelInfer", "metadata": "ModelMetadata", "version": "ServerMetadata"}


@pytest.mark.parametrize(("call", "message", "fault"), GRPC_REPLIES)
def test_a_spoiled_message(grpc_address: Any, call: str, message: Any, fault: str) -> None:
    address, answers = grpc_address
    answers[METHODS[call]] = message.SerializeToString()
    client = GrpcClient(address)
    with pytest.raises(ServerError, match=fault) as caught:
        CALLS[call](client)
    client.close()
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("call", CALLS)
def test_bytes_that_are_no_message(grpc_address: Any, call: str) -> None:
    address, answers = grpc_address
    answers.update(dict.fromkeys(["ServerMetadata", "ModelMetadata", "ModelConfig", "RepositoryIndex"], b"\xff" * 9))
    answers.update(dict.fromkeys(["SystemSharedMemoryStatus", "ModelInfer"], b"\x0a\xff"))
    client = GrpcClient(address)
    with pytest.raises(ServerError):
        CALLS[call](client)
    client.close()


def test_a_message_that_is_too_large(grpc_address: Any) -> None:
    address, answers = grpc_address
    answers["ServerMetadata"] = service_pb2.ServerMetadataResponse(
        version="2", extensions=["x" * (20 << 20)]
    ).SerializeToString()
    client = GrpcClient(address)
    with pytest.raises(ServerError, match="larger than max"):
        client.server_version(5.0)
    client.close()
