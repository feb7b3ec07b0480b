"""Interface between `sliding_window_inference` and its caller's arrays.

`HostExchange` computes in host memory with NumPy, `DeviceExchange` on a CUDA device with CuPy. Results have the
library, and if possible the dtype, of the inputs. Gradients are not followed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpu_infer.compat.arrays import CallerArray
from gpu_infer.compat.sliding_window.layout import Group, Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import Output, WindowSums

Values: TypeAlias = Any
"""`numpy.ndarray` of a host exchange, `cupy.ndarray` of a device exchange."""


class WindowSource(Protocol):
    """Cuts windows out of images."""

    def take(self, group: Group) -> Values:
        """[N, C, *roi] of the group's windows, in new memory."""
        ...


class Exchange(ABC):
    """Converts arrays of one kind of caller, and computes where they are.

    images  the inputs [B, C, *spatial]
    """

    images: Values

    @abstractmethod
    def in_order(self) -> AbstractContextManager[None]:
        """Order the work of one call with the caller's own work on the device."""

    @abstractmethod
    def values(self, array: CallerArray) -> Values:
        """An array of the caller, without a copy if possible.

        Raises:
            ValueError: it cannot be read, or is on another device.
        """

    @abstractmethod
    def predictor_input(self, window: Values) -> CallerArray:
        """Windows as the predictor expects them: arrays of the inputs' library."""

    @abstractmethod
    def result(self, mean: Values) -> CallerArray:
        """A result in the inputs' library and dtype; float32 if that is no float."""

    @abstractmethod
    def window_source(self, images: Values, windows: Layout, mode: str, cval: float) -> WindowSource:
        """Windows of `images`, padded by `mode`."""

    @abstractmethod
    def window_sums(self, windows: Layout, output: Output, weights: Values | None) -> WindowSums:
        """Sums of one output of the predictor."""

    @abstractmethod
    def scores(self, values: Values) -> Values:
        """`values` in float16 or float32, which the backends blend."""

    @abstractmethod
    def from_host(self, weights: NDArray[np.float32]) -> Values:
        """A weight map in host memory, copied to the device if the windows are there."""

    @abstractmethod
    def weight_map(self, array: CallerArray, roi: Sizes) -> Values:
        """float32 [*roi] of an array that broadcasts to [1, 1, *roi].

        Raises:
            ValueError: it does not broadcast.
        """

    @abstractmethod
    def resize(self, weights: Values, shape: Sizes) -> Values:
        """A weight map at the nearest samples, for outputs of another size than their window."""


def weight_map_error(shape: Sizes, roi: Sizes) -> ValueError:
    return ValueError(f"a weight map of shape {shape} does not fit windows of {roi}: one map serves all channels")
