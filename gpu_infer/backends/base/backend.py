"""The base class of both backends: `cpu/` (NumPy and Numba, the definition) and `gpu/` (CuPy, CUDA kernels).

An operation is a public method of one of the ten groups `prepare`, `ranges`, `histograms`, `taps`, `windows`, `labels`,
`label_statistics`, `masks`, `scores` and `filters`. It documents the operation, raises ValueError if shapes and dtypes
do not agree, handles empty arrays and the other special cases that need no kernel, and calls a method of the same name
with an underscore, which each backend implements.

Arrays are those of the backend (`numpy.ndarray` or `cupy.ndarray`). Views with any signed strides are accepted unless a
docstring says otherwise. Axis order is channels, X, Y, Z. No operation but a filter compiles anything per shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numpy.typing import DTypeLike

from gpu_infer.backends.base.filters import FilterOperations
from gpu_infer.backends.base.histograms import HistogramOperations
from gpu_infer.backends.base.label_statistics import LabelStatisticsOperations
from gpu_infer.backends.base.labels import LabelOperations
from gpu_infer.backends.base.masks import MaskOperations
from gpu_infer.backends.base.prepare import PrepareOperations
from gpu_infer.backends.base.ranges import RangeOperations
from gpu_infer.backends.base.scores import ScoreOperations
from gpu_infer.backends.base.taps import TapOperations
from gpu_infer.backends.base.upload import Upload
from gpu_infer.backends.base.windows import WindowOperations
from gpu_infer.backends.types import Array, HostArray, Moments, OccupiedPlanes, RollingSums, Start, Tables

__all__ = ["Array", "Backend", "Moments", "OccupiedPlanes", "RollingSums", "Start", "Tables"]


class Backend(
    PrepareOperations,
    RangeOperations,
    HistogramOperations,
    TapOperations,
    WindowOperations,
    LabelOperations,
    LabelStatisticsOperations,
    MaskOperations,
    ScoreOperations,
    FilterOperations,
    ABC,
):
    """One device's operations. All may be asynchronous on the device; `fence` orders them before another process.

    Two operations exist on one backend only, for arrays of users: `CpuBackend.interpolate`, and `take`, `linear`,
    `convert` and `divide` of `GpuBackend`.

    name               "cpu" or "gpu"
    has_device_memory  whether `device_arena` gives memory that another process can open
    """

    name: str
    has_device_memory: bool = False

    # -- memory -------------------------------------------------------------------------------------------------
    @abstractmethod
    def upload(self, host: HostArray) -> Array:
        """Copy a host array to the device, with its values, dtype, byte order and strides.

        The CPU returns `host` itself, in the native byte order. Raises ResourceError if the device has too little
        memory.
        """

    def open_upload(self) -> Upload:
        """Return an upload of one array that can begin while a reader fills the array; see `Upload`."""
        return Upload(self.upload)

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Allocate an array without setting its values. Raises ResourceError if the device has too little memory."""

    @abstractmethod
    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Allocate an array of zeros. Raises ResourceError if the device has too little memory."""

    @abstractmethod
    def download(self, array: Array) -> HostArray:
        """Copy an array to the host, with the same shape and memory order (no copy on the CPU)."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Memory that an allocation can still take on this device, in bytes."""

    @abstractmethod
    def fence(self) -> None:
        """Return when everything written so far can be read by another process."""

    def warm_up(self) -> None:
        """Load every kernel, and compile those that no cache holds. Nothing on the CPU: see `cpu.warm_up`."""
        return

    def load_ahead(
        self, stored: DTypeLike, model: DTypeLike, gathered: int, blended: int
    ) -> AbstractContextManager[object]:
        """Begin to load, in a thread, kernels that a run will need; the end of the context ends the thread.

        Nothing on a GPU, which loads kernels in less time.

        Args:
            stored: Of the volume's voxels.
            model: Of the model's input.
            gathered: Voxels in the input of a request, of all its windows and channels.
            blended: Voxels in its output.
        """
        return nullcontext()

    def bytes_to_load(self) -> int:
        """Host memory that libraries take when the first operation imports them; 0 if they are imported."""
        return 0

    # -- what only a device has ---------------------------------------------------------------------------------
    def start_run(self) -> None:
        """Reset the counters of a run; memory and kernels stay. Does nothing on the CPU."""
        return

    def reserve(self, nbytes: int, *, beside: int = 0) -> None:
        """Take `nbytes` for a run from the driver in one piece, and leave `beside` bytes free. Nothing on the CPU."""
        return

    def missing_kernels(self) -> list[str]:
        """Modules of kernels that the next run compiles, which takes seconds. Empty on the CPU."""
        return []

    def counters(self) -> dict[str, int | float]:
        """What the device has counted since `start_run`: bytes over the bus, allocations, ties. Empty on the CPU."""
        return {}

    def identity(self) -> Any:
        """Which card this is, in terms that can be compared with another process's; None on the CPU."""
        return None

    def device_arena(self, nbytes: int) -> Any:
        """Allocate device memory of `nbytes` that another process can open; None on the CPU."""
        return None
