"""A server, or a gateway in front of it, that quotes the credentials of a request in its error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from canned_http import canned, response

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient

TOKEN = "eyJhbGciOi.J9s3cr3t-0123456789"
ACCESS = Access(headers=(("authorization", f"Bearer {TOKEN}"), ("x-tenant", "3")))


@contextmanager
def over_http(text: str) -> Iterator[HttpClient]:
    with canned(response(json.dumps({"error": text}).encode(), status="400 Bad Request")) as address:
        client = HttpClient(address, ACCESS)
        yield client
        client.close()


@contextmanager
def over_grpc(text: str) -> Iterator[GrpcClient]:
    def refuse(message: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        raise AssertionError

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(1), [Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = GrpcClient(f"127.0.0.1:{port}", ACCESS)
    try:
        yield client
    finally:
        client.close()
        server.stop(None).wait()


@pytest.mark.parametrize("serve", [over_http, over_grpc])
def test_a_quoted_token_is_hidden(serve: Callable[[str], Any]) -> None:
    with (
        serve(f"3 requests with Bearer {TOKEN} refused; got {TOKEN[:12]}") as client,
        pytest.raises(ServerError) as caught,
    ):
        client.model_metadata("tenant", "3", 10.0)
    message = f"metadata of model tenant at {client.url}: 3 requests with *** *** refused; got ***"
    assert caught.value.message == message
    assert caught.value.args == (message,)


def test_the_beginning_of_a_token_in_a_text_that_is_cut() -> None:
    for length in range(80, 121):
        page = b"x" * length + TOKEN.encode()
        with canned(response(page, status="403 Forbidden")) as address:
            client = HttpClient(address, ACCESS)
            with pytest.raises(ServerError, match="access denied") as caught:
                client.server_version(10.0)
            client.close()
        assert TOKEN[:6] not in str(caught.value)
    page = b"x" * 50 + TOKEN.encode()
    with canned(response(page)) as address:
        client = HttpClient(address, ACCESS)
        with pytest.raises(ServerError, match="no JSON") as caught:
            client.server_version(10.0)
        client.close()
    assert TOKEN[:6] not in str(caught.value)
