"""SIGTERM, SIGINT, SIGHUP and SIGQUIT as an exception, so that every `finally` on the way out runs."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar

from gpu_infer.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FROM_TERMINAL = (signal.SIGHUP, signal.SIGQUIT)
"""Taken unless they are ignored: `nohup` has a run go on after its terminal has closed."""


AGAIN_S = 0.05
"""Seconds after which an interrupt that was dropped is raised again: a wait that has begun meanwhile ends."""


class InterruptSwitch:
    """While active, the first signal raises `Interrupted` in the main thread; the next one kills, but for SIGHUP."""

    exit_code = Interrupted.exit_code

    _active: ClassVar[InterruptSwitch | None] = None

    def __init__(self) -> None:
        self.signalled: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._before_alarm: Any = None
        self._hook: Callable[[sys.UnraisableHookArgs], Any] = sys.__unraisablehook__

    def __enter__(self) -> InterruptSwitch:
        # Only the main thread may set handlers; a caller in another one keeps its own.
        if threading.current_thread() is threading.main_thread():
            taken = [number for number in _FROM_TERMINAL if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in (*_SIGNALS, *taken)}
            InterruptSwitch._active = self
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if InterruptSwitch._active is self:
            self._disarm()
            InterruptSwitch._active = None
            sys.unraisablehook = self._hook

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = signal.Signals(number)
        for each in self._before:
            # A terminal that closes may send SIGHUP twice, itself and through its shell.
            signal.signal(each, signal.SIG_IGN if each is signal.SIGHUP else signal.SIG_DFL)
        self.raise_again()

    def _unraisable(self, dropped: sys.UnraisableHookArgs) -> None:
        """Raise an interrupt that was dropped once more, in a moment; without a traceback for it."""
        if not isinstance(dropped.exc_value, Interrupted):
            self._hook(dropped)
        elif threading.current_thread() is threading.main_thread():
            if self._before_alarm is None:
                self._before_alarm = signal.signal(signal.SIGALRM, lambda number, frame: self.raise_again())
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)

    def _disarm(self) -> None:
        if self._before_alarm is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before_alarm)
            self._before_alarm = None

    def raise_again(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.signalled is not None:
            raise Interrupted(f"interrupted by {self.signalled.name}", remedy="nothing was left half-written")


def raise_if_interrupted() -> None:
    """Raise an interrupt that has come and was lost on its way.

    A signal may arrive while C code calls back into Python (a compiler, a finaliser): the exception that the handler
    raises there is printed and dropped. Whoever works in steps asks here between them.
    """
    if InterruptSwitch._active is not None:
        InterruptSwitch._active.raise_again()
