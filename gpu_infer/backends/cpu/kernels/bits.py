"""float16 as the bits that kernels see, on the caller's side; `half` has the conversions within kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.backends.types import HostArray


def is_half(dtype: np.dtype[Any]) -> bool:
    """float16 of either byte order."""
    return dtype.kind == "f" and dtype.itemsize == 2


def as_bits(array: HostArray) -> HostArray:
    """float16 seen as uint16, any other dtype unchanged."""
    return array.view(np.uint16) if array.dtype == np.float16 else array
