"""SIGTERM and Ctrl-C as an exception, so that every `finally` on the way out runs."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from ..errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class InterruptSwitch:
    """While active, the first signal raises `Interrupted` in the main thread; the next one kills."""

    exit_code = Interrupted.exit_code

    def __init__(self) -> None:
        self.signalled = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> InterruptSwitch:
        # Only the main thread may set handlers; a caller in another one keeps its own.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(f"interrupted by {signal.Signals(number).name}", remedy="nothing was left half-written")
