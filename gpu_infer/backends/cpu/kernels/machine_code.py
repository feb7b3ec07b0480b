"""Numba's cache of machine code, read without the preparations of its compiler."""

from __future__ import annotations

import hashlib
import logging
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba.core import environment
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime import _nrt_python

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
    is compiled again, and the file replaced.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = (self._impl.locator.get_source_stamp(), _sources())
        self._cache_file = _Files(self.cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The function compiled for a signature, or None. Raises NotCached instead of None within `cached_only`."""
        loaded = self._load_or_flush(sig, target_context)
        if loaded is None and getattr(_of_thread, "cached_only", False):
            raise NotCached(self._name)
        return loaded

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


class _Files(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one function: an index, and one file of machine code per signature.

    Numba numbers the latter, so that processes that compile different signatures at once may write one file, and a
    process that ends between its two writes leaves an index that names the code of an earlier version. Here a file's
    name follows from the sources and the signature, and the index is written last.
    """

    def save(self, key: Any, data: Any) -> None:
        name = self._data_name_of(key)
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})

    def _load_data(self, name: str) -> Any:
        with Path(self._data_path(name)).open("rb") as file:
            return _Unpickler(file).load()

    def _data_name_of(self, key: Any) -> str:
        digest = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()
        return f"{self._index_name.removesuffix('.nbi')}.{digest[:16]}.nbc"


class _Unpickler(pickle.Unpickler):
    """Reads a kernel without importing the modules of the functions of Numba that it contains, a part of its compiler.

    An environment has the globals of a function's module, but only code in Numba's object mode reads them.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (environment.__name__, "_rebuild_env") and hasattr(environment.Environment, "_memo"):
            return _environment
        return super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """What `_rebuild_env` of Numba returns, with no globals but the name of a module that is not imported."""
    known = environment.Environment._memo.get(name)
    if known is not None:
        return known
    imported = sys.modules.get(module)
    made = environment.Environment({"__name__": module} if imported is None else imported.__dict__)
    made.consts[:] = constants
    made.env_name = name
    environment.Environment._memo[name] = made
    return made


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
