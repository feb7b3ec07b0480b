"""`sliding_window_inference` with MONAI's arguments, for NumPy arrays and torch tensors, without torch or MONAI."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from gpu_infer.compat.arrays import CallerArray, on_device
from gpu_infer.compat.sliding_window.device_exchange import DeviceExchange, TorchDeviceExchange
from gpu_infer.compat.sliding_window.exchange import Exchange
from gpu_infer.compat.sliding_window.host_exchange import NumpyExchange, TorchExchange
from gpu_infer.compat.sliding_window.outputs import Prediction
from gpu_infer.compat.sliding_window.scan import Options, Predictor, scan


class _Default(float):
    """A default that differs from the same number passed by a caller."""


_OVERLAP = _Default(0.25)


def sliding_window_inference(
    inputs: CallerArray, roi_size: Sequence[int | None] | int | None, sw_batch_size: int,
    predictor: Callable[..., Prediction], overlap: Sequence[float] | float = _OVERLAP, mode: str = "constant",
    sigma_scale: Sequence[float] | float = 0.125, padding_mode: str = "constant", cval: float = 0.0,
    sw_device: object = None, device: object = None, progress: bool = False, roi_weight_map: CallerArray = None,
    process_fn: Callable[..., Any] | None = None, buffer_steps: int | None = None, buffer_dim: int = -1,
    with_coord: bool = False, *args: object, grid: str = "monai", **kwargs: object,
) -> Prediction:  # fmt: skip
    """Run `predictor` on windows of `inputs` and average its outputs where windows overlap.

    Sums are float32, window after window: results do not depend on `sw_batch_size`. Gradients are not followed. Values
    agree with MONAI 1.6.1 within 1e-5.

    Args:
        inputs: [B, C, *spatial] with one or more spatial axes: NumPy, anything with `__array__` or DLPack, a torch
            tensor, CuPy. For arrays on a CUDA device, windows, sums and results are there too.
        roi_size: Window size, one for all axes or one each; None and entries below 1 mean the image's size.
        sw_batch_size: Windows per call of the predictor; windows of neighbouring images share a call.
        predictor: From [N, C, *roi] to [N, K, *shape], a tuple or a dictionary of such. If a shape is not the roi, the
            output has its own resolution, and its result is scaled likewise.
        overlap: Part of the roi by which windows overlap, in [0, 1). Default: 0.25; 0.5 in the grid nnunet (steps of at
            most (1 − overlap)·roi there). The grid clara accepts none.
        mode: constant: each voxel of a window counts 1; gaussian: MONAI's map, in the grid nnunet nnU-Net's.
        sigma_scale: σ of the gaussian as part of the roi.
        padding_mode: constant (with `cval`), reflect, replicate, circular: voxels around images smaller than the roi.
        cval: The constant of padding_mode constant; of integer images its whole part.
        sw_device: For torch tensors: device of the predictor's windows.
        device: For torch tensors: device of the results. "cpu" moves windows and sums of GPU tensors to host memory.
        progress: Show a tqdm bar; without tqdm, log lines.
        roi_weight_map: Weights of a window's voxels instead of `mode`; broadcasts to [1, 1, *roi].
        process_fn: (outputs, windows, importance map) → (outputs, map), after each call. As in MONAI, results are
            divided by the maps of the first call.
        buffer_steps: Visit windows in order along `buffer_dim`, in groups of that many rows. Memory is the same; as in
            MONAI, only the first output is returned.
        buffer_dim: Spatial axis of `buffer_steps`.
        with_coord: Call predictor(windows, coordinates, …): each [batch slice, slice(None), *padded image slices].
        args: Further arguments of the predictor.
        grid: Placement of windows: monai, clara or nnunet. clara pads at the end, the others on both sides.
        kwargs: Further arguments of the predictor; windows are cut from a `condition`, too.

    Returns:
        Means in the predictor's structure and the inputs' library and dtype (float32 for integers).

    Raises:
        ValueError: Arguments or outputs do not fit, or the inputs' device does not support them.
        ConfigError: Inputs on a CUDA device without CuPy.
    """
    own_overlap = None if overlap is _OVERLAP else overlap
    weighting = (_name(mode), sigma_scale, _name(padding_mode), cval, progress, roi_weight_map, process_fn)
    options = Options(roi_size, sw_batch_size, own_overlap, *weighting, buffer_steps, buffer_dim, with_coord, grid)
    caller = exchange(inputs, sw_device, device)
    with caller.in_order():
        return scan(caller, Predictor(predictor, args, kwargs), options)


def exchange(inputs: CallerArray, sw_device: object = None, device: object = None) -> Exchange:
    """The exchange for the kind and the device of `inputs`.

    Raises:
        ValueError: `inputs` cannot be read.
        ConfigError: inputs on a CUDA device without CuPy.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(inputs, torch.Tensor):
        if inputs.is_cuda and (device is None or torch.device(device).type == "cuda"):
            return TorchDeviceExchange(inputs, sw_device, device)
        return TorchExchange(inputs, sw_device, device)
    if on_device(inputs):
        return DeviceExchange(inputs, sw_device, device)
    return NumpyExchange(inputs, sw_device, device)


def _name(value: object) -> str:
    """A string, or the value of an enumeration of strings."""
    return str(getattr(value, "value", value)).lower()
