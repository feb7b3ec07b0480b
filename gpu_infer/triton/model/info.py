"""What the server says of a model, in the terms that the inferers need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """One input or output. `dims` are channels and spatial sizes WITHOUT the batch axis, −1 where dynamic."""

    name: str
    dtype: np.dtype[Any]  # float32 or float16
    datatype: str  # Triton's word: FP32, FP16
    dims: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """The one-input, one-output view of a model.

    max_batch  windows that one request may carry, at least 1
    batch_axis "leading": requests carry [N, *dims]; "none": requests carry dims alone, one window each
    fixed_batch  every request carries exactly max_batch windows: the model's own dims fix them
    """

    name: str
    version: str
    platform: str
    input: TensorInfo
    output: TensorInfo
    max_batch: int
    batch_axis: Literal["leading", "none"] = "leading"
    fixed_batch: bool = False
