"""Checks of a server's answers, field by field.

Any program may listen on the port: the type and the range of each field are checked, and `Malformed` names the field
and its value. The clients turn it, and every other error while an answer is read, into a ServerError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.client.protocol import InferReply, RegionInfo, RegionKind
from gpu_infer.triton.model.info import ModelConfig, ModelEntry, ModelMetadata, TensorMetadata

ANSWER_LIMIT = 16 << 20  # bytes of every answer but inline outputs; an index of 10,000 models takes 1 MiB
LARGEST_SIZE = 2**31 - 1  # of one axis
AXES_LIMIT = 32
ITEM_TYPES: dict[str, np.dtype[np.generic]] = {
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    **{f"{kind}{bits}": np.dtype(f"{kind.lower()}{bits}") for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
    "BOOL": np.dtype(np.bool_),
}


class Malformed(ValueError):
    """An answer that no Triton gives."""


def decode(body: bytes) -> object:
    """The JSON document in `body`; Malformed for anything else."""
    try:
        return json.loads(body)
    except RecursionError:
        raise Malformed("JSON that is nested too deeply") from None
    except ValueError as error:
        start = one_line(body[:60].decode(errors="replace"))
        raise Malformed(f"no JSON ({one_line(error, 80)}): {start!r}" if body else "nothing") from None


def mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is {_kind(value)}, expected an object")
    return value


def sequence(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise Malformed(f"{what} is {_kind(value)}, expected a list")
    return value


def text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{what} is {_kind(value)}, expected a text")
    if not value.isprintable():
        raise Malformed(f"{what} is {value[:80]!a}, expected characters that can be printed")
    return value


def whole(value: object, what: str, lowest: int, highest: int = LARGEST_SIZE) -> int:
    """`value` as an integer from `lowest` to `highest`; int64 fields of protobuf's JSON are texts of digits."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        description = one_line(repr(value), 40) if isinstance(value, int | float | str) else _kind(value)
        raise Malformed(f"{what} is {description}, expected an integer from {lowest} to {highest}")
    return value


def shape(sizes: Iterable[object], what: str, lowest: int) -> tuple[int, ...]:
    axes = tuple(whole(size, f"an axis of {what}", lowest) for size in sizes)
    if len(axes) > AXES_LIMIT:
        raise Malformed(f"{what} has {len(axes)} axes, expected at most {AXES_LIMIT}")
    return axes


def tensor(name: object, datatype: object, sizes: Iterable[object]) -> TensorMetadata:
    name = text(name, "a tensor's name")
    return TensorMetadata(name, text(datatype, f"the datatype of {name}"), shape(sizes, name, -1))


def model_name(expected: str, name: object) -> str:
    """The name in an answer about the model `expected`; a different one would direct later requests to that model."""
    if text(name, "the model's name") != expected:
        raise Malformed(f"metadata of model {name!r}, expected those of {expected!r}")
    return expected


def metadata(
    name: str,
    versions: Iterable[object],
    platform: object,
    inputs: tuple[TensorMetadata, ...],
    outputs: tuple[TensorMetadata, ...],
) -> ModelMetadata:
    numbers = tuple(text(version, "a version") for version in versions)
    for number in numbers:
        whole(number, "a version", 1, 10**18)
    return ModelMetadata(name, numbers, text(platform, "the platform"), inputs, outputs)


def json_metadata(expected: str, document: object) -> ModelMetadata:
    fields = mapping(document, "the metadata")

    def tensors(key: str) -> tuple[TensorMetadata, ...]:
        entries = [mapping(entry, f"an entry of {key}") for entry in sequence(fields.get(key, []), key)]
        return tuple(
            tensor(e.get("name"), e.get("datatype"), sequence(e.get("shape"), "a tensor's shape")) for e in entries
        )

    versions = sequence(fields.get("versions", []), "versions")
    inputs, outputs = tensors("inputs"), tensors("outputs")
    return metadata(model_name(expected, fields.get("name")), versions, fields.get("platform", ""), inputs, outputs)


def json_config(document: object) -> ModelConfig:
    fields = mapping(document, "the configuration")
    policy = mapping(fields.get("model_transaction_policy", {}), "model_transaction_policy")
    inputs = [mapping(entry, "an input") for entry in sequence(fields.get("input", []), "input")]
    return ModelConfig(
        whole(fields.get("max_batch_size", 0), "max_batch_size", 0),
        text(fields.get("backend") or fields.get("platform") or "", "the backend"),
        _flag(policy.get("decoupled", False), "decoupled"),
        frozenset(
            text(entry.get("name"), "an input's name")
            for entry in inputs
            if _flag(entry.get("optional", False), "optional")
        ),
        _json_queue(fields.get("dynamic_batching")),
    )


def _json_queue(batching: object) -> int | None:
    """As `queue.queue_of` of the message."""
    if batching is None:
        return None
    fields = mapping(batching, "dynamic_batching")
    level = whole(fields.get("default_priority_level", 0), "default_priority_level", 0, 2**64 - 1)
    policies = mapping(fields.get("priority_queue_policy", {}), "priority_queue_policy")
    policy = policies.get(str(level), fields.get("default_queue_policy", {}))
    size = mapping(policy, "a queue policy").get("max_queue_size", 0)
    return whole(size, "max_queue_size", 0, 2**32 - 1) or None


def json_index(document: object) -> list[ModelEntry]:
    return [
        entry(e.get("name"), e.get("version", ""), e.get("state", ""), e.get("reason", ""))
        for e in (mapping(item, "a model of the index") for item in sequence(document, "the index"))
    ]


def entry(name: object, version: object, state: object, reason: object) -> ModelEntry:
    name = text(name, "a model's name")
    version = text(str(version) if isinstance(version, int) else version, f"the version of {name}")
    if not isinstance(reason, str):
        raise Malformed(f"the reason of {name} is {_kind(reason)}, expected a text")
    return ModelEntry(name, version, text(state, f"the state of {name}"), one_line(reason))


def json_regions(document: object, kind: RegionKind) -> list[RegionInfo]:
    regions = [mapping(item, "a region") for item in sequence(document, "the regions")]
    return [
        region(r.get("name"), kind, r.get("key", "") if kind == "system" else "", r.get("byte_size")) for r in regions
    ]


def region(name: object, kind: RegionKind, key: object, nbytes: object) -> RegionInfo:
    return RegionInfo(
        text(name, "a region's name"), kind, text(key, "a region's key"), whole(nbytes, "a region's size", 0, 2**63)
    )


def json_reply(body: bytes, header: object, output_name: str, inline: bool) -> InferReply:
    """The reply in an answer that begins with JSON of `header` bytes (None: all of it); the outputs' bytes follow it.

    Raises Malformed unless the bytes are exactly those that the JSON announces.
    """
    length = len(body) if header is None else whole(header, "Inference-Header-Content-Length", 0, len(body))
    header = mapping(decode(body[:length]), "the reply")
    offset, reply = length, InferReply((), "", None)
    for item in sequence(header.get("outputs"), "outputs"):
        output = mapping(item, "an output")
        name = text(output.get("name"), "an output's name")
        parameters = mapping(output.get("parameters", {}), f"the parameters of {name}")
        nbytes = whole(parameters.get("binary_data_size", 0), f"the size of {name}", 0, len(body) - offset)
        if name == output_name:
            if reply.datatype:
                raise Malformed(f"output {name} twice")
            datatype = text(output.get("datatype"), f"the datatype of {name}")
            sizes = shape(sequence(output.get("shape"), f"the shape of {name}"), name, 0)
            if not inline and (nbytes > 0 or "data" in output):
                raise not_in_region(name)
            data = array(memoryview(body)[offset : offset + nbytes], datatype, sizes, name) if inline else None
            reply = InferReply(sizes, datatype, data)
        offset += nbytes
    if offset != len(body):
        raise Malformed(f"{len(body) - length} bytes of outputs, expected {offset - length}")
    return reply


def not_in_region(name: str) -> Malformed:
    """The error of an output that the request names a region for: what the region contains are older values."""
    return Malformed(f"output {name} came with the answer, expected it in shared memory")


def array(content: bytes | memoryview, datatype: str, sizes: tuple[int, ...], name: str) -> NDArray[np.generic]:
    """Read-only view of an output's bytes; Malformed unless shape and datatype need exactly so many."""
    dtype = ITEM_TYPES.get(datatype)
    if dtype is None:
        raise Malformed(f"output {name} is {datatype or 'of no datatype'}, expected numbers")
    expected = math.prod(sizes) * dtype.itemsize
    if len(content) != expected:
        raise Malformed(f"output {name} has {len(content)} bytes, expected {expected} for {datatype} {list(sizes)}")
    values = np.frombuffer(content, dtype).reshape(sizes)
    values.flags.writeable = False
    return values


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"{what} is {_kind(value)}, expected true or false")
    return value


def _kind(value: object) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return kinds.get(type(value), "missing" if value is None else "a number")
