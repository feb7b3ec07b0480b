"""A POSIX segment for slots whose pages a thread reserves while the volume is read."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from gpu_infer.triton.shm.host_arenas import SystemArena

log = logging.getLogger(__name__)


class ArenaAhead:
    """An arena of `nbytes` that a thread makes; a context manager that removes it at the end if nobody took it.

    The system clears the pages, some 40 ms for 150 MB, without the interpreter lock. A failure is not reported, nor
    that the system allows no further thread: whoever needs the arena makes one then.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._arena: SystemArena | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="arena")
        try:
            self._thread.start()
        except RuntimeError as error:
            log.debug("the arena is not made ahead: %s", error)
            self._thread = None

    def _run(self) -> None:
        try:
            self._arena = SystemArena(self._nbytes)
        except BaseException:
            log.debug("the arena is not made ahead", exc_info=True)

    @property
    def nbytes(self) -> int:
        """Wait for the arena, and return its bytes; 0 if it was taken or could not be made."""
        self._wait()
        with self._lock:
            return 0 if self._arena is None else self._arena.nbytes

    def take(self, nbytes: int) -> SystemArena | None:
        """Wait for the arena and return it, once and if it has `nbytes`; otherwise remove it and return None."""
        self._wait()
        with self._lock:
            arena, self._arena = self._arena, None
        if arena is not None and arena.nbytes != nbytes:
            arena.close()
            return None
        return arena

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> ArenaAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take(0)
