"""A server started without --allow-client-shm refuses in words; the status differs from release to release."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from triton_fakes import FakeClient, FakeServer, HostBackend
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import ConnectionLost, SharedMemoryOff, refusal
from gpu_infer.triton.shm.leftovers import clean, find_leftovers
from gpu_infer.triton.shm.naming import SHM_FOLDER, create_locked
from gpu_infer.triton.transport import Transport, open_transport, release

pytestmark = pytest.mark.usefixtures("no_leftovers")

TEXTS = [
    "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
    "system shared memory is disabled (--allow-client-shm=false)",
    "shared memory operations are not allowed by this server",
]
FLAG = "start the server with --allow-client-shm=true"


class Grpc(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Live, but without shared memory."""

    status: grpc.StatusCode
    text = TEXTS[0]

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerLiveResponse(live=True)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerMetadataResponse(name="triton", version="2.69.0")

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.abort(self.status, self.text)

    SystemSharedMemoryUnregister = SystemSharedMemoryRegister


def grpc_server(status: grpc.StatusCode) -> Iterator[Endpoints]:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Grpc()
    servicer.status = status
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Endpoints(grpc=f"127.0.0.1:{port}")
    server.stop(None).wait()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status: int

    def do_GET(self) -> None:
        self._answer(200, {"name": "triton", "version": "2.69.0"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(self.status, {"error": TEXTS[0]})

    def _answer(self, status: int, found: dict[str, str]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def http_server(status: int) -> Iterator[Endpoints]:
    handler = type("Handler", (Http,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Endpoints(http=f"127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


GRPC = ["UNAVAILABLE", "CANCELLED", "UNIMPLEMENTED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "INTERNAL", "UNKNOWN"]
HTTP = [400, 403, 404, 405, 500, 501, 502, 503]


@pytest.fixture
def endpoints(request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    if isinstance(request.param, str):
        yield from grpc_server(getattr(grpc.StatusCode, request.param))
    else:
        yield from http_server(request.param)


def opened(endpoints: Endpoints, **options: Any) -> Transport:
    return open_transport(endpoints, HostBackend(), wait_s=20.0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("endpoints", [*GRPC, *HTTP], indirect=True)
def test_whatever_the_status_the_next_way_is_taken(endpoints: Endpoints) -> None:
    transport = opened(endpoints)
    assert transport.data == "inline"
    assert [choice for choice, _ in transport.skipped] == ["cuda_shm", "system_shm"]
    assert "Client shared memory is disabled." in transport.skipped[1][1]
    assert FLAG in transport.skipped[1][1]
    assert "check that Triton runs" not in transport.skipped[1][1]
    with pytest.raises(ServerError, match=r"data system_shm cannot be used: .* shared memory is disabled") as caught:
        opened(endpoints, require="system_shm")
    assert FLAG in (caught.value.remedy or "")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("status", [*GRPC, *map(str, HTTP)])
def test_the_text_decides(status: str, text: str) -> None:
    for subject in ("server", "model"):
        error = refusal("registering /x", "h:1", status, text, subject)  # type: ignore[arg-type]
        assert type(error) is SharedMemoryOff
        assert FLAG in (error.remedy or "")


@pytest.mark.parametrize(
    "text",
    [
        "failed to connect to all addresses; Connection refused",
        "Server is stopping, scheduler has stopped accepting new requests",
        "upstream is disabled",
        "connection to /dev/shm lost",
    ],
)
def test_other_texts_of_a_lost_connection_are_still_that(text: str) -> None:
    assert type(refusal("registering /x", "h:1", "UNAVAILABLE", text, "server")) is ConnectionLost
    assert type(refusal("registering /x", "h:1", "503", text, "server")) is ConnectionLost


def test_a_server_without_shared_memory_has_no_leftovers(tmp_path: Path) -> None:
    """Leftovers in /dev/shm can be removed with such a server, which knows no region."""
    name, lock = create_locked(tmp_path)
    os.close(lock)

    class Off(FakeClient):
        def registered_regions(self, timeout: float = 1.0) -> Any:
            raise refusal("listing shared memory", "h:1", "UNAVAILABLE", TEXTS[0], "server")

    client = Off(FakeServer())
    leftovers = find_leftovers(client, tmp_path)
    assert [(item.name, item.region) for item in leftovers] == [(name, None)]
    clean(leftovers, client)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_came_back_without_shared_memory_has_let_go() -> None:
    server = FakeServer()
    arena, registration = Transport(server, HostBackend(), ("system_shm",)).arena(4096)  # type: ignore[arg-type]
    server.unregister_errors = [SharedMemoryOff(TEXTS[0])]
    release(arena, registration)
    assert not (SHM_FOLDER / registration.name).exists()  # type: ignore[union-attr]
