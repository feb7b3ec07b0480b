"""Mangled answers of a server, over HTTP and gRPC: each call returns a value of its type or raises a ServerError.

`python tests/fuzz/fuzz_server.py SECONDS SEED` prints a line for each other outcome and ends with 1 if there was one.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from canned_http import canned, response
from tritonclient.grpc import service_pb2

from gpu_infer.errors import ConfigError, ServerError
from gpu_infer.triton.client.grpc_client import GrpcClient
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.protocol import InferReply, InferRequest, RegionSlice, TritonClient
from gpu_infer.triton.model.metadata import model_info

TIMEOUT_S = 0.3
SLOW_S = 5.0
SHAPE = (1, 1, 2, 3, 4)
VALUES = np.arange(24, dtype=np.float32).reshape(SHAPE)
REQUEST = InferRequest("m", "1", "IN", "FP32", SHAPE, VALUES, "OUT")
SLOT = InferRequest(
    "slot", "1", "IN", "FP32", SHAPE, RegionSlice("r", 0, VALUES.nbytes), "OUT", RegionSlice("r", 4096, VALUES.nbytes)
)
TENSOR = {"datatype": "FP32", "shape": list(SHAPE)}


def describe(client: TritonClient) -> object:
    """The requests of a run about its model, up to the view for the inferers."""
    return model_info(client.model_metadata("m", "1", TIMEOUT_S), client.model_config("m", "1", TIMEOUT_S))


CALLS: list[Callable[[TritonClient], object]] = [
    lambda client: client.server_live(TIMEOUT_S),
    lambda client: client.server_version(TIMEOUT_S),
    lambda client: client.model_ready("m", "1", TIMEOUT_S),
    describe,
    lambda client: client.model_index(TIMEOUT_S),
    lambda client: client.load_model("m", TIMEOUT_S),
    lambda client: client.register_system_region("r", "/r", 64, TIMEOUT_S),
    lambda client: client.unregister_region("r", "system", TIMEOUT_S),
    lambda client: client.registered_regions(TIMEOUT_S),
    lambda client: client.infer(REQUEST, TIMEOUT_S),
    lambda client: client.infer(SLOT, TIMEOUT_S),
]

HTTP_DOCUMENTS: dict[bytes, Any] = {
    b"/v2/models/m/versions/1/config": {
        "max_batch_size": 4,
        "backend": "python",
        "input": [{"name": "IN", "optional": False}],
        "model_transaction_policy": {"decoupled": False},
    },
    b"/v2/models/m/versions/1": {
        "name": "m",
        "versions": ["1"],
        "platform": "python",
        "inputs": [TENSOR | {"name": "IN"}],
        "outputs": [TENSOR | {"name": "OUT"}],
    },
    b"/v2/repository/index": [{"name": "m", "version": "1", "state": "READY", "reason": ""}],
    b"/v2/systemsharedmemory/status": [{"name": "r", "key": "/r", "offset": 0, "byte_size": 64}],
    b"/v2/cudasharedmemory/status": [{"name": "c", "device_id": 0, "byte_size": 64}],
    b"/v2": {"name": "triton", "version": "2.51.0", "extensions": ["health"]},
}
GRPC_MESSAGES: dict[str, Any] = {
    "ServerLive": service_pb2.ServerLiveResponse(live=True),
    "ServerMetadata": service_pb2.ServerMetadataResponse(name="triton", version="2.51.0"),
    "ModelReady": service_pb2.ModelReadyResponse(ready=True),
    "ModelMetadata": service_pb2.ModelMetadataResponse(
        name="m",
        versions=["1"],
        platform="python",
        inputs=[{"name": "IN", **TENSOR}],
        outputs=[{"name": "OUT", **TENSOR}],
    ),
    "ModelConfig": service_pb2.ModelConfigResponse(
        config={"name": "m", "max_batch_size": 4, "backend": "python", "input": [{"name": "IN", "dims": [2, 3, 4]}]}
    ),
    "RepositoryIndex": service_pb2.RepositoryIndexResponse(models=[{"name": "m", "version": "1", "state": "READY"}]),
    "RepositoryModelLoad": service_pb2.RepositoryModelLoadResponse(),
    "SystemSharedMemoryRegister": service_pb2.SystemSharedMemoryRegisterResponse(),
    "SystemSharedMemoryUnregister": service_pb2.SystemSharedMemoryUnregisterResponse(),
    "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusResponse(
        regions={"r": {"name": "r", "key": "/r", "byte_size": 64}}
    ),
    "CudaSharedMemoryStatus": service_pb2.CudaSharedMemoryStatusResponse(regions={"c": {"name": "c", "byte_size": 64}}),
    "ModelInfer": service_pb2.ModelInferResponse(
        model_name="m", outputs=[{"name": "OUT", **TENSOR}], raw_output_contents=[VALUES.tobytes()]
    ),
}
SLOT_MESSAGE = service_pb2.ModelInferResponse(
    model_name="slot", outputs=[{"name": "OUT", **TENSOR}], raw_output_contents=[b""]
)
ODD_VALUES = [None, True, -1, 2**31, 2**63, 1e308, "", "x", "\x1b[2J", "\ud800", [], {}, [[[]]], "9" * 30, -0.5]


def http_answer(head: bytes) -> bytes:
    """Triton's sound answer to a request."""
    path = head.split(b" ", 2)[1]
    if path == b"/v2/models/slot/versions/1/infer":
        return response(json.dumps({"model_name": "slot", "outputs": [TENSOR | {"name": "OUT"}]}).encode())
    if path.endswith(b"/infer"):
        output = TENSOR | {"name": "OUT", "parameters": {"binary_data_size": VALUES.nbytes}}
        text = json.dumps({"model_name": "m", "outputs": [output]}).encode()
        return response(text + VALUES.tobytes(), f"Inference-Header-Content-Length: {len(text)}")
    document = HTTP_DOCUMENTS.get(path.rstrip(b"/"))
    return response(b"" if document is None else json.dumps(document).encode())


def mangled(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes changed, cut out, doubled or put in."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not out:
            break
        at, length = rng.randrange(len(out)), rng.choice([1, 1, 2, 8, 50])
        kind = rng.randrange(5)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + length]
        elif kind == 2:
            out[at:at] = out[at : at + length] * rng.choice([1, 2, 100])
        elif kind == 3:
            out[at:at] = rng.randbytes(length)
        else:
            del out[at:]
    return bytes(out)


def with_odd_value(document: Any, rng: random.Random) -> Any:
    """A JSON document with one of its values replaced or removed."""
    if rng.random() < 0.3 or not isinstance(document, dict | list) or not document:
        return rng.choice(ODD_VALUES)
    copy: Any = document.copy()
    key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    if rng.random() < 0.15:
        del copy[key]
    else:
        copy[key] = with_odd_value(copy[key], rng)
    return copy


def mangled_http(answer: bytes, rng: random.Random) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    kind = rng.randrange(4)
    if kind == 0:
        return mangled(answer, rng)
    if kind == 1:
        return response(mangled(body, rng))
    length = next((int(line[33:]) for line in head.split(b"\r\n") if line.startswith(b"Inference-H")), len(body))
    try:
        document = with_odd_value(json.loads(body[:length]), rng)
    except ValueError:  # an answer without a body
        return mangled(answer, rng)
    text = json.dumps(document).encode()
    headers = [f"Inference-Header-Content-Length: {len(text)}"] if length < len(body) else []
    if kind == 3:
        headers.append(
            rng.choice(["Content-Encoding: gzip", "Transfer-Encoding: chunked", "Content-Length: 5", "X: \x80"])
        )
    return response(
        text + body[length:], *headers, status=rng.choice(["200 OK", "200 OK", "400 Bad", "503 Busy", "301 Away"])
    )


@contextmanager
def http_server(rng: random.Random) -> Iterator[TritonClient]:
    """A client of a server that mangles its answers, and delays or ends some of them."""

    def answer(connection: Any, head: bytes) -> None:
        sound = http_answer(head)
        is_sound = rng.random() < 0.2  # requests of a slot are compared with their last answer
        connection.sendall(sound if is_sound else mangled_http(sound, rng))
        if not is_sound and rng.random() < 0.97:
            connection.close()

    with canned(answer) as address:
        client = HttpClient(address)
        yield client
        client.close()


@contextmanager
def grpc_server(rng: random.Random) -> Iterator[TritonClient]:
    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            method = details.method.rpartition("/")[2]

            def answer(request: bytes, context: Any) -> bytes:
                of_slot = method == "ModelInfer" and b"slot" in request
                return self._answer(SLOT_MESSAGE if of_slot else GRPC_MESSAGES[method], context)

            return grpc.unary_unary_rpc_method_handler(answer)

        def _answer(self, message: Any, context: Any) -> bytes:
            if rng.random() < 0.1:
                context.set_code(rng.choice(list(grpc.StatusCode)))
                context.set_details(rng.choice(["", "x" * 5000, "a\nb\x1b[2J"]))
            return mangled(message.SerializeToString(), rng)

    server = grpc.server(ThreadPoolExecutor(2), [Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = GrpcClient(f"127.0.0.1:{port}")
    try:
        yield client
    finally:
        client.close()
        server.stop(None).wait()


def fault_of(call: Callable[[TritonClient], object], client: TritonClient) -> str | None:
    """What is wrong with the outcome of one call, None if nothing is."""
    started = time.monotonic()
    try:
        result = call(client)
        if isinstance(result, InferReply) and result.data is not None and result.data.shape != result.shape:
            return f"data of shape {result.data.shape} for {result.shape}"
    except (ServerError, ConfigError) as error:
        if not str(error).isprintable() or len(str(error)) > 2000:
            return f"message {str(error)[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    took = time.monotonic() - started
    return f"{took:.1f} s" if took > SLOW_S else None


def main(seconds: float, seed: int) -> int:
    """Cases in `seconds` of fuzzing, half of them over each protocol.

    RuntimeError if a case has a fault; each is printed with its number.
    """
    faults = cases = 0
    for protocol, server in (("http", http_server), ("grpc", grpc_server)):
        until, case = time.monotonic() + seconds / 2, 0
        rng = random.Random(seed)
        with server(rng) as client:
            while time.monotonic() < until:
                rng.seed(f"{seed} {case}")
                call = CALLS[case % len(CALLS)]
                fault = fault_of(call, client)
                if fault is not None:
                    faults += 1
                    print(f"{protocol} seed {seed} case {case}: {fault}", file=sys.stderr)  # noqa: T201
                case += 1
        cases += case
    if faults:
        raise RuntimeError(f"{faults} of {cases} answers of a server end otherwise than they should")
    return cases


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
