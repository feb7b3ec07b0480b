"""Threads that work for one ring after another.

An HTTP client drives its sockets with an event loop of gevent that belongs to a thread. The end of a thread does not
free all of its loop, so the memory of a process that makes a ring for every case would grow.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

_lock = threading.Lock()
_idle: list[LastingThread] = []


class LastingThread(threading.Thread):
    """Runs one task after another. A daemon: a task that hangs must not prevent the end of the interpreter."""

    def __init__(self) -> None:
        super().__init__(name="slot", daemon=True)
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.process = os.getpid()

    def give(self, task: Callable[[], None]) -> None:
        """Run `task`, which must raise nothing, after the previous one has ended."""
        self._tasks.put(task)

    def run(self) -> None:
        while True:
            self._tasks.get()()  # in no variable, so that a task that has ended is freed
            with _lock:
                _idle.append(self)


def run_in_thread(task: Callable[[], None]) -> None:
    """Run `task` in an idle thread, or in a new one."""
    with _lock:
        _idle[:] = [thread for thread in _idle if thread.process == os.getpid()]  # a fork has none of its parent's
        thread = _idle.pop() if _idle else None
    if thread is None:
        thread = LastingThread()
        thread.start()
    thread.give(task)
