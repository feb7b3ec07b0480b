"""The GPU backend: CuPy arrays, the kernels of kernels/*.cu. The CPU backend is its definition.

The backend queues its work on its own stream. Every method orders that stream after the caller's current stream, and
the caller's after it, so that arrays may be used in between as any CuPy array. Methods return before the work is done;
`fence` and `download` wait. Operations may be called from any thread.

Only this package imports CuPy, and nothing imports this package unless the GPU is chosen.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.backends.gpu.arrays import ArrayOperations
from gpu_infer.backends.gpu.device.counters import DeviceCounters
from gpu_infer.backends.gpu.device.device import Device
from gpu_infer.backends.gpu.device.identity import Identity, identity_of
from gpu_infer.backends.gpu.device.memory import DeviceBlock
from gpu_infer.backends.gpu.early_upload import EarlyUpload
from gpu_infer.backends.gpu.filters import GpuFilterOperations
from gpu_infer.backends.gpu.histograms import GpuHistogramOperations
from gpu_infer.backends.gpu.label_statistics import GpuLabelStatisticsOperations
from gpu_infer.backends.gpu.labels import GpuLabelOperations
from gpu_infer.backends.gpu.masks import GpuMaskOperations
from gpu_infer.backends.gpu.prepare import GpuPrepareOperations
from gpu_infer.backends.gpu.ranges import GpuRangeOperations
from gpu_infer.backends.gpu.scores import GpuScoreOperations
from gpu_infer.backends.gpu.taps import GpuTapOperations
from gpu_infer.backends.gpu.windows import GpuWindowOperations
from gpu_infer.backends.types import DeviceArray, HostArray

log = logging.getLogger(__name__)

TIE_BAND = 1e-5
"""Voxels whose best and second-best summed scores differ by no more are counted as ties, and those with a mean score
that differs by no more from its threshold: the model's rounding decides there, and the backends may differ if the model
ran on different devices."""


class GpuBackend(
    GpuPrepareOperations,
    GpuRangeOperations,
    GpuHistogramOperations,
    GpuTapOperations,
    GpuWindowOperations,
    GpuLabelOperations,
    GpuLabelStatisticsOperations,
    GpuMaskOperations,
    GpuScoreOperations,
    GpuFilterOperations,
    ArrayOperations,
    Backend,
):
    """`Backend` on the current CUDA device. Raises ConfigError if there is none, DeviceError if it cannot be used."""

    name = "gpu"
    has_device_memory = True

    def __init__(self, *, tie_band: float = TIE_BAND) -> None:
        super().__init__(Device(), tie_band)
        self.device = self._device.number

    def __repr__(self) -> str:
        return f"GpuBackend(device={self.device}, sm_{self._device.kernels.architecture})"

    def identity(self) -> Identity:
        """See `Backend.identity`. Raises DeviceError if CUDA fails."""
        with self._device.section("identity"):
            return identity_of(self.device)

    def warm_up(self) -> None:
        """Load every kernel, compile those that no cache holds, and pin the memory that copies go through."""
        with self._device.section("warm_up"):
            self._device.kernels.load_all()
            place = self._device.allocate((1,), np.uint8)
            for copies in (self._device.staging, self._device.upload_buffer):
                copies.upload(np.zeros(1, np.uint8), place.data.ptr, self._device.stream)

    def missing_kernels(self) -> list[str]:
        """See `Backend.missing_kernels`."""
        return self._device.kernels.missing()

    def start_run(self) -> None:
        """See `Backend.start_run`. The peak of memory starts at what is in use now."""
        with self._device.section("start_run"):
            self._device.counters = DeviceCounters(
                allocations_before=self._device.memory.allocations,
                compiled_before=self._device.kernels.compiled,
                loaded_before=self._device.kernels.loaded,
            )
            self._device.memory.forget_peak()
            if self._tallies is not None:
                self._tallies.data.memset_async(0, self._tallies.nbytes, self._device.stream)

    def counters(self) -> dict[str, int | float]:
        """See `Backend.counters`; the counters are those of `device.counters.DeviceCounters`."""
        tied = 0
        if self._tallies is not None:
            with self._device.section("counters"):
                tied = int(self._device.small_download(self._tallies)[0])
        memory, kernels = self._device.memory, self._device.kernels
        return {
            **self._device.counters.summary(memory.allocations, kernels.compiled, kernels.loaded),
            "peak_device_bytes": memory.peak,
            "tied_voxels": tied,
            "tie_band": self.tie_band,
        }

    # -- memory -------------------------------------------------------------------------------------------------
    def upload(self, host: HostArray) -> DeviceArray:
        """See `Backend.upload`; gaps between elements are not copied."""
        with self._device.section("upload"):
            self._device.counters.bytes_up += host.nbytes
            return self._device.uploaded(host)

    def open_upload(self) -> Upload:
        """See `Backend.open_upload`."""
        return EarlyUpload(self.upload, self._device)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """See `Backend.empty`."""
        with self._device.section("empty"):
            return self._device.allocate(shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """See `Backend.zeros`."""
        with self._device.section("zeros"):
            return self._device.zeroed(shape, dtype)

    def download(self, array: DeviceArray) -> HostArray:
        """See `Backend.download`. Waits for the work that was queued before."""
        if isinstance(array, np.ndarray):
            return array
        with self._device.section("download"):
            self._device.counters.bytes_down += array.nbytes
            return self._device.downloaded(self._dense(array))

    def free_bytes(self) -> int:
        """See `Backend.free_bytes`."""
        with self._device.section("free_bytes"):
            return self._device.memory.free_bytes()

    def reserve(self, nbytes: int, *, beside: int = 0) -> None:
        """Take `nbytes` from the driver at once, so that the operations of a run allocate nothing.

        beside  bytes to leave free, for a `device_arena` that is allocated later
        """
        with self._device.section("reserve"):
            self._device.memory.reserve(nbytes, beside)

    def device_arena(self, nbytes: int) -> DeviceBlock:
        """See `Backend.device_arena`. Raises ResourceError if the device has too little memory."""
        with self._device.section("device_arena"):
            return self._device.memory.block(nbytes)

    def fence(self) -> None:
        """Wait for an event after everything that was queued here, not for the whole device."""
        self._device.wait()


@functools.cache
def shared_backend() -> GpuBackend:
    """The backend of this process: its memory, kernels and pinned buffers serve one run after the other."""
    return GpuBackend()
