"""`scipy.ndimage.zoom` for orders 0 and 1: per-axis tables, one pass over the voxels where dtypes allow it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.compat.arrays import on_device
from gpu_infer.compat.zoom.axis import MODES, ZoomAxis, zoom_axis
from gpu_infer.compat.zoom.device import device_zoom
from gpu_infer.compat.zoom.shape import cast, factors_of, warn_of_mode, zoomed_shape

_ONE_PASS = {np.dtype(name) for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f4")}
"""Dtypes that `Backend.prepare` reads; it computes in float32 and copies nearest samples as they are."""
_ANY = {np.dtype(name) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")}
"""Dtypes that `CpuBackend.interpolate` writes."""

_CHUNK = 1 << 20
"""Voxels of the output that `_corner_sums` computes at once."""


def zoom(
    input: Any,  # noqa: A002 - SciPy's name
    zoom: float | Sequence[float],
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: complex = 0.0,
    prefilter: bool = True,
    *,
    grid_mode: bool = False,
) -> Any:
    """Zoom an array as `scipy.ndimage.zoom` does, for order 0 (nearest) and 1 (linear).

    input      any real or complex dtype, any number of axes; what lies on a CUDA device (CuPy, torch, DLPack) is
               zoomed there and comes back as the like
    zoom       factor, or one per axis; the new size is round(n · zoom), halves to even
    output     array of the new shape to fill, or its dtype; default: the input's
    order      0 or 1. The default is SciPy's, 3, and refused: nothing is computed with another order than asked for
    mode       reflect (grid-mirror), constant, grid-constant, nearest, mirror, wrap, grid-wrap: what stands outside
    cval       the constant of `constant` and `grid-constant`
    prefilter  SciPy's; orders 0 and 1 have no filter
    grid_mode  False: end samples keep their places; True: outer edges do (`zoom_axis` has the formulas)

    What becomes float32 is interpolated in one pass in float32; results of other dtypes are computed in float64, and
    integers rounded half away from zero, as SciPy does. Unlike SciPy a sample of weight 0
    has no part in the result, even where it is infinite or NaN, nearest samples of integers are exact copies, and
    `grid_mode` counts for complex inputs too.

    Raises ValueError for an order from 2 to 5, and for what a device does not do: more than 8 axes or 4 interpolated
    ones; ConfigError for an array on a CUDA device without CuPy; RuntimeError, as SciPy does, for another order, an
    unknown mode, an input without axes, a sequence or an output of the wrong length or shape.
    """
    if not 0 <= order <= 5:
        raise RuntimeError(f"spline order not supported: found {order}, expected 0 or 1")
    if order > 1:
        raise ValueError(f"order {order} is not supported: pass order=0 or order=1, or use scipy.ndimage.zoom")
    if mode not in MODES:
        raise RuntimeError(f"boundary mode not supported: found {mode!r}, expected one of {', '.join(MODES)}")
    if on_device(input):
        return device_zoom(input, zoom, output, order, mode, cval, prefilter, grid_mode)
    source = np.asarray(input)
    factors = factors_of(zoom, source.ndim)
    shape = zoomed_shape(source.shape, factors)
    out = _output(output, source, shape)
    if out.size == 0:
        return out
    if prefilter and all(factor == 1 for factor in factors):
        out[...] = source
        return out
    warn_of_mode(mode, grid_mode)
    if np.may_share_memory(source, out):
        source = source.copy()
    axes = [zoom_axis(a, b, order, mode, grid_mode) for a, b in zip(source.shape, shape, strict=True)]
    if np.iscomplexobj(source):
        _fill(source.real, out.real, axes, np.real(cval))
        _fill(source.imag, out.imag, axes, np.imag(cval))
    else:
        _fill(source, out, axes, float(np.real(cval)))
    return out


def _output(output: Any, source: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    complex_source = np.iscomplexobj(source)
    if isinstance(output, np.ndarray):
        if output.shape != shape:
            raise RuntimeError(f"output shape not correct: found {output.shape}, expected {shape}")
        if complex_source and not np.iscomplexobj(output):
            raise RuntimeError(f"output must have a complex dtype for a complex input, found {output.dtype}")
        return output
    if on_device(output):
        raise ValueError(f"output is a {type(output).__name__} on a CUDA device, the input is in host memory")
    dtype = source.dtype.newbyteorder("=") if output is None else np.dtype(output)
    if complex_source and dtype.kind != "c":
        warnings.warn("promoting specified output dtype to complex", stacklevel=3)
        dtype = np.promote_types(dtype, np.complex64)
    return np.zeros(shape, dtype)


def _fill(source: NDArray[Any], out: NDArray[Any], axes: list[ZoomAxis], cval: float) -> None:
    """out = source read through `axes`."""
    if any(axis.overhangs for axis in axes):
        source = np.pad(source.astype(np.result_type(source, np.float64)), 1, constant_values=cval)
        axes = [axis.shifted(1) for axis in axes]
    if not _in_parallel(source, out, axes):
        if any(axis.weight.any() for axis in axes):
            _corner_sums(source, out, axes)
        else:
            out[...] = cast(source[_box(axis.lower for axis in axes)], out.dtype)
    for n, axis in enumerate(axes):
        if axis.outside.any():
            out[(slice(None),) * n + (axis.outside,)] = cast(np.asarray(cval), out.dtype)


def _in_parallel(source: NDArray[Any], out: NDArray[Any], axes: list[ZoomAxis]) -> bool:
    """Let the CPU backend's kernels do it, if they take these dtypes and no more than 3 axes change."""
    exact = not any(axis.weight.any() for axis in axes)
    stored = source.dtype.newbyteorder("=")
    in_float32 = stored in _ONE_PASS and (out.dtype == np.float32 or (exact and out.dtype == stored))
    in_float64 = not exact and stored.itemsize <= 8 and stored.kind in "biuf" and out.dtype in _ANY
    kept = [n for n, axis in enumerate(axes) if not axis.is_identity]
    usable = out.flags.writeable and out.flags.aligned and out.dtype.isnative
    if not (in_float32 or in_float64) or not usable or len(kept) > 3:
        return False
    from gpu_infer.backends.cpu.backend import CpuBackend

    # axes that stay as they are come first; all but the last three of that order are walked one by one
    order = [n for n in range(len(axes)) if n not in kept] + kept
    walked = max(len(order) - 3, 0)
    missing = 3 - (len(order) - walked)
    lines = [zoom_axis(1, 1, 0, "nearest", False)] * missing + [axes[n] for n in order[walked:]]
    backend, identity = CpuBackend(), ClampedAffine()
    sources, outs = source.transpose(order), out.transpose(order)
    for index in np.ndindex(*sources.shape[:walked]):
        part = (*index, *(np.newaxis,) * missing, ...)
        if in_float32:
            x, y, z = (line.table() for line in lines)
            backend.resample(sources[part][np.newaxis], outs[part][np.newaxis], (x, y, z), identity, identity)
        else:
            tables = [(line.lower, line.upper, line.weight) for line in lines]
            backend.interpolate(sources[part], outs[part], tables)
    return True


def _box(indices: Iterable[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    return np.ix_(*indices)


def _corner_sums(source: NDArray[Any], out: NDArray[Any], axes: list[ZoomAxis]) -> None:
    """Linear interpolation along any number of axes: Σ over corners of ((v·w₀)·w₁)·…, in SciPy's own order.

    The exact value often lies halfway between two integers, and then the last bit decides how it is rounded.
    """
    rows = max(1, _CHUNK * len(out) // out.size)
    for first in range(0, len(out), rows):
        chunk = slice(first, first + rows)
        parts = [chunk, *(slice(None),) * (len(axes) - 1)]
        total = np.zeros(out[chunk].shape)
        near = [(axis.lower[part], 1 - axis.weight[part]) for axis, part in zip(axes, parts, strict=True)]
        far = [(axis.upper[part], 1 - weight) for axis, part, (_, weight) in zip(axes, parts, near, strict=True)]
        for corner in product(*zip(near, far, strict=True)):
            value = source[_box(index for index, _ in corner)].astype(np.float64)
            for weight in _box(weight for _, weight in corner):
                with np.errstate(invalid="ignore"):
                    value = np.where(weight == 0, 0.0, value * weight)
            total += value
        out[chunk] = cast(total, out.dtype)
