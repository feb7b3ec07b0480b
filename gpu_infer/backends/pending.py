"""Creates the backend of a run in a thread, while the caller waits for the server and reads the header.

Creating a CUDA context takes up to a second, and several seconds on a host whose driver has to be initialised first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from types import TracebackType

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.choose import choose_backend

_HOLDS_A_DEVICE = frozenset({"cupy", "torch"})
"""A program that has imported one of these may have selected a device for its thread, and its driver is up."""


class PendingBackend:
    """A backend that a thread is creating; a context manager that waits for the thread to end."""

    def __init__(self, make: Callable[[], Backend]) -> None:
        self._future: Future[Backend] = Future()
        self._thread = threading.Thread(target=self._run, args=(make,), name="backend")
        self._thread.start()

    def raise_failure(self) -> None:
        """Raise the error of the thread, if it has failed by now; never waits."""
        if self._future.done():
            self._future.result()

    def result(self) -> Backend:
        """Wait for the backend. Raises the error of the thread."""
        return self._future.result()

    def _run(self, make: Callable[[], Backend]) -> None:
        try:
            self._future.set_result(make())
        except BaseException as error:
            self._future.set_exception(error)

    def __enter__(self) -> PendingBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()


def begin_backend(device: str) -> PendingBackend:
    """Begin to create what `choose_backend(device)` returns.

    No thread is used, and errors are raised here, if no GPU can be involved or the calling thread's current device
    matters.
    """
    if device == "cpu" or _HOLDS_A_DEVICE & sys.modules.keys() or find_spec("cupy") is None:
        backend = choose_backend(device)
        return PendingBackend(lambda: backend)
    return PendingBackend(lambda: choose_backend(device))
