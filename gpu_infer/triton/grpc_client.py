"""`Control` over gRPC."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from .client import (
    CALL_TIMEOUT_S,
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    ModelConfig,
    ModelEntry,
    ModelMetadata,
    RegionInfo,
    RegionKind,
    RegionSlice,
    TensorMetadata,
    check_message_size,
    checked_region_name,
)
from .endpoints import ControlName
from .failures import Subject, connection_lost, deadline, refusal

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    # One connection per client: shared subchannels would share their back-off after a restart too.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Notices a host that vanished; Triton allows one ping in 5 minutes by default: stay above that.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment has no business between us and the server
]


class GrpcClient:
    """One channel with its own connection; see `client.Control`."""

    name: ControlName = "grpc"

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = triton.InferenceServerClient(url, channel_args=CHANNEL_OPTIONS)

    def _call(self, what: str, subject: Subject, timeout: float, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except InferenceServerException as error:
            status = (error.status() or "").removeprefix("StatusCode.")
            text = error.message()
            if status == "DEADLINE_EXCEEDED":
                raise deadline(what, self.url, timeout) from None
            raise refusal(what, self.url, status, text, subject) from None
        except ValueError as error:  # grpc's word for a call on a closed channel
            raise connection_lost(what, self.url, error) from None

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(
            self._call("liveness", "server", timeout, lambda: self._client.is_server_live(client_timeout=timeout))
        )

    def server_ready(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(
            self._call("readiness", "server", timeout, lambda: self._client.is_server_ready(client_timeout=timeout))
        )

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str:
        found = self._call(
            "metadata", "server", timeout, lambda: self._client.get_server_metadata(client_timeout=timeout)
        )
        return str(found.version)

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(
            self._call(
                f"readiness of model {model}",
                "model",
                timeout,
                lambda: self._client.is_model_ready(model, version, client_timeout=timeout),
            )
        )

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata:
        found = self._call(
            f"metadata of model {model}",
            "model",
            timeout,
            lambda: self._client.get_model_metadata(model, version, client_timeout=timeout),
        )
        return ModelMetadata(
            found.name,
            tuple(found.versions),
            found.platform,
            tuple(TensorMetadata(t.name, t.datatype, tuple(t.shape)) for t in found.inputs),
            tuple(TensorMetadata(t.name, t.datatype, tuple(t.shape)) for t in found.outputs),
        )

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig:
        config = self._call(
            f"configuration of model {model}",
            "model",
            timeout,
            lambda: self._client.get_model_config(model, version, client_timeout=timeout),
        ).config
        return ModelConfig(
            config.max_batch_size,
            config.backend or config.platform,
            bool(config.model_transaction_policy.decoupled),
            frozenset(tensor.name for tensor in config.input if tensor.optional),
        )

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]:
        found = self._call(
            "repository index",
            "server",
            timeout,
            lambda: self._client.get_model_repository_index(client_timeout=timeout),
        )
        return [ModelEntry(m.name, m.version, m.state, m.reason) for m in found.models]

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        self._call(
            f"registering {key}",
            "server",
            timeout,
            lambda: self._client.register_system_shared_memory(name, key, nbytes, client_timeout=timeout),
        )

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        handle = base64.b64encode(ipc_handle)
        self._call(
            f"registering CUDA block {name}",
            "server",
            timeout,
            lambda: self._client.register_cuda_shared_memory(name, handle, device, nbytes, client_timeout=timeout),
        )

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        checked_region_name(name)
        forget = (
            self._client.unregister_system_shared_memory
            if kind == "system"
            else self._client.unregister_cuda_shared_memory
        )
        self._call(f"unregistering {name}", "server", timeout, lambda: forget(name, client_timeout=timeout))

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]:
        system = self._call(
            "listing shared memory",
            "server",
            timeout,
            lambda: self._client.get_system_shared_memory_status(client_timeout=timeout),
        )
        cuda = self._call(
            "listing CUDA shared memory",
            "server",
            timeout,
            lambda: self._client.get_cuda_shared_memory_status(client_timeout=timeout),
        )
        regions = [RegionInfo(r.name, "system", r.key, r.byte_size) for r in system.regions.values()]
        regions += [RegionInfo(r.name, "cuda", "", r.byte_size) for r in cuda.regions.values()]
        return {region.name: region for region in regions}

    def infer(self, request: InferRequest, timeout: float) -> InferReply:
        check_message_size(request)
        source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
        if isinstance(request.source, RegionSlice):
            source.set_shared_memory(request.source.name, request.source.nbytes, request.source.offset)
        else:
            source.set_data_from_numpy(np.ascontiguousarray(request.source))
        sink = triton.InferRequestedOutput(request.output_name)
        if request.sink is not None:
            sink.set_shared_memory(request.sink.name, request.sink.nbytes, request.sink.offset)
        result = self._call(
            f"inference of model {request.model}",
            "model",
            timeout,
            lambda: self._client.infer(
                request.model, [source], request.version, outputs=[sink], client_timeout=timeout
            ),
        )
        output = result.get_output(request.output_name)
        if output is None:
            return InferReply((), "", None)
        data = result.as_numpy(request.output_name) if request.sink is None else None
        return InferReply(tuple(output.shape), output.datatype, data)

    def abort(self) -> None:
        self._client.close()

    def close(self) -> None:
        self._client.close()
