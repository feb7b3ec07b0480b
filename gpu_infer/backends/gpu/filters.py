"""Filters of whole channels by cuCIM and CuPy, on the backend's stream and in its memory; by the host without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpu_infer.backends.base.filters import FilterOperations
from gpu_infer.backends.filters import FilterName, filters_for_host, library_function
from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.types import DeviceArray


class GpuFilterOperations(Operations, FilterOperations):
    def filters_on_host(self, names: Iterable[FilterName]) -> tuple[tuple[FilterName, str], ...]:
        """See `FilterOperations.filters_on_host`."""
        return filters_for_host(names)

    def _library_filter(
        self, name: FilterName, source: DeviceArray, out: DeviceArray, arguments: dict[str, Any]
    ) -> None:
        with self._device.section(name):
            if filters_for_host([name]):
                self._filter_on_host(name, source, out, arguments)
            else:
                self._filter_here(name, source, out, arguments)

    def _filter_here(self, name: FilterName, source: DeviceArray, out: DeviceArray, arguments: dict[str, Any]) -> None:
        function = library_function(name, "gpu")
        with cupy.cuda.using_allocator(self._device.memory.take):
            dense = source
            if not source.flags.c_contiguous:
                dense = self._device.allocate(source.shape, source.dtype)
                self._compact(source, dense)
            given = {
                key: self._device.small_upload(value) if isinstance(value, np.ndarray) else value
                for key, value in arguments.items()
            }
            self._compact(function(dense, **given).view(out.dtype), out)

    def _filter_on_host(
        self, name: FilterName, source: DeviceArray, out: DeviceArray, arguments: dict[str, Any]
    ) -> None:
        function, counters = library_function(name, "cpu"), self._device.counters
        counters.bytes_down += source.nbytes
        host = self._device.downloaded(self._dense(source[None]))[0]
        result = function(np.ascontiguousarray(host), **arguments)
        del host
        counters.bytes_up += result.nbytes
        self._compact(self._device.uploaded(result).view(out.dtype), out)
