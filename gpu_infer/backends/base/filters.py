"""Filters of whole channels, computed by libraries: the table is `backends/filters.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpu_infer.backends.filters import FILTERS, FilterName
from gpu_infer.backends.types import Array, TwinArray


class FilterOperations(ABC):
    """The public operation of this group, and what a backend implements for it."""

    def library_filter(self, name: FilterName, source: Array, out: Array, **arguments: Any) -> None:
        """out = the filter of each channel of `source`.

        Args:
            name: A member of the table.
            source: [C, X, Y, Z] of the member's dtype, any strides.
            out: The same shape and dtype; another array than `source`.
            arguments: Of the library's function. Host arrays (footprints) are uploaded.

        On a GPU whose library is missing, the host computes it: `filters_on_host`.

        Raises:
            ValueError: If shapes or dtypes do not agree.
            ConfigError: If the library is not installed.
            ResourceError: If memory is short.
        """
        kind = np.dtype(FILTERS[name].dtype)
        if source.ndim != 4 or source.shape != out.shape:
            raise ValueError(f"{name} takes [C, X, Y, Z] twice, found {source.shape} and {out.shape}")
        if source.dtype != kind or out.dtype != kind:
            raise ValueError(f"{name} takes and writes {kind}, found {source.dtype} and {out.dtype}")
        if not out.size:
            return
        for channel in range(source.shape[0]):
            self._library_filter(name, source[channel], out[channel], {**FILTERS[name].constant, **arguments})

    def filters_on_host(self, names: Iterable[FilterName]) -> tuple[tuple[FilterName, str], ...]:
        """Those of `names` that run on the host because the GPU's library is missing, with the reason. CPU: none."""
        return ()

    @abstractmethod
    def _library_filter(self, name: FilterName, source: TwinArray, out: TwinArray, arguments: dict[str, Any]) -> None:
        """`library_filter` of one channel [X, Y, Z] that is not empty."""
