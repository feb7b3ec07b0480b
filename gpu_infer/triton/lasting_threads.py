"""Threads that serve one ring after another.

An HTTP client drives its sockets with an event loop of gevent that belongs to a thread. Ending a thread never frees all
of its loop, so that a process which makes a ring for every case would grow.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

_lock = threading.Lock()
_idle: list[LastingThread] = []


class LastingThread(threading.Thread):
    """Runs one task after another. Daemon: a task that hangs must not keep the interpreter from ending."""

    def __init__(self) -> None:
        super().__init__(name="slot", daemon=True)
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.process = os.getpid()

    def give(self, task: Callable[[], None]) -> None:
        """Run `task`, which raises nothing, once the one before has ended."""
        self._tasks.put(task)

    def run(self) -> None:
        while True:
            self._tasks.get()()  # in no variable: a task that has ended holds nothing
            with _lock:
                _idle.append(self)


def run_in_thread(task: Callable[[], None]) -> None:
    """Start `task` in a thread that has nothing to do, or in a new one."""
    with _lock:
        _idle[:] = [thread for thread in _idle if thread.process == os.getpid()]  # a fork has none of its parent's
        thread = _idle.pop() if _idle else None
    if thread is None:
        thread = LastingThread()
        thread.start()
    thread.give(task)
