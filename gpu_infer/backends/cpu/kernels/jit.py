"""How kernels are compiled and started.

Kernels take arrays and tables as named tuples (`strided.Flat`, `strided.FlatTable`). They unpack them before their
`prange` loop, which takes plain variables only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from numba import njit
from numba.core import event
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.cache import CACHE
from gpu_infer.system.notices import NOTICE

log = logging.getLogger(__name__)

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


class _FirstCompilation(event.Listener):  # type: ignore[misc]
    """Logs once per process that Numba compiles a kernel of this package; kernels from its cache start no event."""

    def __init__(self) -> None:
        self._logged = False

    def on_start(self, event: Any) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if not self._logged and module.startswith(__package__):
            self._logged = True
            log.info("compiling kernels%s", " (once)" if CACHE else "", extra=NOTICE)

    def on_end(self, event: Any) -> None:
        """Nothing to do."""


event.register("numba:compile", _FirstCompilation())
