"""`zoom` for arrays on a CUDA device: in float32 by `Backend.resample` if possible, else in float64."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.compat.arrays import (
    CallerArray,
    DeviceArray,
    Tensor,
    cupy_of_tensor,
    gpu_exchange,
    on_device,
    refuse_gradients,
    tensor_of_cupy,
    torch_stream,
)
from gpu_infer.compat.zoom.axis import ZoomAxis
from gpu_infer.compat.zoom.shape import (
    ZoomOptions,
    cast,
    factors_of,
    identity_axes,
    warn_of_mode,
    zoom_axes,
    zoomed_shape,
)

if TYPE_CHECKING:
    from gpu_infer.backends.gpu.arrays import IndexLine
    from gpu_infer.backends.gpu.backend import GpuBackend

_ONE_PASS = {np.dtype(name) for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f4")}
"""Dtypes whose linear zooms to float32 are computed in float32, as on the CPU."""


def device_zoom(array: CallerArray, output: CallerArray, options: ZoomOptions) -> CallerArray:
    """See `function.zoom`, which checks order and mode. `output` is an array, a dtype or None."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        with torch_stream(torch, array.device):
            return _torch_zoom(torch, array, output, options)
    source = gpu_exchange().received(array)
    if output is not None and (isinstance(output, np.ndarray) or on_device(output)):
        target = gpu_exchange().received(output)
        _zoom_into(source, target, options)
        return output
    out = _zoom_into(source, output, options)
    return gpu_exchange().returned(out, array)


def _torch_zoom(torch: ModuleType, tensor: Tensor, output: CallerArray, options: ZoomOptions) -> Tensor:
    """bfloat16 is computed in float32; `output` may be a tensor on the device, a dtype of torch or of NumPy."""
    refuse_gradients(torch, tensor)
    source = cupy_of_tensor(torch, tensor)
    if isinstance(output, torch.Tensor):
        if not output.is_cuda:
            raise ValueError(f"output is on {output.device}, the input on {tensor.device}")
        if output.dtype == torch.bfloat16:
            raise ValueError("output: found a bfloat16 tensor, pass a float32 one")
        _zoom_into(source, cupy_of_tensor(torch, output), options)
        return output
    dtype = tensor.dtype if output is None else output
    if isinstance(dtype, torch.dtype):
        computed = torch.float32 if dtype == torch.bfloat16 else dtype
        out = _zoom_into(source, torch.empty((), dtype=computed).numpy().dtype, options)
    else:
        out = _zoom_into(source, dtype, options)
    zoomed = tensor_of_cupy(torch, out)
    return zoomed.to(dtype) if dtype == torch.bfloat16 else zoomed


def _zoom_into(source: DeviceArray, output: DeviceArray, options: ZoomOptions) -> DeviceArray:
    """Fill `output`, or a new array of the dtype that it names."""
    factors = factors_of(options.factors, source.ndim)
    shape = zoomed_shape(source.shape, factors)
    backend = gpu_exchange().backend_of(source)
    out = _output(backend, output, source, shape)
    if out.size == 0:
        return out
    if options.prefilter and all(factor == 1 for factor in factors):
        if source.dtype == out.dtype:
            _fill(backend, source, out, identity_axes(shape), 0.0)
        else:
            backend.convert(source, out)
        return out
    warn_of_mode(options, stacklevel=5)
    if gpu_exchange().overlap(source, out):
        copy = backend.empty(source.shape, source.dtype)
        _fill(backend, source, copy, identity_axes(source.shape), 0.0)
        source = copy
    cval = options.cval if source.dtype.kind == "c" else float(np.real(options.cval))
    _fill(backend, source, out, zoom_axes(source.shape, shape, options), cval)
    return out


def _output(backend: GpuBackend, output: DeviceArray, source: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    complex_source = source.dtype.kind == "c"
    # np.float32 itself, which names a dtype, has the attributes of its instances
    if not isinstance(output, type) and hasattr(output, "shape") and hasattr(output, "data"):
        if output.shape != shape:
            raise RuntimeError(f"output shape not correct: found {output.shape}, expected {shape}")
        if complex_source and output.dtype.kind != "c":
            raise RuntimeError(f"output must have a complex dtype for a complex input, found {output.dtype}")
        if gpu_exchange().backend_of(output) is not backend:
            raise ValueError(f"output is on cuda:{output.device.id}, the input on cuda:{backend.device}")
        return output
    dtype = source.dtype.newbyteorder("=") if output is None else np.dtype(output)
    if complex_source and dtype.kind != "c":
        warnings.warn("promoting specified output dtype to complex", stacklevel=5)
        dtype = np.promote_types(dtype, np.complex64)
    return backend.empty(shape, dtype)


def _fill(backend: GpuBackend, source: DeviceArray, out: DeviceArray, axes: list[ZoomAxis], cval: complex) -> None:
    """out = source read through `axes`."""
    if _in_one_pass(backend, source, out, axes):
        return
    tables = [None if axis.is_identity else _axis_table(backend, axis) for axis in axes]
    copies = source.dtype == out.dtype and source.dtype.kind in "biuf" and source.dtype.itemsize <= 8
    if copies and not any(axis.weight.any() for axis in axes):
        backend.take(source, out, tables, cast(np.asarray(np.real(cval)), out.dtype))
    else:
        backend.linear(source, out, tables, cval)


def _axis_table(backend: GpuBackend, axis: ZoomAxis) -> IndexLine:
    """The axis on the device: −1 means a constant sample, −2 a constant output."""
    lower, upper = (np.where((i < 0) | (i >= axis.size), -1, i) for i in (axis.lower, axis.upper))
    lower = np.where(axis.outside, -2, lower)
    return backend.index_line(lower, upper, axis.weight) if axis.weight.any() else backend.index_line(lower)


def _in_one_pass(backend: GpuBackend, source: DeviceArray, out: DeviceArray, axes: list[ZoomAxis]) -> bool:
    """Compute with `resample` if the result is float32, without constants, and at most 3 axes change; else False."""
    changing = [n for n, axis in enumerate(axes) if not axis.is_identity]
    fits = source.dtype.newbyteorder("=") in _ONE_PASS and out.dtype == np.float32 and out.dtype.isnative
    if not fits or len(changing) > 3 or any(axis.overhangs or axis.outside.any() for axis in axes):
        return False
    # axes that do not change come first; the last of them is the channels, a loop visits those before it
    order = [n for n in range(len(axes)) if n not in changing] + changing
    channels = len(axes) > len(changing)
    looped = len(order) - len(changing) - channels
    missing = (None,) * (3 - len(changing))
    x, y, z = (axis.table() for axis in identity_axes((1,) * len(missing)) + [axes[n] for n in changing])
    sources, outs, identity = source.transpose(order), out.transpose(order), ClampedAffine()
    for index in np.ndindex(*sources.shape[:looped]):
        part = (*index, slice(None) if channels else None, *missing)
        backend.resample(sources[part], outs[part], (x, y, z), identity, identity)
    return True
