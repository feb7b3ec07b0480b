"""What starts a process: the console script `gpu-infer` and `python -m gpu_infer`."""

from __future__ import annotations

import atexit
import gc


def script() -> int:
    """The command line; returns the exit code."""
    _skip_last_collection()
    from gpu_infer.cli.main import main

    return main()


def container() -> int:
    """The container's main; returns the exit code."""
    _skip_last_collection()
    from gpu_infer.cli.main import container_main

    return container_main()


def _skip_last_collection() -> None:
    """Exempt all objects from the garbage collection with which the interpreter ends.

    Once Numba is loaded, that collection takes more than 0.3 s, longer than reading a CT, and the operating system
    frees the memory anyway. Threads are still joined, and exit handlers of Python and of C libraries still run.
    """
    atexit.register(gc.freeze)  # registered before any other handler, so that it runs after them
