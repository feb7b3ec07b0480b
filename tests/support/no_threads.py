"""A process that has as many threads as it may have."""

from __future__ import annotations

import threading


def refuse_thread(thread: threading.Thread) -> None:
    """In place of `Thread.start`."""
    raise RuntimeError("can't start new thread")
