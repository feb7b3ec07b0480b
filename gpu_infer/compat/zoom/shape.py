"""What the arguments of `zoom` mean, wherever the array lies."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def factors_of(value: Any, ndim: int) -> list[float]:
    """One factor per axis. RuntimeError, as SciPy raises, for another number of them or for no axes."""
    if ndim < 1:
        raise RuntimeError("input and output rank must be > 0")
    if isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0:
        values = [float(v) for v in value]
        if len(values) != ndim:
            raise RuntimeError(
                f"zoom: sequence argument must have length equal to input rank, {ndim}, found {len(values)}"
            )
        return values
    return [float(value)] * ndim


def zoomed_shape(shape: tuple[int, ...], factors: list[float]) -> tuple[int, ...]:
    """round(n · factor) per axis, halves to even."""
    return tuple(round(n * factor) for n, factor in zip(shape, factors, strict=True))


def warn_of_mode(mode: str, grid_mode: bool) -> None:
    """SciPy's advice, at the caller of `zoom`."""
    if grid_mode and mode in ("constant", "wrap"):
        message = f"It is recommended to use mode = grid-{mode} instead of {mode} when grid_mode is True."
        warnings.warn(message, stacklevel=3)


def cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """To `dtype`; integers round half away from zero, unsigned ones are clipped to their range, booleans truncated."""
    if dtype.kind == "b":
        return values >= 1
    if dtype.kind not in "iu":
        return values.astype(dtype)
    if values.dtype.kind == "f":
        values = np.trunc(np.where(values > 0, values + 0.5, values - 0.5))
    if dtype.kind == "u":
        values = np.clip(values, 0, np.iinfo(dtype).max)
    with np.errstate(invalid="ignore"):  # infinities and NaN become whatever the machine makes of them
        return values.astype(dtype)
