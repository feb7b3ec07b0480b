"""Filters of whole channels by cuCIM and CuPy, on the backend's stream and in its memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.backends.base.filters import FilterOperations
from gpu_infer.backends.filters import FilterName, library_function
from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.types import DeviceArray


class GpuFilterOperations(Operations, FilterOperations):
    def _library_filter(
        self, name: FilterName, source: DeviceArray, out: DeviceArray, arguments: dict[str, Any]
    ) -> None:
        function = library_function(name, "gpu")
        with self._device.section(name), cupy.cuda.using_allocator(self._device.memory.take):
            dense = source
            if not source.flags.c_contiguous:
                dense = self._device.allocate(source.shape, source.dtype)
                self._compact(source, dense)
            given = {
                key: self._device.small_upload(value) if isinstance(value, np.ndarray) else value
                for key, value in arguments.items()
            }
            self._compact(function(dense, **given).view(out.dtype), out)
