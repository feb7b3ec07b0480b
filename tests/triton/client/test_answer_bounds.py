"""Answers that would grow without bound, or whose text breaks a line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from canned_http import canned, response
from tritonclient.grpc import service_pb2

from gpu_infer.errors import ModelError, ServerError
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient


def test_a_compressed_message_is_not_inflated() -> None:
    """The client accepts no compression, but this server compresses its answers."""

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            message = service_pb2.ServerMetadataResponse(version="2" * 100_000)
            return grpc.unary_unary_rpc_method_handler(lambda request, context: message.SerializeToString())

    server = grpc.server(ThreadPoolExecutor(2), [Handler()], compression=grpc.Compression.Gzip)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = GrpcClient(f"127.0.0.1:{port}")
    with pytest.raises(ServerError, match="the answer cannot be used: no message of its kind, or a compressed one"):
        client.server_version(5.0)
    client.close()
    server.stop(None).wait()


def test_a_refusal_of_any_text() -> None:
    with canned(response(b'{"error": {"x": "\\u001b[31m"}}', status="500 Oops")) as address:
        client = HttpClient(address)
        with pytest.raises(ModelError, match="status 500") as caught:
            client.model_metadata("m", "", 2.0)
        client.close()
    assert str(caught.value).isprintable()
