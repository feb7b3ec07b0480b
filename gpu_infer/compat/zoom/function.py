"""`scipy.ndimage.zoom` for orders 0 and 1: per-axis tables, and one pass over the voxels if the dtypes allow it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.compat.arrays import CallerArray, HostArray, on_device
from gpu_infer.compat.zoom.axis import MODES, ZoomAxis
from gpu_infer.compat.zoom.device import device_zoom
from gpu_infer.compat.zoom.shape import (
    ZoomOptions,
    cast,
    factors_of,
    identity_axes,
    warn_of_mode,
    zoom_axes,
    zoomed_shape,
)

_ONE_PASS = {np.dtype(name) for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f4")}
"""Dtypes that `Backend.resample` reads; it computes in float32 and copies nearest samples unchanged."""
_INTERPOLATED = {np.dtype(name) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")}
"""Dtypes that `CpuBackend.interpolate` writes."""

_CHUNK = 1 << 20
"""Voxels of the output that `_corner_sums` computes at once."""


def zoom(
    input: CallerArray,  # noqa: A002 - SciPy's name
    zoom: float | Sequence[float],
    output: CallerArray | DTypeLike = None,
    order: int = 3,
    mode: str = "constant",
    cval: complex = 0.0,
    prefilter: bool = True,
    *,
    grid_mode: bool = False,
) -> CallerArray:
    """Zoom an array as `scipy.ndimage.zoom` does, for order 0 (nearest) and 1 (linear).

    Results in float32 are interpolated in one pass in float32. Results in other dtypes are computed in float64, and
    integers are rounded half away from zero, as in SciPy. Unlike in SciPy, a sample of weight 0 does not contribute,
    even if it is infinite or NaN; nearest samples of integers are exact copies; and `grid_mode` counts for complex
    inputs too.

    Args:
        input: Any real or complex dtype, any number of axes. An array on a CUDA device (CuPy, torch, DLPack) is
            zoomed there, and the result is an array of the same library.
        zoom: Factor, or one per axis. The new size is round(n · zoom), halves to even.
        output: Array of the new shape that receives the result, or the result's dtype; by default the input's.
        order: 0 or 1. SciPy's default 3 is refused, so that no other order is computed than the caller expects.
        mode: reflect (grid-mirror), constant, grid-constant, nearest, mirror, wrap or grid-wrap: values outside.
        cval: The constant of `constant` and `grid-constant`.
        prefilter: SciPy's; orders 0 and 1 have no filter.
        grid_mode: False: end samples coincide; True: outer edges coincide (`zoom.axis` has the formulas).

    Returns:
        The zoomed array; `output` if it is an array.

    Raises:
        ValueError: An order from 2 to 5; on a device, more than 8 axes or more than 4 interpolated ones.
        ConfigError: An array on a CUDA device without CuPy.
        RuntimeError: As in SciPy: another order, an unknown mode, an input without axes, a sequence or an output of
            the wrong length or shape.
    """
    if not 0 <= order <= 5:
        raise RuntimeError(f"spline order not supported: found {order}, expected 0 or 1")
    if order > 1:
        raise ValueError(f"order {order} is not supported: pass order=0 or order=1, or use scipy.ndimage.zoom")
    if mode not in MODES:
        raise RuntimeError(f"boundary mode not supported: found {mode!r}, expected one of {', '.join(MODES)}")
    options = ZoomOptions(zoom, order, mode, cval, prefilter, grid_mode)
    return device_zoom(input, output, options) if on_device(input) else _host_zoom(input, output, options)


def _host_zoom(array: CallerArray, output: HostArray | DTypeLike, options: ZoomOptions) -> HostArray:
    source = np.asarray(array)
    factors = factors_of(options.factors, source.ndim)
    shape = zoomed_shape(source.shape, factors)
    out = _output(output, source, shape)
    if out.size == 0:
        return out
    if options.prefilter and all(factor == 1 for factor in factors):
        out[...] = source
        return out
    warn_of_mode(options, stacklevel=4)
    if np.may_share_memory(source, out):
        source = source.copy()
    axes = zoom_axes(source.shape, shape, options)
    cval = options.cval
    if np.iscomplexobj(source):
        _fill(source.real, out.real, axes, np.real(cval))
        _fill(source.imag, out.imag, axes, np.imag(cval))
    else:
        _fill(source, out, axes, float(np.real(cval)))
    return out


def _output(output: CallerArray | DTypeLike, source: HostArray, shape: tuple[int, ...]) -> HostArray:
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
        warnings.warn("promoting specified output dtype to complex", stacklevel=4)
        dtype = np.promote_types(dtype, np.complex64)
    return np.zeros(shape, dtype)


def _fill(source: HostArray, out: HostArray, axes: list[ZoomAxis], cval: float) -> None:
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


def _in_parallel(source: HostArray, out: HostArray, axes: list[ZoomAxis]) -> bool:
    """Compute with the CPU backend's kernels if they take these dtypes and at most 3 axes change; else return False."""
    exact = not any(axis.weight.any() for axis in axes)
    stored = source.dtype.newbyteorder("=")
    in_float32 = stored in _ONE_PASS and (out.dtype == np.float32 or (exact and out.dtype == stored))
    in_float64 = not exact and stored.itemsize <= 8 and stored.kind in "biuf" and out.dtype in _INTERPOLATED
    changing = [n for n, axis in enumerate(axes) if not axis.is_identity]
    usable = out.flags.writeable and out.flags.aligned and out.dtype.isnative
    if not (in_float32 or in_float64) or not usable or len(changing) > 3:
        return False
    from gpu_infer.backends.cpu.backend import CpuBackend

    # axes that do not change come first; a loop visits all but the last three of that order
    order = [n for n in range(len(axes)) if n not in changing] + changing
    looped = max(len(order) - 3, 0)
    missing = 3 - (len(order) - looped)
    inner = identity_axes((1,) * missing) + [axes[n] for n in order[looped:]]
    backend, identity = CpuBackend(), ClampedAffine()
    sources, outs = source.transpose(order), out.transpose(order)
    for index in np.ndindex(*sources.shape[:looped]):
        part = (*index, *(np.newaxis,) * missing, ...)
        if in_float32:
            x, y, z = (axis.table() for axis in inner)
            backend.resample(sources[part][np.newaxis], outs[part][np.newaxis], (x, y, z), identity, identity)
        else:
            tables = [(axis.lower, axis.upper, axis.weight) for axis in inner]
            backend.interpolate(sources[part], outs[part], tables)
    return True


def _box(indices: Iterable[HostArray]) -> tuple[HostArray, ...]:
    return np.ix_(*indices)


def _corner_sums(source: HostArray, out: HostArray, axes: list[ZoomAxis]) -> None:
    """Linear interpolation along any number of axes: Σ over corners of ((v·w₀)·w₁)·…, in SciPy's own order.

    The exact value is often halfway between two integers; the last bit then decides the rounding.
    """
    rows = max(1, _CHUNK * len(out) // out.size)
    for first in range(0, len(out), rows):
        chunk = slice(first, first + rows)
        parts = [chunk, *(slice(None),) * (len(axes) - 1)]
        total = np.zeros(out[chunk].shape)
        near = [(axis.lower[part], 1 - axis.weight[part]) for axis, part in zip(axes, parts, strict=True)]
        far = [(axis.upper[part], 1 - weight) for axis, part, (_, weight) in zip(axes, parts, near, strict=True)]
        for corner in product(*zip(near, far, strict=True)):
            value: NDArray[np.float64] = source[_box(index for index, _ in corner)].astype(np.float64)
            for weight in _box(weight for _, weight in corner):
                with np.errstate(invalid="ignore"):
                    value = np.where(weight == 0, 0.0, value * weight)
            total += value
        out[chunk] = cast(total, out.dtype)
