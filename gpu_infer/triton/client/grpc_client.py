"""`TritonClient` over gRPC."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from gpu_infer.triton.client import answers
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.descriptors import check_descriptors
from gpu_infer.triton.client.endpoints import ControlName, tls_protocol, without_scheme
from gpu_infer.triton.client.failures import Subject, connection_lost, deadline, malformed, refusal
from gpu_infer.triton.client.protocol import (
    CALL_TIMEOUT_S,
    LONGEST_S,
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
    RegionSlice,
    check_message_size,
    checked_region_name,
)
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

T = TypeVar("T")

_SERVICE = "inference.GRPCInferenceService"
_LIMITS = {
    "methodConfig": [
        {"name": [{"service": _SERVICE}], "maxResponseMessageBytes": answers.ANSWER_LIMIT},
        {"name": [{"service": _SERVICE, "method": "ModelInfer"}], "maxResponseMessageBytes": MESSAGE_LIMIT},
    ]
}
CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.service_config", json.dumps(_LIMITS)),
    ("grpc.service_config_disable_resolution", 1),  # a DNS record has no say in these limits
    # Nothing compressed is asked for, and nothing inflated: a small answer stays a small one.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.per_message_decompression", 0),
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


# An answer that is no message becomes our error; grpc need not print a traceback of it, too.
logging.getLogger("grpc._common").setLevel(logging.CRITICAL)


class GrpcClient:
    """One channel with its own connection; see `protocol.TritonClient`."""

    name: ControlName = "grpc"

    def __init__(self, url: str, access: Access | None = None) -> None:
        access = access or Access()
        check_descriptors()
        self.url = url
        credentials = grpc.ssl_channel_credentials(*access.pem()) if tls_protocol(url) is not None else None
        self._headers = dict(access.headers) or None
        self._client = triton.InferenceServerClient(
            without_scheme(url), creds=credentials, channel_args=CHANNEL_OPTIONS
        )

    def _call(
        self, what: str, subject: Subject, timeout: float, call: Callable[..., Any], read: Callable[[Any], T]
    ) -> T:
        """What `read` makes of the answer of `call(headers=…, client_timeout=…)`."""
        try:
            answer = call(headers=self._headers, client_timeout=min(timeout, LONGEST_S))
        except InferenceServerException as error:
            status = (error.status() or "").removeprefix("StatusCode.")
            text = error.message()
            if status == "DEADLINE_EXCEEDED":
                raise deadline(what, self.url, timeout) from None
            if status == "INTERNAL" and "deserializing response" in (text or ""):
                raise malformed(what, self.url, "no message of its kind, or a compressed one") from None
            raise refusal(what, self.url, status, text, subject) from None
        except ValueError as error:  # grpc's word for a call on a closed channel
            raise connection_lost(what, self.url, error) from None
        try:
            return read(answer)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise malformed(what, self.url, error) from None

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._call("liveness", "server", timeout, self._client.is_server_live, bool)

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str:
        return self._call(
            "metadata",
            "server",
            timeout,
            self._client.get_server_metadata,
            lambda found: answers.text(found.version, "the server's version"),
        )

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool:
        return self._call(
            f"readiness of model {model}",
            "model",
            timeout,
            lambda **options: self._client.is_model_ready(model, version, **options),
            bool,
        )

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata:
        def read(found: Any) -> ModelMetadata:
            inputs, outputs = (
                tuple(answers.tensor(t.name, t.datatype, t.shape) for t in tensors)
                for tensors in (found.inputs, found.outputs)
            )
            return answers.metadata(model, found.name, found.versions, found.platform, inputs, outputs)

        return self._call(
            f"metadata of model {model}",
            "model",
            timeout,
            lambda **options: self._client.get_model_metadata(model, version, **options),
            read,
        )

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig:
        def read(found: Any) -> ModelConfig:
            config = found.config
            return ModelConfig(
                answers.whole(config.max_batch_size, "max_batch_size", 0),
                answers.text(config.backend or config.platform, "the backend"),
                bool(config.model_transaction_policy.decoupled),
                frozenset(answers.text(t.name, "an input's name") for t in config.input if t.optional),
            )

        return self._call(
            f"configuration of model {model}",
            "model",
            timeout,
            lambda **options: self._client.get_model_config(model, version, **options),
            read,
        )

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]:
        return self._call(
            "repository index",
            "server",
            timeout,
            self._client.get_model_repository_index,
            lambda found: [answers.entry(m.name, m.version, m.state, m.reason) for m in found.models],
        )

    def load_model(self, model: str, timeout: float) -> None:
        self._call(
            f"loading model {model}",
            "model",
            timeout,
            lambda **options: self._client.load_model(model, **options),
            lambda _: None,
        )

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        self._call(
            f"registering {key}",
            "server",
            timeout,
            lambda **options: self._client.register_system_shared_memory(name, key, nbytes, **options),
            lambda _: None,
        )

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        handle = base64.b64encode(ipc_handle)
        self._call(
            f"registering CUDA block {name}",
            "server",
            timeout,
            lambda **options: self._client.register_cuda_shared_memory(name, handle, device, nbytes, **options),
            lambda _: None,
        )

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        checked_region_name(name)
        forget = (
            self._client.unregister_system_shared_memory
            if kind == "system"
            else self._client.unregister_cuda_shared_memory
        )
        self._call(
            f"unregistering {name}", "server", timeout, lambda **options: forget(name, **options), lambda _: None
        )

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]:
        regions = self._call(
            "listing shared memory",
            "server",
            timeout,
            self._client.get_system_shared_memory_status,
            lambda found: [answers.region(r.name, "system", r.key, r.byte_size) for r in found.regions.values()],
        )
        regions += self._call(
            "listing CUDA shared memory",
            "server",
            timeout,
            self._client.get_cuda_shared_memory_status,
            lambda found: [answers.region(r.name, "cuda", "", r.byte_size) for r in found.regions.values()],
        )
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
        return self._call(
            f"inference of model {request.model}",
            "model",
            timeout,
            lambda **options: self._client.infer(request.model, [source], request.version, outputs=[sink], **options),
            lambda result: _reply(result.get_response(), request.output_name, request.sink is None),
        )

    def abort(self) -> None:
        self._client.close()

    def close(self) -> None:
        self._client.close()


def _reply(message: Any, output_name: str, inline: bool) -> InferReply:
    """Of a ModelInferResponse, whose raw contents lie in the order of the outputs that are not in a region."""
    reply, raw = InferReply((), "", None), 0
    for output in message.outputs:
        in_region = "shared_memory_region" in output.parameters
        if output.name == output_name:
            if reply.datatype:
                raise answers.Malformed(f"output {output_name} twice")
            sizes = answers.shape(output.shape, output_name, 0)
            datatype = answers.text(output.datatype, f"the datatype of {output_name}")
            if inline and raw >= len(message.raw_output_contents):
                raise answers.Malformed(f"output {output_name} has no bytes")
            content = message.raw_output_contents[raw] if inline else b""
            reply = InferReply(
                sizes, datatype, answers.array(content, datatype, sizes, output_name) if inline else None
            )
        raw += not in_region
    return reply
