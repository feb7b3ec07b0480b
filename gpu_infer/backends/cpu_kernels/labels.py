"""Counting labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from ..numba_cache import CACHE

_JOBS = 16
"""Pieces that threads share; each has a table of its own."""


@njit(parallel=True, nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def count_labels(labels: Any, classes: Any) -> Any:
    """int64 [classes]: how often each value occurs in the flat array `labels`, all below `classes`.

    Runs are counted before the table is touched: neighbours mostly share a label, and an increment that
    waits for the one before it costs more than the comparison.
    """
    tables = np.zeros((_JOBS, classes), np.int64)
    n = labels.size
    for job in prange(_JOBS):
        begin = job * n // _JOBS
        end = (job + 1) * n // _JOBS
        if begin < end:
            table = tables[job]
            value = labels[begin]
            since = begin
            for i in range(begin + 1, end):
                if labels[i] != value:
                    table[value] += i - since
                    value = labels[i]
                    since = i
            table[value] += end - since
    return tables.sum(axis=0)
