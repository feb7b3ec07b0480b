"""A model as its folder in a model repository describes it, to plan a run without a server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from gpu_infer.triton.model.config_file import datatype_name, read_config_file
from gpu_infer.triton.model.info import ModelConfig, ModelInfo, ModelMetadata, TensorMetadata
from gpu_infer.triton.model.metadata import model_info
from gpu_infer.triton.model.name import check_model_name
from gpu_infer.triton.model.queue import queue_of


class _Tensor(Protocol):
    """A tensor's message in config.pbtxt."""

    name: str
    dims: Iterable[int]


def model_in_repository(
    repository: Path,
    name: str,
    version: str = "",
    *,
    input_name: str | None = None,
    output_name: str | None = None,
    batch: int | None = None,
    slices: bool = False,
) -> ModelInfo | None:
    """The model that `repository/name/config.pbtxt` describes, as a server would; None if there is no such file.

    Raises ConfigError for a name that no folder can have, ModelError for a file that does not parse or a model that
    does not fit (see `metadata.model_info`).
    """
    check_model_name(name, version)
    path = repository / name / "config.pbtxt"
    if not path.is_file():
        return None
    parsed = read_config_file(path)
    batched = parsed.max_batch_size > 0
    versions = sorted(p.name for p in (repository / name).iterdir() if p.is_dir() and p.name.isdecimal())
    metadata = ModelMetadata(
        name=name,
        versions=tuple(versions),
        platform=parsed.platform or parsed.backend,
        inputs=tuple(_tensor(t, datatype_name(t.data_type), batched) for t in parsed.input),
        outputs=tuple(_tensor(t, datatype_name(t.data_type), batched) for t in parsed.output),
    )
    config = ModelConfig(
        max_batch_size=parsed.max_batch_size,
        backend=parsed.backend,
        decoupled=parsed.model_transaction_policy.decoupled,
        optional_inputs=frozenset(tensor.name for tensor in parsed.input if tensor.optional),
        queue=queue_of(parsed.dynamic_batching) if parsed.HasField("dynamic_batching") else None,
    )
    return model_info(
        metadata, config, version, input_name=input_name, output_name=output_name, batch=batch, slices=slices
    )


def _tensor(tensor: _Tensor, datatype: str, batched: bool) -> TensorMetadata:
    dims = tuple(int(n) for n in tensor.dims)
    return TensorMetadata(tensor.name, datatype, (-1, *dims) if batched else dims)
