"""Imports at the start of a command, without Python's collector of reference cycles.

The modules of a run make some hundred thousand objects that stay until the end. To look through them again and again
takes a fifth of the time until the first request.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

_ALLOCATIONS = 100_000
"""New objects after which a command collects: with Python's default of some hundreds, a run does so a hundred times."""


class _Process:
    """Whether this process is a command of this package. The collector of another program is left alone."""

    is_command = False


def begin_command() -> None:
    """Say that this process runs a command of this package and nothing else."""
    _Process.is_command = True
    gc.set_threshold(_ALLOCATIONS)  # between calls of `preload`, too
    # Once Numba is loaded, the collection with which the interpreter ends takes more than 0.3 s, longer than reading a
    # CT, and the operating system frees the memory anyway. Threads are still joined, and exit handlers of Python and of
    # C libraries still run. Registered before any other handler, so that it runs after them.
    atexit.register(gc.freeze)


def preload(name: str, *, without: str | None = None) -> None:
    """Import a module and what it imports, in a command without collections; all objects so far stay exempt from them.

    Args:
        name: of the module.
        without: a module that `name` would import for something that no command uses; it is imported later if somebody
            needs it. While there are other threads, which may need it now, it is imported as always.
    """
    if not _Process.is_command or name in sys.modules or not gc.isenabled():
        import_module(name)
        return
    gc.disable()
    try:
        with _hidden(without):
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _hidden(name: str | None) -> Iterator[None]:
    """Let `import name` fail, if it was not imported before."""
    if name is None or name in sys.modules or threading.active_count() > 1:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # documented: such an import raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]
