"""Filters of whole channels by scikit-image and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.backends.base.filters import FilterOperations
from gpu_infer.backends.filters import FilterName, library_function
from gpu_infer.backends.types import HostArray


class CpuFilterOperations(FilterOperations):
    def _library_filter(self, name: FilterName, source: HostArray, out: HostArray, arguments: dict[str, Any]) -> None:
        function = library_function(name, "cpu")
        out[...] = function(np.ascontiguousarray(source), **arguments)
