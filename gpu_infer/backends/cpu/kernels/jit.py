"""How kernels are compiled and started.

Kernels take arrays and tables as named tuples (`strided.Flat`, `strided.FlatTable`). They unpack them before their
`prange` loop, which takes plain variables only.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

from numba import njit
from numba.core import event

from gpu_infer.backends.cpu.kernels.cache import CACHE
from gpu_infer.backends.cpu.kernels.entry_code import EntryCode
from gpu_infer.backends.cpu.kernels.machine_code import MachineCode
from gpu_infer.backends.cpu.kernels.strided import Buffer as Buffer
from gpu_infer.errors import ConfigError
from gpu_infer.system.notices import NOTICE

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def compiled(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: compile with Numba at the first call, with its options; the machine code goes to the cache folder.

    No compiled function calls one that is parallel, or that `serial` makes.
    """
    return _compiled(EntryCode if options.get("parallel") else MachineCode, options)


def _compiled(cache: type[MachineCode], options: dict[str, Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorator(function: Callable[P, R]) -> Callable[P, R]:
        dispatcher: Any = njit(nogil=True, **options)(function)
        if CACHE:
            dispatcher._cache = _files_of(function, cache)  # as `enable_caching` does with its class
        compiles: Callable[P, R] = dispatcher
        return compiles

    return decorator


def _files_of(function: Callable[..., Any], cache: type[MachineCode]) -> MachineCode:
    try:
        return cache(function)
    except RuntimeError as error:  # Numba finds no place for the files
        raise ConfigError(
            f"no place for compiled kernels: {' '.join(str(error).split())}",
            remedy="leave NUMBA_CACHE_LOCATOR_CLASSES unset, and set NUMBA_CACHE_DIR to a folder that can be written",
        ) from error


kernel = compiled(parallel=True)
"""A kernel that a backend starts: threads share the passes of its `prange` loop."""

sequential = _compiled(EntryCode, {})
"""A kernel that a backend starts on the calling thread alone."""

helper = compiled()
"""A function that kernels call."""


def serial(threaded: Callable[P, R]) -> Callable[P, R]:
    """`threaded`, a kernel, compiled for the calling thread alone: for at most `FEW` voxels, and without `LAUNCH`."""
    original = threaded.py_func  # type: ignore[attr-defined]
    named = FunctionType(original.__code__, original.__globals__, f"{original.__name__}_serial")
    named.__qualname__, named.__module__ = named.__name__, original.__module__  # the cache goes by these
    return sequential(named)


class _Compilations(event.Listener):  # type: ignore[misc]
    """Logs each kernel of this package that Numba compiles, with its number; kernels from its cache start no event.

    The functions that a kernel calls are compiled within its own event, and are not logged.
    """

    def __init__(self) -> None:
        self._open = threading.local()
        self._numbers = itertools.count(1)

    def on_start(self, event: Any) -> None:
        function = event.data["dispatcher"].py_func
        if not _is_kernel(function):
            return
        depth = getattr(self._open, "depth", 0)
        if depth == 0:
            once = " (once)" if CACHE else ""
            log.info("compiling kernel %d%s: %s", next(self._numbers), once, function.__name__, extra=NOTICE)
        self._open.depth = depth + 1

    def on_end(self, event: Any) -> None:
        if _is_kernel(event.data["dispatcher"].py_func):
            self._open.depth -= 1


def _is_kernel(function: Callable[..., Any]) -> bool:
    module: str | None = function.__module__  # None: a function of the caller that `exec` made
    return module is not None and module.startswith(__package__)


event.register("numba:compile", _Compilations())
