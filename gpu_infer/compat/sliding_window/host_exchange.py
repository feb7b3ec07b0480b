"""Callers whose windows and sums are in host memory: NumPy, anything that NumPy reads, and torch on the CPU.

A torch tensor is read without a copy. torch is not imported: a caller with tensors has already done so.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.compat.arrays import CallerArray, HostArray, Tensor, refuse_gradients
from gpu_infer.compat.sliding_window.exchange import Exchange, weight_map_error
from gpu_infer.compat.sliding_window.host_stitching import HostWindowSums
from gpu_infer.compat.sliding_window.layout import Layout, Sizes
from gpu_infer.compat.sliding_window.source import HostWindowSource
from gpu_infer.compat.sliding_window.stitching import Output, nearest_weights


class HostExchange(Exchange):
    """Windows and sums in host memory, for any kind of caller."""

    images: HostArray

    def in_order(self) -> AbstractContextManager[None]:
        """Nothing to order: host memory has no streams."""
        return nullcontext()

    def window_source(self, images: HostArray, windows: Layout, mode: str, cval: float) -> HostWindowSource:
        return HostWindowSource(CpuBackend(), images, windows, mode, cval)

    def window_sums(self, windows: Layout, output: Output, weights: NDArray[np.float32] | None) -> HostWindowSums:
        return HostWindowSums(CpuBackend(), windows, output, weights)

    def scores(self, values: HostArray) -> HostArray:
        return values if values.dtype == np.float16 else values.astype(np.float32, copy=False)

    def from_host(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        return weights

    def weight_map(self, array: CallerArray, roi: Sizes) -> NDArray[np.float32]:
        values: HostArray = self.values(array)
        try:
            weights = np.broadcast_to(values.astype(np.float32), (1, 1, *roi))[0, 0]
        except ValueError:
            raise weight_map_error(values.shape, roi) from None
        return np.ascontiguousarray(weights)

    def resize(self, weights: NDArray[np.float32], shape: Sizes) -> NDArray[np.float32]:
        return nearest_weights(weights, shape)


class NumpyExchange(HostExchange):
    """For arrays that NumPy reads: `__array__` or DLPack in host memory. Windows and results are NumPy arrays."""

    def __init__(self, inputs: CallerArray, sw_device: object, device: object) -> None:
        for name, value in (("sw_device", sw_device), ("device", device)):
            if value is not None and str(value) != "cpu":
                raise ValueError(f"{name}: found {value}, NumPy arrays live on the CPU: pass a torch tensor or None")
        self.images = self.values(inputs)
        self._dtype = self.images.dtype if self.images.dtype.kind == "f" else np.dtype(np.float32)

    def values(self, array: CallerArray) -> HostArray:
        try:
            if not hasattr(array, "__array__") and hasattr(array, "__dlpack__"):
                return np.from_dlpack(array)
            values = np.asarray(array)
        except (TypeError, BufferError, RuntimeError, ValueError) as error:
            raise ValueError(f"a {type(array).__name__} cannot be read as a NumPy array: {error}") from error
        if values.dtype.kind not in "biuf":
            raise ValueError(f"expected an array of real numbers, found {type(array).__name__} of {values.dtype}")
        return values

    def predictor_input(self, window: HostArray) -> HostArray:
        return window

    def result(self, mean: NDArray[np.float32]) -> HostArray:
        return mean.astype(self._dtype, copy=False)


class TorchExchange(HostExchange):
    """For torch tensors. Windows go to `sw_device`, results to `device`, by default the inputs' device."""

    def __init__(self, inputs: Tensor, sw_device: object, device: object) -> None:
        self._torch = sys.modules["torch"]
        refuse_gradients(self._torch, inputs)
        self._inputs = inputs
        self._sw_device = sw_device or inputs.device
        self._device = device or inputs.device
        self.images = self.values(inputs)
        self._converts = self._torch.device(self._sw_device) != self._torch.device("cpu")
        self._converts |= inputs.dtype == self._torch.bfloat16

    def values(self, array: CallerArray) -> HostArray:
        """In host memory; bfloat16 as float32."""
        if not isinstance(array, self._torch.Tensor):
            return np.asarray(array)
        plain = array.detach() if array.requires_grad else array
        if not plain.is_cpu:
            plain = plain.cpu()
        if plain.dtype == self._torch.bfloat16:
            plain = plain.float()
        values: HostArray = plain.numpy()
        return values

    def predictor_input(self, window: HostArray) -> Tensor:
        tensor = self._torch.from_numpy(window)
        if not self._converts:
            return tensor
        dtype = self._inputs.dtype if self._inputs.dtype == self._torch.bfloat16 else tensor.dtype
        return tensor.to(device=self._sw_device, dtype=dtype)

    def result(self, mean: NDArray[np.float32]) -> Tensor:
        dtype = self._inputs.dtype if self._inputs.dtype.is_floating_point else self._torch.float32
        tensor = self._torch.from_numpy(mean).to(device=self._device, dtype=dtype)
        if hasattr(self._inputs, "copy_meta_from"):  # MONAI's MetaTensor has an affine
            return type(self._inputs)(tensor).copy_meta_from(self._inputs, copy_attr=False)
        return tensor
