"""The one-input, one-output view of a model, from the server's metadata and configuration."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.info import ModelConfig, ModelInfo, ModelMetadata, TensorInfo, TensorMetadata

DTYPES: dict[str, np.dtype[np.generic]] = {"FP32": np.dtype(np.float32), "FP16": np.dtype(np.float16)}
LABEL_DTYPES: dict[str, np.dtype[np.generic]] = {
    "UINT8": np.dtype(np.uint8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
}
"""Outputs that are labels already: the model does its own argmax."""
VOLUME_DIMS = 4  # channels and three spatial axes
SLICE_DIMS = 3  # channels and two spatial axes

_VOLUME_REMEDY = ", or leave slice_axis, context and axes of the inferer out and give roi_size three numbers"


def model_info(
    metadata: ModelMetadata,
    config: ModelConfig,
    version: str = "",
    *,
    input_name: str | None = None,
    output_name: str | None = None,
    batch: int | None = None,
    slices: bool = False,
) -> ModelInfo:
    """The view of a model; its dims are without the batch axis.

    max_batch_size > 0             a leading batch axis of up to that many windows
    max_batch_size 0, 5 dims       an explicit batch axis: its own size if that is fixed, else `batch` (default 1)
    max_batch_size 0, 4 dims       no batch axis, one window a request
    A model of slices has one dim less; with max_batch_size 0 and 4 dims, `slices` decides which of them it is. If a
    model has several inputs, the view has the only one that is not optional. Raises ModelError for a decoupled model,
    several inputs or outputs without a choice by name, a datatype other than FP32 and FP16 (or `LABEL_DTYPES` of the
    output), and dims that are not channels and three axes, or two. Labels may have no axis of channels.

    slices  the configuration says that the model takes slices
    """
    name = metadata.name
    if config.decoupled:
        raise ModelError(
            f"model {name} is decoupled (it may answer any number of times), expected one answer a request",
            remedy="serve it without model_transaction_policy { decoupled: true }",
        )
    needed = tuple(tensor for tensor in metadata.inputs if tensor.name not in config.optional_inputs)
    if input_name is None and len(needed) == 1:
        input_name = needed[0].name
    source = _choose(name, "input", metadata.inputs, input_name)
    sink = _choose(name, "output", metadata.outputs, output_name)
    missing = [t.name for t in metadata.inputs if t is not source and t.name not in config.optional_inputs]
    if missing:
        raise ModelError(
            f"model {name} also wants {', '.join(missing)} in every request, expected {source.name} alone",
            remedy="serve the model with one input, or make the others optional",
        )
    batch_axis: Literal["leading", "none"] = "leading"
    max_batch, fixed = config.max_batch_size, False
    dims = (SLICE_DIMS,) if slices else (VOLUME_DIMS, SLICE_DIMS)
    if config.max_batch_size == 0 and len(source.shape) in dims:
        batch_axis, max_batch = "none", 1
    elif config.max_batch_size == 0:
        first = source.shape[0] if source.shape else -1
        fixed = first > 0
        max_batch = first if fixed else (batch or 1)
    taken = _tensor(name, "input", source, batch_axis, dims)
    return ModelInfo(
        name=name,
        version=version or _latest(metadata.versions),
        platform=metadata.platform or config.backend,
        input=taken,
        output=_tensor(name, "output", sink, batch_axis, (len(taken.dims),)),
        max_batch=max_batch,
        batch_axis=batch_axis,
        fixed_batch=fixed,
        queue=config.queue,
    )


def _choose(model: str, role: str, tensors: tuple[TensorMetadata, ...], requested: str | None) -> TensorMetadata:
    names = ", ".join(tensor.name for tensor in tensors) or "none"
    if requested is not None:
        for tensor in tensors:
            if tensor.name == requested:
                return tensor
        raise ModelError(
            f"model {model} has no {role} {requested!r}, it has: {names}",
            remedy=f"correct inferer.args.{role}_name",
        )
    if len(tensors) != 1:
        raise ModelError(
            f"model {model} has {len(tensors)} {role}s, expected one: {names}",
            remedy=f"choose one with inferer.args.{role}_name"
            + ("; all others must be optional" if role == "input" else "")
            if tensors
            else f"serve a model with one {role}",
        )
    return tensors[0]


def _tensor(model: str, role: str, tensor: TensorMetadata, batch_axis: str, possible: tuple[int, ...]) -> TensorInfo:
    """The tensor without the batch axis; ModelError unless the number of its dims is possible."""
    labels = LABEL_DTYPES.get(tensor.datatype) if role == "output" else None
    dtype = labels or DTYPES.get(tensor.datatype)
    if dtype is None:
        expected = f"FP32 or FP16{' (labels: ' + ', '.join(LABEL_DTYPES) + ')' if role == 'output' else ''}"
        raise ModelError(
            f"model {model}: {role} {tensor.name} is {tensor.datatype}, expected {expected}",
            remedy="export the model with float32 or float16 tensors",
        )
    dims = tensor.shape[1:] if batch_axis == "leading" else tensor.shape
    if len(dims) not in possible and not (labels is not None and len(dims) + 1 in possible):
        slices = possible == (SLICE_DIMS,)
        axes = "two axes" if slices else "three axes" if possible == (VOLUME_DIMS,) else "three axes or two"
        raise ModelError(
            f"model {model}: {role} {tensor.name} has dims {list(tensor.shape)}, "
            f"expected channels and {axes}" + (" after the batch axis" if batch_axis == "leading" else ""),
            remedy=f"serve a {'2-D model with dims C,H,W' if slices else '3-D model with dims C,X,Y,Z'}"
            + (_VOLUME_REMEDY if slices and role == "input" else ""),
        )
    return TensorInfo(tensor.name, dtype, tensor.datatype, dims)


def _latest(versions: tuple[str, ...]) -> str:
    """The version that answers requests without a version: the highest number."""
    return max(versions, key=lambda v: (v.isdigit(), int(v) if v.isdigit() else 0, v)) if versions else ""
