"""What transforms by percentiles share: their arguments, and the percentiles of a field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.arguments import number
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.intensity.finite import not_finite


def _percent(value: object) -> float:
    try:
        percent = number(value)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ValueError("expected a number of 0 to 100")
    return percent


Percent = Annotated[float, BeforeValidator(_percent)]


def finite_percentiles(
    transform: Transform, part: Array, field: FieldState, backend: Backend, percents: Sequence[float]
) -> tuple[float, ...]:
    """`Backend.percentiles`, of all voxels; InputError if a voxel is NaN or infinite."""
    values = backend.percentiles(part, percents)
    if any(math.isnan(value) for value in values):
        raise not_finite(transform, field, "percentiles")
    return values
