"""The memory that Python and NumPy allocate while a function runs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def traced(function: Callable[[], T]) -> tuple[T, int]:
    """The result, and the most bytes that were allocated at a time, without those that existed before."""
    tracemalloc.start()
    try:
        result = function()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
