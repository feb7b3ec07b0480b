"""How kernels are compiled and started.

Kernels take arrays and tables as named tuples (`strided.Flat`, `strided.FlatTable`). They unpack them before their
`prange` loop, which takes plain variables only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from numba import njit
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.cache import CACHE

P = ParamSpec("P")
R = TypeVar("R")

LAUNCH = threading.Lock()
"""Held while a parallel kernel runs: not all of Numba's threading layers allow two threads to start one at once."""

Buffer = NDArray[Any]
"""A flat array of numbers of any dtype."""


def compiled(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: compile with Numba at the first call, with its options; the machine code goes to the cache folder."""
    decorator: Callable[[Callable[P, R]], Callable[P, R]] = njit(nogil=True, cache=CACHE, **options)
    return decorator


kernel = compiled(parallel=True)
"""A kernel that a backend starts: threads share the passes of its `prange` loop."""

helper = compiled()
"""A function that kernels call."""
