"""A model as the server describes it, and the one-input, one-output view that the inferers need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """One input or output. `dims` are channels and spatial sizes WITHOUT the batch axis; a dynamic size is −1.

    Labels may have spatial sizes alone.
    """

    name: str
    dtype: np.dtype[np.generic]  # float32 or float16; of labels uint8, int32 or int64
    datatype: str  # Triton's name: FP32, FP16, …
    dims: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """The one-input, one-output view of a model.

    max_batch  windows that one request may carry, at least 1
    batch_axis "leading": requests carry [N, *dims]; "none": requests carry dims alone, one window each
    fixed_batch  every request carries exactly max_batch windows: the model's own dims fix them
    queue  requests that may wait at the server, None: no limit
    """

    name: str
    version: str
    platform: str
    input: TensorInfo
    output: TensorInfo
    max_batch: int
    batch_axis: Literal["leading", "none"] = "leading"
    fixed_batch: bool = False
    queue: int | None = None

    @property
    def answers_labels(self) -> bool:
        """Whether the output is labels, of one channel, instead of scores."""
        return self.output.dtype.kind in "iu"


@dataclass(frozen=True)
class TensorMetadata:
    """One tensor as the server describes it: the batch axis is included, a dynamic size is −1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """A model's inputs and outputs as the server describes them."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True)
class ModelConfig:
    """The part of a model's configuration that its metadata do not contain.

    queue  max_queue_size of the dynamic batcher for requests without a priority, None: no limit
    """

    max_batch_size: int
    backend: str
    decoupled: bool
    optional_inputs: frozenset[str] = frozenset()
    queue: int | None = None


@dataclass(frozen=True)
class ModelEntry:
    """One line of the server's repository index; `state` is READY, LOADING, UNAVAILABLE, … or empty."""

    name: str
    version: str
    state: str
    reason: str
