"""Numba's cache of machine code, read without the preparations of its compiler."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba.core.caching import FunctionCache
from numba.core.runtime import _nrt_python

from gpu_infer.backends.cpu.kernels.kernel_files import KernelFiles
from gpu_infer.errors import GpuInferError

log = logging.getLogger(__name__)


class NotCached(Exception):
    """A kernel that would have to be compiled, within `cached_only`."""


_of_thread = threading.local()


@contextmanager
def cached_only() -> Iterator[None]:
    """In this thread, raise NotCached for a kernel that the cache lacks, instead of compiling it."""
    _of_thread.cached_only = True
    try:
        yield
    finally:
        _of_thread.cached_only = False


class MachineCode(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function.

    Before it reads a file, Numba's own class loads all that its compiler knows about Python and NumPy, which takes
    longer than the kernels of a run. Machine code needs only the addresses of Numba's functions in C; the compiler
    still loads the rest when there is something to compile.

    Numba's own class also fails for good at a file that a full disk or a lost power supply has cut; here the function
    is compiled again, and the file replaced. If it cannot be, the function is compiled in each process.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = (self._impl.locator.get_source_stamp(), _sources())
        self._cache_file = KernelFiles(self.cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The function compiled for a signature, or None. Raises NotCached instead of None within `cached_only`."""
        loaded = self._load_or_flush(sig, target_context)
        if loaded is None and getattr(_of_thread, "cached_only", False):
            raise NotCached(self._name)
        return loaded

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the function compiled for a signature, with a warning if that is impossible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            reason = error.strerror or str(error)
            log.warning("%s: cannot be written (%s): its kernel is not kept", self._cache_file._index_path, reason)
            self.disable()

    def _load_or_flush(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._load(sig, target_context)
        except (GpuInferError, MemoryError):  # GpuInferError includes interrupts
            raise
        except Exception as error:  # damaged pickles and machine code raise many types
            log.warning(
                "%s: damaged (%s): its kernel is compiled again", self._cache_file._index_path, type(error).__name__
            )
            try:
                self.flush()
            except OSError:
                self.disable()  # or it would be read again, in front of writing
            return None

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            _know_addresses()
        except (AttributeError, TypeError):  # names within Numba, which another version may change
            log.debug("this Numba has no table of its functions in C", exc_info=True)
            return super().load_overload(sig, target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def _sources() -> str:
    """Stands for the sources of all kernels, and of the constants that they contain.

    Numba's own class looks at the module of a kernel alone, so that an update of a helper in another module, which is a
    part of the kernel's code, would have no effect.
    """
    digest, kernels = hashlib.sha256(), Path(__file__).parent
    for path in sorted((*kernels.glob("*.py"), *kernels.parents[1].glob("*.py"))):
        digest.update(b"%d %b" % (path.stat().st_size, path.read_bytes()))
    return digest.hexdigest()


_known: list[bool] = []


def _know_addresses() -> None:
    """Name Numba's functions in C to LLVM, as Numba's runtime does when it begins to compile."""
    if _known:
        return
    for name, address in _nrt_python.c_helpers.items():
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    _known.append(True)
