"""Arrays in and out of the library: NumPy inside, CuPy for what lies on a CUDA device, and for the caller what came in.

A torch tensor is met only by a caller who has imported torch already; it is read without a copy. Gradients are not
followed.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.compat.arrays import on_device, without_gradients
from gpu_infer.compat.sliding_window.device_exchange import DeviceExchange, TorchDeviceExchange, misfit
from gpu_infer.compat.sliding_window.layout import Layout, Sizes, Source
from gpu_infer.compat.sliding_window.stitching import Stitched, nearest_weights


class HostExchange(ABC):
    """Windows and sums in host memory, for any kind of caller."""

    images: NDArray[Any]

    def in_order(self) -> AbstractContextManager[None]:
        """For the length of a call: host memory has no streams."""
        return nullcontext()

    @abstractmethod
    def values(self, array: Any) -> NDArray[Any]:
        """`array` of the caller's kind as NumPy values, without a copy where its memory allows."""

    def source(self, images: NDArray[Any], windows: Layout, mode: str, cval: float) -> Source:
        return Source(images, windows, mode, cval)

    def stitched(
        self, windows: Layout, images: int, channels: int, shape: Sizes, weights: NDArray[np.float32] | None
    ) -> Stitched:
        return Stitched(windows, images, channels, shape, weights)

    def scores(self, values: NDArray[Any]) -> NDArray[Any]:
        """In a dtype that is blended."""
        return values if values.dtype == np.float16 else values.astype(np.float32, copy=False)

    def host_map(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map of weights made in host memory, where windows are."""
        return weights

    def weight_map(self, given: Any, roi: Sizes) -> NDArray[np.float32]:
        """float32 [*roi] of anything that broadcasts to [1, 1, *roi]."""
        values = self.values(given)
        try:
            weights = np.broadcast_to(values.astype(np.float32), (1, 1, *roi))[0, 0]
        except ValueError:
            raise misfit(values.shape, roi) from None
        return np.ascontiguousarray(weights)

    def resized(self, weights: NDArray[np.float32], shape: Sizes) -> NDArray[np.float32]:
        return nearest_weights(weights, shape)


class NumpyExchange(HostExchange):
    """For arrays that NumPy reads: `__array__` or DLPack in host memory. Windows and results are NumPy arrays."""

    def __init__(self, inputs: Any, sw_device: Any, device: Any) -> None:
        for name, value in (("sw_device", sw_device), ("device", device)):
            if value is not None and str(value) != "cpu":
                raise ValueError(f"{name}: found {value}, NumPy arrays live on the CPU: pass a torch tensor or None")
        self.images = self.values(inputs)
        self._dtype = self.images.dtype if self.images.dtype.kind == "f" else np.dtype(np.float32)

    def values(self, array: Any) -> NDArray[Any]:
        """On the host; ValueError where that cannot be."""
        try:
            if not hasattr(array, "__array__") and hasattr(array, "__dlpack__"):
                return np.from_dlpack(array)
            found = np.asarray(array)
        except (TypeError, BufferError, RuntimeError, ValueError) as error:
            raise ValueError(f"a {type(array).__name__} cannot be read as a NumPy array: {error}") from error
        if found.dtype.kind not in "biuf":
            raise ValueError(f"expected an array of real numbers, found {type(array).__name__} of {found.dtype}")
        return found

    def given(self, window: NDArray[Any]) -> Any:
        """What the predictor gets."""
        return window

    def result(self, array: NDArray[np.float32]) -> Any:
        """What the caller gets: the inputs' dtype where that is a float, else float32."""
        return array.astype(self._dtype, copy=False)


class TorchExchange(HostExchange):
    """For torch tensors. Windows go to `sw_device`, results to `device`, both by default where the inputs are."""

    def __init__(self, inputs: Any, sw_device: Any, device: Any) -> None:
        self._torch = sys.modules["torch"]
        without_gradients(self._torch, inputs)
        self._inputs = inputs
        self._sw_device = sw_device or inputs.device
        self._device = device or inputs.device
        self.images = self.values(inputs)

    def values(self, array: Any) -> NDArray[Any]:
        """On the host; bfloat16 as float32."""
        if not isinstance(array, self._torch.Tensor):
            return np.asarray(array)
        plain = array.detach().cpu()
        if plain.dtype == self._torch.bfloat16:
            plain = plain.float()
        values: NDArray[Any] = plain.numpy()
        return values

    def given(self, window: NDArray[Any]) -> Any:
        tensor = self._torch.from_numpy(window)
        dtype = self._inputs.dtype if self._inputs.dtype == self._torch.bfloat16 else tensor.dtype
        return tensor.to(device=self._sw_device, dtype=dtype)

    def result(self, array: NDArray[np.float32]) -> Any:
        dtype = self._inputs.dtype if self._inputs.dtype.is_floating_point else self._torch.float32
        tensor = self._torch.from_numpy(array).to(device=self._device, dtype=dtype)
        if hasattr(self._inputs, "copy_meta_from"):  # MONAI's MetaTensor carries its affine along
            return type(self._inputs)(tensor).copy_meta_from(self._inputs, copy_attr=False)
        return tensor


Exchange = NumpyExchange | TorchExchange | DeviceExchange


def exchange(inputs: Any, sw_device: Any = None, device: Any = None) -> Exchange:
    """How to talk to the caller of `inputs`.

    Raises ValueError for what cannot be read, ConfigError for inputs on a CUDA device where CuPy is missing.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(inputs, torch.Tensor):
        if inputs.is_cuda and (device is None or torch.device(device).type == "cuda"):
            return TorchDeviceExchange(inputs, sw_device, device)
        return TorchExchange(inputs, sw_device, device)
    if on_device(inputs):
        return DeviceExchange(inputs, sw_device, device)
    return NumpyExchange(inputs, sw_device, device)
