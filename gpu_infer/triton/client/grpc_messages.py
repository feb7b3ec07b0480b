"""The fields of gRPC's answers that are read, and what the calls return for them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol

from gpu_infer.triton.client import answers
from gpu_infer.triton.client.protocol import InferReply, RegionInfo, RegionKind
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata
from gpu_infer.triton.model.queue import DynamicBatching, queue_of


class ServerMessage(Protocol):
    version: object


class TensorMessage(Protocol):
    name: object
    datatype: object
    shape: Iterable[object]


class MetadataMessage(Protocol):
    name: object
    versions: Iterable[object]
    platform: object
    inputs: Iterable[TensorMessage]
    outputs: Iterable[TensorMessage]


class _Policy(Protocol):
    decoupled: object


class _ConfigInput(Protocol):
    name: object
    optional: object


class _Config(Protocol):
    max_batch_size: object
    backend: object
    platform: object
    model_transaction_policy: _Policy
    input: Iterable[_ConfigInput]
    dynamic_batching: DynamicBatching

    def HasField(self, name: str) -> bool: ...  # noqa: N802


class ConfigMessage(Protocol):
    config: _Config


class _IndexEntry(Protocol):
    name: object
    version: object
    state: object
    reason: object


class IndexMessage(Protocol):
    models: Iterable[_IndexEntry]


class _Region(Protocol):
    name: object
    key: object  # of the system's regions alone
    byte_size: object


class RegionsMessage(Protocol):
    regions: Mapping[str, _Region]


class _Output(Protocol):
    name: str
    datatype: object
    shape: Iterable[object]
    parameters: Container[str]


class InferMessage(Protocol):
    outputs: Iterable[_Output]
    raw_output_contents: Sequence[bytes]


def read_version(message: ServerMessage) -> str:
    return answers.text(message.version, "the server's version")


def read_metadata(model: str, message: MetadataMessage) -> ModelMetadata:
    inputs, outputs = (
        tuple(answers.tensor(t.name, t.datatype, t.shape) for t in tensors)
        for tensors in (message.inputs, message.outputs)
    )
    name = answers.model_name(model, message.name)
    return answers.metadata(name, message.versions, message.platform, inputs, outputs)


def read_config(message: ConfigMessage) -> ModelConfig:
    config = message.config
    return ModelConfig(
        answers.whole(config.max_batch_size, "max_batch_size", 0),
        answers.text(config.backend or config.platform, "the backend"),
        bool(config.model_transaction_policy.decoupled),
        frozenset(answers.text(t.name, "an input's name") for t in config.input if t.optional),
        queue_of(config.dynamic_batching) if config.HasField("dynamic_batching") else None,
    )


def read_index(message: IndexMessage) -> list[ModelEntry]:
    return [answers.entry(m.name, m.version, m.state, m.reason) for m in message.models]


def read_regions(kind: RegionKind, message: RegionsMessage) -> list[RegionInfo]:
    return [
        answers.region(r.name, kind, r.key if kind == "system" else "", r.byte_size) for r in message.regions.values()
    ]


def read_reply(output_name: str, inline: bool, message: InferMessage) -> InferReply:
    """Of a ModelInferResponse, whose raw contents are in the order of the outputs that are not in a region."""
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
            if not inline and not in_region and any(message.raw_output_contents[raw : raw + 1]):
                raise answers.not_in_region(output_name)
            content = message.raw_output_contents[raw] if inline else b""
            reply = InferReply(
                sizes, datatype, answers.array(content, datatype, sizes, output_name) if inline else None
            )
        raw += not in_region
    return reply


class ReplyReader:
    """`read_reply` for one request that is sent again and again: an answer equal to the last one is not read anew."""

    def __init__(self, output_name: str, inline: bool) -> None:
        self._output_name = output_name
        self._inline = inline
        self._last: InferMessage | None = None
        self._reply = InferReply((), "", None)

    def __call__(self, message: InferMessage) -> InferReply:
        if self._inline:
            return read_reply(self._output_name, True, message)
        if self._last is None or message != self._last:
            self._reply, self._last = read_reply(self._output_name, False, message), message
        return self._reply
