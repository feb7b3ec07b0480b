"""`zoom` for arrays on a CUDA device: by the operator's kernel in float32 where it fits, else in float64."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.compat.arrays import gpu, on_device, tensor_of, tensor_values, torch_stream, without_gradients
from gpu_infer.compat.zoom.axis import ZoomAxis, zoom_axis
from gpu_infer.compat.zoom.shape import cast, factors_of, warn_of_mode, zoomed_shape

_ONE_PASS = {np.dtype(name) for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f4")}
"""Dtypes whose linear zooms to float32 are computed in float32, as on the CPU."""


def device_zoom(
    given: Any, zoom: Any, output: Any, order: int, mode: str, cval: complex, prefilter: bool, grid_mode: bool
) -> Any:
    """See `zoom.zoom`, which has checked order and mode."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.Tensor):
        with torch_stream(torch, given.device):
            return _torch_zoom(torch, given, zoom, output, order, mode, cval, prefilter, grid_mode)
    source = gpu().received(given)
    if output is not None and (isinstance(output, np.ndarray) or on_device(output)):
        target = gpu().received(output)
        _into(source, target, zoom, order, mode, cval, prefilter, grid_mode)
        return output
    out = _into(source, output, zoom, order, mode, cval, prefilter, grid_mode)
    return gpu().returned(out, given)


def _torch_zoom(torch: Any, given: Any, zoom: Any, output: Any, *how: Any) -> Any:
    """bfloat16 is computed in float32; `output` may be a tensor on the device, a dtype of torch or of NumPy."""
    without_gradients(torch, given)
    source = tensor_values(torch, given)
    if isinstance(output, torch.Tensor):
        if not output.is_cuda:
            raise ValueError(f"output is on {output.device}, the input on {given.device}")
        if output.dtype == torch.bfloat16:
            raise ValueError("output: found a bfloat16 tensor, pass a float32 one")
        _into(source, tensor_values(torch, output), zoom, *how)
        return output
    wanted = given.dtype if output is None else output
    if isinstance(wanted, torch.dtype):
        held = torch.float32 if wanted == torch.bfloat16 else wanted
        numpy_dtype = torch.empty((), dtype=held).numpy().dtype
        out = _into(source, numpy_dtype, zoom, *how)
    else:
        out = _into(source, wanted, zoom, *how)
    tensor = tensor_of(torch, out)
    return tensor.to(wanted) if wanted == torch.bfloat16 else tensor


def _into(
    source: Any, output: Any, zoom: Any, order: int, mode: str, cval: complex, prefilter: bool, grid_mode: bool
) -> Any:
    """`output` filled, or a new array of the dtype that it names."""
    factors = factors_of(zoom, source.ndim)
    shape = zoomed_shape(source.shape, factors)
    backend = gpu().backend_of(source)
    out = _output(backend, output, source, shape)
    if out.size == 0:
        return out
    if prefilter and all(factor == 1 for factor in factors):
        if source.dtype == out.dtype:
            _fill(backend, source, out, [zoom_axis(n, n, 0, "nearest", False) for n in shape], 0.0)
        else:
            backend.convert(source, out)
        return out
    warn_of_mode(mode, grid_mode)
    if gpu().overlap(source, out):
        copy = backend.empty(source.shape, source.dtype)
        _fill(backend, source, copy, [zoom_axis(n, n, 0, "nearest", False) for n in source.shape], 0.0)
        source = copy
    axes = [zoom_axis(a, b, order, mode, grid_mode) for a, b in zip(source.shape, shape, strict=True)]
    _fill(backend, source, out, axes, cval if source.dtype.kind == "c" else float(np.real(cval)))
    return out


def _output(backend: Any, output: Any, source: Any, shape: tuple[int, ...]) -> Any:
    complex_source = source.dtype.kind == "c"
    # np.float32 itself, which names a dtype, has the attributes of its instances
    if not isinstance(output, type) and hasattr(output, "shape") and hasattr(output, "data"):
        if output.shape != shape:
            raise RuntimeError(f"output shape not correct: found {output.shape}, expected {shape}")
        if complex_source and output.dtype.kind != "c":
            raise RuntimeError(f"output must have a complex dtype for a complex input, found {output.dtype}")
        if gpu().backend_of(output) is not backend:
            raise ValueError(f"output is on cuda:{output.device.id}, the input on cuda:{backend.device}")
        return output
    dtype = source.dtype.newbyteorder("=") if output is None else np.dtype(output)
    if complex_source and dtype.kind != "c":
        warnings.warn("promoting specified output dtype to complex", stacklevel=5)
        dtype = np.promote_types(dtype, np.complex64)
    return backend.empty(shape, dtype)


def _fill(backend: Any, source: Any, out: Any, axes: list[ZoomAxis], cval: complex) -> None:
    """out = source read through `axes`."""
    if _in_one_pass(backend, source, out, axes):
        return
    lines = [None if axis.is_identity else _line(backend, axis) for axis in axes]
    copies = source.dtype == out.dtype and source.dtype.kind in "biuf" and source.dtype.itemsize <= 8
    if copies and not any(axis.weight.any() for axis in axes):
        backend.take(source, out, lines, cast(np.asarray(np.real(cval)), out.dtype))
    else:
        backend.linear(source, out, lines, cval)


def _line(backend: Any, axis: ZoomAxis) -> Any:
    """The axis on the device: −1 for a constant sample, −2 for a constant output."""
    lower, upper = (np.where((i < 0) | (i >= axis.size), -1, i) for i in (axis.lower, axis.upper))
    lower = np.where(axis.outside, -2, lower)
    return backend.index_line(lower, upper, axis.weight) if axis.weight.any() else backend.index_line(lower)


def _in_one_pass(backend: Any, source: Any, out: Any, axes: list[ZoomAxis]) -> bool:
    """Let `prepare` do it: to float32, nothing constant, no more than 3 axes that change."""
    kept = [n for n, axis in enumerate(axes) if not axis.is_identity]
    fits = source.dtype.newbyteorder("=") in _ONE_PASS and out.dtype == np.float32 and out.dtype.isnative
    if not fits or len(kept) > 3 or any(axis.overhangs or axis.outside.any() for axis in axes):
        return False
    # axes that stay as they are come first; the last of them is the channels, those before are walked one by one
    order = [n for n in range(len(axes)) if n not in kept] + kept
    channels = len(axes) > len(kept)
    walked = len(order) - len(kept) - channels
    missing = (None,) * (3 - len(kept))
    one = zoom_axis(1, 1, 0, "nearest", False)
    x, y, z = (axis.table() for axis in [one] * len(missing) + [axes[n] for n in kept])
    sources, outs, identity = source.transpose(order), out.transpose(order), ClampedAffine()
    for index in np.ndindex(*sources.shape[:walked]):
        part = (*index, slice(None) if channels else None, *missing)
        backend.resample(sources[part], outs[part], (x, y, z), identity, identity)
    return True
