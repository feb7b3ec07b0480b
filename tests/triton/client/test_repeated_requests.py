"""Requests that are sent again and again, one per window: each is whole, and each answer is read as it is."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from canned_http import canned, response
from tritonclient.grpc import service_pb2

from gpu_infer.errors import GpuInferError, ServerError
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferReply, InferRequest, RegionSlice

Shape = list[int] | None
"""Of the output in an answer; None for an answer without outputs."""


def request(offset: int) -> InferRequest:
    source, sink = RegionSlice("region", offset, 8), RegionSlice("region", offset + 4096, 8)
    return InferRequest("m", "1", "IN", "FP32", (1, 2), source, "OUT", sink, 8)


@contextmanager
def over_grpc(shapes: Iterator[Shape], seen: list[Any]) -> Iterator[GrpcClient]:
    """A client of a server that answers with the shapes; `seen` gets the offset of each request's input."""

    def answer(message: bytes, context: object) -> bytes:
        received = service_pb2.ModelInferRequest.FromString(message)
        seen.append(received.inputs[0].parameters["shared_memory_offset"].int64_param)
        shape = next(shapes)
        output = service_pb2.ModelInferResponse.InferOutputTensor(name="OUT", datatype="FP32", shape=shape)
        outputs = [] if shape is None else [output]
        reply: bytes = service_pb2.ModelInferResponse(outputs=outputs).SerializeToString()
        return reply

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(1), [Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = GrpcClient(f"127.0.0.1:{port}")
    try:
        yield client
    finally:
        client.close()
        server.stop(None).wait()


@contextmanager
def over_http(shapes: Iterator[Shape], seen: list[Any]) -> Iterator[HttpClient]:
    """See `over_grpc`."""

    def answer(connection: socket.socket, head: bytes) -> None:
        seen.append(None)  # heads alone are received: their lengths are those of the bodies
        shape = next(shapes)
        outputs = [] if shape is None else [{"name": "OUT", "datatype": "FP32", "shape": shape}]
        connection.sendall(response(json.dumps({"outputs": outputs}).encode()))

    with canned(answer) as address:
        client = HttpClient(address)
        try:
            yield client
        finally:
            client.close()


@pytest.mark.parametrize("serve", [over_grpc, over_http])
def test_every_answer_is_read(serve: Callable[..., Any]) -> None:
    shapes: list[Shape] = [[1, 2], [1, 2], [1, 3], [1, -2], [1, 3], [1, 2], None, [1, 2]]
    sent, answers = request(0), []
    with serve(iter(shapes), []) as client:
        for _ in shapes:
            try:
                reply: InferReply = client.infer(sent, 5.0)
                answers.append(list(reply.shape) or None)
            except ServerError as error:
                answers.append(error.message)
    assert answers[:3] == [[1, 2], [1, 2], [1, 3]]
    assert "an axis of OUT is -2" in answers[3]
    assert answers[4:6] == [[1, 3], [1, 2]]
    assert answers[6] is None or "OUT" in answers[6]
    assert answers[7] == [1, 2]


def test_another_request_between_equal_ones() -> None:
    seen: list[int] = []
    first, second = request(0), request(8192)
    with over_grpc(iter([[1, 2]] * 6), seen) as client:
        for each in (first, first, second, first, second, second):
            client.infer(each, 5.0)
    assert seen == [0, 0, 8192, 0, 8192, 8192]


@pytest.mark.parametrize("make_client", [GrpcClient, HttpClient])
def test_voxels_in_a_message_are_freed(make_client: Any) -> None:
    voxels = np.zeros((1, 2), np.float32)
    freed = weakref.ref(voxels)
    client = make_client("127.0.0.1:1")
    with contextlib.suppress(GpuInferError):
        client.infer(InferRequest("m", "1", "IN", "FP32", (1, 2), voxels, "OUT"), 0.5)
    del voxels
    gc.collect()
    assert freed() is None
    client.close()
