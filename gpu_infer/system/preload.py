"""Imports at the start of a command, without Python's collector of reference cycles.

The modules of a run make some hundred thousand objects that stay until the end. To look through them again and again
takes a fifth of the time until the first request.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from gpu_infer.system.waiting_threads import wait_asleep

_ALLOCATIONS = 100_000
"""New objects after which a command collects: with Python's default of some hundreds, a run does so a hundred times."""


class _Process:
    """Whether this process is a command of this package. The collector of another program is left alone."""

    is_command = False


def begin_command() -> None:
    """Say that this process runs a command of this package and nothing else."""
    _Process.is_command = True
    wait_asleep()
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    gc.set_threshold(_ALLOCATIONS)  # between calls of `preload`, too
    # Once Numba is loaded, the collection with which the interpreter ends takes more than 0.3 s, longer than reading a
    # CT, and the operating system frees the memory anyway. Threads are still joined, and exit handlers of Python and of
    # C libraries still run. Registered before any other handler, so that it runs after them.
    atexit.register(gc.freeze)


def preload(name: str, *, without: Collection[str] = ()) -> None:
    """Import a module and what it imports, in a command without collections; all objects so far stay exempt from them.

    Args:
        name: of the module.
        without: modules that `name` would import for something that no command uses; they are imported later if
            somebody needs them. Other threads can import them meanwhile.
    """
    if not _Process.is_command or name in sys.modules or not gc.isenabled():
        import_module(name)
        return
    gc.disable()
    try:
        _FINDER.hide(without)
        import_module(name)
    finally:
        _FINDER.hide(())
        gc.freeze()
        gc.enable()


class _Finder:
    """Lets a thread's imports of the modules that it hides fail, unless they have been imported before.

    A finder of `sys.meta_path`, which stays there: a thread that looks for a module while another one shortens the list
    would miss a finder. Its abstract class would import half of the standard library.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in getattr(self._of_thread, "names", ()):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None  # another finder looks for it

    def hide(self, names: Collection[str]) -> None:
        """Hide these modules, and no others, from this thread."""
        self._of_thread.names = names


_FINDER = _Finder()
