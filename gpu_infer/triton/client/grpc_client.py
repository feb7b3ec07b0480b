"""`TritonClient` over gRPC."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from gpu_infer.triton.client import answers, grpc_messages
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.base import BaseClient, Exchange
from gpu_infer.triton.client.descriptors import check_descriptors
from gpu_infer.triton.client.endpoints import ControlName, tls_protocol, without_scheme
from gpu_infer.triton.client.failures import Subject, connection_lost, deadline, malformed, not_triton, refusal
from gpu_infer.triton.client.protocol import (
    LONGEST_S,
    MESSAGE_LIMIT,
    InferReply,
    InferRequest,
    RegionInfo,
    RegionKind,
    RegionSlice,
)
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata

Message = Any  # a message of Triton's protobuf schema, which has no types: grpc_messages.py names the fields in use

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
    ("grpc.service_config_disable_resolution", 1),  # no DNS record changes these limits
    # Compressed answers are neither requested nor inflated: a small answer cannot become a large one.
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
    ("grpc.enable_http_proxy", 0),  # never through a proxy that the environment names
]


# An answer that is no message becomes a ServerError; grpc must not print a traceback of it as well.
logging.getLogger("grpc._common").setLevel(logging.CRITICAL)


class GrpcClient(BaseClient[Message]):
    """One channel with its own connection; see `protocol.TritonClient`."""

    name: ControlName = "grpc"

    def __init__(self, url: str, access: Access | None = None) -> None:
        self._access = access = access or Access()
        check_descriptors()
        self.url = url
        credentials = grpc.ssl_channel_credentials(*access.pem()) if tls_protocol(url) is not None else None
        self._headers = dict(access.headers) or None
        self._repeated: InferRequest | None = None
        self._exchange: Exchange[Message, InferReply]
        self._client = triton.InferenceServerClient(
            without_scheme(url), creds=credentials, channel_args=CHANNEL_OPTIONS
        )

    def abort(self) -> None:
        self._client.close()

    def close(self) -> None:
        self._client.close()

    def _send(self, what: str, subject: Subject, timeout: float, send: Callable[..., Message]) -> Message:
        try:
            return send(headers=self._headers, client_timeout=min(timeout, LONGEST_S))
        except InferenceServerException as error:
            status = (error.status() or "").removeprefix("StatusCode.")
            text = error.message()
            if status == "DEADLINE_EXCEEDED":
                raise deadline(what, self.url, timeout) from None
            if status == "INTERNAL" and "deserializing response" in (text or ""):
                raise malformed(what, self.url, "no message of its kind, or a compressed one") from None
            raise refusal(what, self.url, status, text, subject) from None
        except ValueError as error:  # grpc raises it for a call on a closed channel
            raise connection_lost(what, self.url, error) from None

    # -- one exchange per call ---------------------------------------------------------------------------
    def _server_live(self) -> Exchange[Message, bool]:
        return Exchange(self._send_live, bool)

    def _send_live(self, **options: Any) -> bool:
        """Whether the server is live; NotTriton if another program answers."""
        try:
            return bool(self._client.is_server_live(**options))
        except InferenceServerException as error:
            status = (error.status() or "").removeprefix("StatusCode.")
            if (foreign := not_triton(self.url, status, error.message() or "")) is not None:
                raise foreign from None
            raise

    def _server_version(self) -> Exchange[Message, str]:
        return Exchange(self._client.get_server_metadata, grpc_messages.read_version)

    def _model_ready(self, model: str, version: str) -> Exchange[Message, bool]:
        return Exchange(partial(self._client.is_model_ready, model, version), bool)

    def _model_metadata(self, model: str, version: str) -> Exchange[Message, ModelMetadata]:
        send = partial(self._client.get_model_metadata, model, version)
        return Exchange(send, partial(grpc_messages.read_metadata, model))

    def _model_config(self, model: str, version: str) -> Exchange[Message, ModelConfig]:
        return Exchange(partial(self._client.get_model_config, model, version), grpc_messages.read_config)

    def _model_index(self) -> Exchange[Message, list[ModelEntry]]:
        return Exchange(self._client.get_model_repository_index, grpc_messages.read_index)

    def _load_model(self, model: str) -> Exchange[Message, None]:
        return Exchange(partial(self._client.load_model, model), _ignore)

    def _register_system(self, name: str, key: str, nbytes: int) -> Exchange[Message, None]:
        return Exchange(partial(self._client.register_system_shared_memory, name, key, nbytes), _ignore)

    def _register_cuda(self, name: str, ipc_handle: bytes, device: int, nbytes: int) -> Exchange[Message, None]:
        handle = base64.b64encode(ipc_handle)
        return Exchange(partial(self._client.register_cuda_shared_memory, name, handle, device, nbytes), _ignore)

    def _unregister(self, name: str, kind: RegionKind) -> Exchange[Message, None]:
        if kind == "system":
            return Exchange(partial(self._client.unregister_system_shared_memory, name), _ignore)
        return Exchange(partial(self._client.unregister_cuda_shared_memory, name), _ignore)

    def _regions(self, kind: RegionKind) -> Exchange[Message, list[RegionInfo]]:
        read = partial(grpc_messages.read_regions, kind)
        if kind == "system":
            return Exchange(self._client.get_system_shared_memory_status, read)
        return Exchange(self._client.get_cuda_shared_memory_status, read)

    def _infer(self, request: InferRequest) -> Exchange[Message, InferReply]:
        if request is self._repeated:  # a slot's request: the same for every window
            return self._exchange
        source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
        sink = triton.InferRequestedOutput(request.output_name)
        if isinstance(request.source, RegionSlice):
            source.set_shared_memory(request.source.name, request.source.nbytes, request.source.offset)
        else:
            source.set_data_from_numpy(np.ascontiguousarray(request.source))
        if request.sink is not None:
            sink.set_shared_memory(request.sink.name, request.sink.nbytes, request.sink.offset)
        read = grpc_messages.ReplyReader(request.output_name, request.sink is None)
        exchange: Exchange[Message, InferReply] = Exchange(
            partial(self._client.infer, request.model, [source], request.version, outputs=[sink]),
            lambda result: read(result.get_response()),
        )
        if request.names_memory:
            self._repeated, self._exchange = request, exchange
        return exchange


def _ignore(_answer: object) -> None:
    """An answer without content."""
