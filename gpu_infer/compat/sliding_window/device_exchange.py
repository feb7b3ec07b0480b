"""Callers whose arrays lie on a CUDA device: they stay there, from the windows to the result."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.compat.arrays import gpu, tensor_of, tensor_values, torch_stream, without_gradients
from gpu_infer.compat.sliding_window.device_source import DeviceSource
from gpu_infer.compat.sliding_window.device_stitching import DeviceStitched
from gpu_infer.compat.sliding_window.layout import Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import nearest_index


def misfit(shape: Sizes, roi: Sizes) -> ValueError:
    return ValueError(f"a weight map of shape {shape} does not fit windows of {roi}: one map serves all channels")


class DeviceExchange:
    """For CuPy arrays and what speaks DLPack or the CUDA array interface. All on the device of the inputs."""

    def __init__(self, inputs: Any, sw_device: Any, device: Any) -> None:
        self._given = inputs
        self._gpu = gpu()
        self.images = self._own(inputs)
        self.backend = self._gpu.backend_of(self.images)
        self._check_devices(sw_device, device)

    def _check_devices(self, sw_device: Any, device: Any) -> None:
        here = ("cuda", f"cuda:{self.backend.device}")
        for name, value in (("sw_device", sw_device), ("device", device)):
            if value is not None and str(value) not in here:
                raise ValueError(f"{name}: found {value}, windows and results stay on the inputs' device, {here[1]}")

    def _own(self, array: Any) -> Any:
        found = self._gpu.received(array)
        if found.dtype.kind not in "biuf":
            raise ValueError(f"expected an array of real numbers, found {type(array).__name__} of {found.dtype}")
        return found

    def in_order(self) -> AbstractContextManager[None]:
        """For the length of a call: CuPy's current stream is the caller's, which every operation joins by itself."""
        return nullcontext()

    def values(self, array: Any) -> Any:
        """On the device of the inputs; ValueError for another one."""
        found = self._own(array)
        if found.device.id != self.backend.device:
            raise ValueError(f"found an array on cuda:{found.device.id}, the inputs are on cuda:{self.backend.device}")
        return found

    def given(self, window: Any) -> Any:
        """What the predictor gets."""
        return self._gpu.returned(window, self._given)

    def result(self, mean: Any) -> Any:
        """What the caller gets; `DeviceStitched.mean` has given it the dtype."""
        return self._gpu.returned(mean, self._given)

    # -- the parts of the computation ----------------------------------------------------------------------------
    @property
    def result_dtype(self) -> np.dtype[Any]:
        return self.images.dtype.newbyteorder("=") if self.images.dtype.kind == "f" else np.dtype(np.float32)

    def source(self, images: Any, windows: Layout, mode: str, cval: float) -> DeviceSource:
        return DeviceSource(self.backend, images, windows, mode, cval)

    def stitched(self, windows: Layout, images: int, channels: int, shape: Sizes, weights: Any) -> DeviceStitched:
        return DeviceStitched(self.backend, self.result_dtype, windows, images, channels, shape, weights)

    def scores(self, values: Any) -> Any:
        """In a dtype that is blended."""
        if values.dtype in (np.float16, np.float32) and values.dtype.isnative:
            return values
        out = self.backend.empty(values.shape, np.float32)
        self.backend.convert(values, out)
        return out

    def host_map(self, weights: NDArray[np.float32]) -> Any:
        """A map of weights made in host memory, uploaded."""
        return self.backend.upload(weights)

    def weight_map(self, given: Any, roi: Sizes) -> Any:
        """float32 [*roi] of anything on the device, or in NumPy, that broadcasts to [1, 1, *roi]."""
        found = self.backend.upload(given) if isinstance(given, np.ndarray) else self.values(given)
        if found.ndim > 2 + len(roi):
            raise misfit(found.shape, roi)
        found = found[(None,) * (2 + len(roi) - found.ndim)]
        if any(n not in (1, r) for n, r in zip(found.shape, (1, 1, *roi), strict=True)):
            raise misfit(found.shape, roi)
        out = self.backend.empty((1, 1, *roi), np.float32)
        self.backend.convert(found, out)
        return out[0, 0]

    def resized(self, weights: Any, shape: Sizes) -> Any:
        out = self.backend.empty(shape, np.float32)
        lines = [self.backend.index_line(index) for index in nearest_index(weights.shape, shape)]
        self.backend.take(weights, out, lines)
        return out


class TorchDeviceExchange(DeviceExchange):
    """For torch tensors on a CUDA device. Windows go to `sw_device`, outputs may come back from there."""

    def __init__(self, inputs: Any, sw_device: Any, device: Any) -> None:
        self._torch = sys.modules["torch"]
        without_gradients(self._torch, inputs)
        self._sw_device = sw_device or inputs.device
        self._device = device or inputs.device
        super().__init__(inputs, sw_device, device)

    def _check_devices(self, sw_device: Any, device: Any) -> None:
        """Any: the caller names where torch is to copy."""

    def in_order(self) -> AbstractContextManager[None]:
        """For the length of a call: torch's current stream is CuPy's too, and no other one has to wait for it."""
        return torch_stream(self._torch, self._given.device)

    def _own(self, array: Any) -> Any:
        if not isinstance(array, self._torch.Tensor):
            return super()._own(array)
        return super()._own(tensor_values(self._torch, array.to(self._given.device)))

    def given(self, window: Any) -> Any:
        return self._tensor(window).to(self._sw_device)

    def result(self, mean: Any) -> Any:
        tensor = self._tensor(mean).to(self._device)
        if hasattr(self._given, "copy_meta_from"):  # MONAI's MetaTensor carries its affine along
            return type(self._given)(tensor).copy_meta_from(self._given, copy_attr=False)
        return tensor

    def _tensor(self, array: Any) -> Any:
        tensor = tensor_of(self._torch, array)
        return tensor.to(self._given.dtype) if self._given.dtype == self._torch.bfloat16 else tensor
