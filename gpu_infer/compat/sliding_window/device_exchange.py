"""Callers whose arrays are on a CUDA device: windows, sums and results stay there."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.compat.arrays import (
    CallerArray,
    DeviceArray,
    Tensor,
    cupy_of_tensor,
    gpu_exchange,
    refuse_gradients,
    tensor_of_cupy,
    torch_stream,
)
from gpu_infer.compat.sliding_window.device_source import DeviceWindowSource
from gpu_infer.compat.sliding_window.device_stitching import DeviceWindowSums
from gpu_infer.compat.sliding_window.exchange import Exchange, weight_map_error
from gpu_infer.compat.sliding_window.layout import Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import Output, nearest_index


class DeviceExchange(Exchange):
    """For CuPy arrays, and arrays with DLPack or the CUDA array interface. Everything is on the inputs' device."""

    def __init__(self, inputs: CallerArray, sw_device: object, device: object) -> None:
        self._inputs = inputs
        self._gpu = gpu_exchange()
        self.images = self._cupy(inputs)
        self.backend = self._gpu.backend_of(self.images)
        self._check_devices(sw_device, device)

    def _check_devices(self, sw_device: object, device: object) -> None:
        here = ("cuda", f"cuda:{self.backend.device}")
        for name, value in (("sw_device", sw_device), ("device", device)):
            if value is not None and str(value) not in here:
                raise ValueError(f"{name}: found {value}, windows and results stay on the inputs' device, {here[1]}")

    def _cupy(self, array: CallerArray) -> DeviceArray:
        values = self._gpu.received(array)
        if values.dtype.kind not in "biuf":
            raise ValueError(f"expected an array of real numbers, found {type(array).__name__} of {values.dtype}")
        return values

    def in_order(self) -> AbstractContextManager[None]:
        """Nothing to do: every operation joins CuPy's current stream, which is the caller's."""
        return nullcontext()

    def values(self, array: CallerArray) -> DeviceArray:
        values = self._cupy(array)
        if values.device.id != self.backend.device:
            raise ValueError(f"found an array on cuda:{values.device.id}, the inputs are on cuda:{self.backend.device}")
        return values

    def predictor_input(self, window: DeviceArray) -> CallerArray:
        return self._gpu.returned(window, self._inputs)

    def result(self, mean: DeviceArray) -> CallerArray:
        """In the inputs' library; `DeviceWindowSums.mean` has already the dtype."""
        return self._gpu.returned(mean, self._inputs)

    @property
    def result_dtype(self) -> np.dtype[Any]:
        return self.images.dtype.newbyteorder("=") if self.images.dtype.kind == "f" else np.dtype(np.float32)

    def window_source(self, images: DeviceArray, windows: Layout, mode: str, cval: float) -> DeviceWindowSource:
        return DeviceWindowSource(self.backend, images, windows, mode, cval)

    def window_sums(self, windows: Layout, output: Output, weights: DeviceArray | None) -> DeviceWindowSums:
        return DeviceWindowSums(self.backend, self.result_dtype, windows, output, weights)

    def scores(self, values: DeviceArray) -> DeviceArray:
        if values.dtype in (np.float16, np.float32) and values.dtype.isnative:
            return values
        out = self.backend.empty(values.shape, np.float32)
        self.backend.convert(values, out)
        return out

    def from_host(self, weights: NDArray[np.float32]) -> DeviceArray:
        return self.backend.upload(weights)

    def weight_map(self, array: CallerArray, roi: Sizes) -> DeviceArray:
        """float32 [*roi] of a NumPy array or one on the device that broadcasts to [1, 1, *roi]."""
        values = self.backend.upload(array) if isinstance(array, np.ndarray) else self.values(array)
        if values.ndim > 2 + len(roi):
            raise weight_map_error(values.shape, roi)
        values = values[(None,) * (2 + len(roi) - values.ndim)]
        if any(n not in (1, r) for n, r in zip(values.shape, (1, 1, *roi), strict=True)):
            raise weight_map_error(values.shape, roi)
        out = self.backend.empty((1, 1, *roi), np.float32)
        self.backend.convert(values, out)
        return out[0, 0]

    def resize(self, weights: DeviceArray, shape: Sizes) -> DeviceArray:
        out = self.backend.empty(shape, np.float32)
        tables = [self.backend.index_line(index) for index in nearest_index(weights.shape, shape)]
        self.backend.take(weights, out, tables)
        return out


class TorchDeviceExchange(DeviceExchange):
    """For torch tensors on a CUDA device. Windows go to `sw_device`; outputs may come back from there."""

    def __init__(self, inputs: Tensor, sw_device: object, device: object) -> None:
        self._torch = sys.modules["torch"]
        refuse_gradients(self._torch, inputs)
        self._sw_device = sw_device or inputs.device
        self._device = device or inputs.device
        super().__init__(inputs, sw_device, device)

    def _check_devices(self, sw_device: object, device: object) -> None:
        """Accept any device: torch copies to it."""

    def in_order(self) -> AbstractContextManager[None]:
        """Make torch's current stream CuPy's too: all work is in order, and no other stream waits."""
        return torch_stream(self._torch, self._inputs.device)

    def _cupy(self, array: CallerArray) -> DeviceArray:
        if not isinstance(array, self._torch.Tensor):
            return super()._cupy(array)
        return super()._cupy(cupy_of_tensor(self._torch, array.to(self._inputs.device)))

    def predictor_input(self, window: DeviceArray) -> Tensor:
        return self._tensor(window).to(self._sw_device)

    def result(self, mean: DeviceArray) -> Tensor:
        tensor = self._tensor(mean).to(self._device)
        if hasattr(self._inputs, "copy_meta_from"):  # MONAI's MetaTensor has an affine
            return type(self._inputs)(tensor).copy_meta_from(self._inputs, copy_attr=False)
        return tensor

    def _tensor(self, array: DeviceArray) -> Tensor:
        tensor = tensor_of_cupy(self._torch, array)
        return tensor.to(self._inputs.dtype) if self._inputs.dtype == self._torch.bfloat16 else tensor
