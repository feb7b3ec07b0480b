"""Arguments of `zoom`: factors, shapes, axes, warnings and casts, for host and device arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpu_infer.compat.arrays import HostArray
from gpu_infer.compat.zoom.axis import ZoomAxis, zoom_axis


class ZoomOptions(NamedTuple):
    """The arguments of `zoom` that do not depend on the array's library."""

    factors: float | Sequence[float]
    order: int
    mode: str
    cval: complex
    prefilter: bool
    grid_mode: bool


def factors_of(value: Any, ndim: int) -> list[float]:
    """One factor per axis, of a number or a sequence.

    Raises:
        RuntimeError: as SciPy: another number of factors, or an input without axes.
    """
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


def zoom_axes(old: tuple[int, ...], new: tuple[int, ...], options: ZoomOptions) -> list[ZoomAxis]:
    """One axis per pair of sizes."""
    _, order, mode, _, _, grid_mode = options
    return [zoom_axis(n_in, n_out, order, mode, grid_mode) for n_in, n_out in zip(old, new, strict=True)]


def identity_axes(shape: tuple[int, ...]) -> list[ZoomAxis]:
    """Axes that copy every sample."""
    return [zoom_axis(n, n, 0, "nearest", False) for n in shape]


def warn_of_mode(options: ZoomOptions, stacklevel: int) -> None:
    """SciPy's warning; `stacklevel` is that of `zoom`'s caller."""
    if options.grid_mode and options.mode in ("constant", "wrap"):
        message = (
            f"It is recommended to use mode = grid-{options.mode} instead of {options.mode} when grid_mode is True."
        )
        warnings.warn(message, stacklevel=stacklevel)


def cast(values: HostArray, dtype: np.dtype[Any]) -> HostArray:
    """To `dtype`. Integers round half away from zero, unsigned ones are clipped to their range, booleans truncated."""
    if dtype.kind == "b":
        return values >= 1
    if dtype.kind not in "iu":
        return values.astype(dtype)
    if values.dtype.kind == "f":
        values = np.trunc(np.where(values > 0, values + 0.5, values - 0.5))
    if dtype.kind == "u":
        values = np.clip(values, 0, np.iinfo(dtype).max)
    with np.errstate(invalid="ignore"):  # infinities and NaN become what the processor converts them to
        return values.astype(dtype)
