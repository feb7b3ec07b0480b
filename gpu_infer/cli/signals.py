"""SIGTERM, SIGINT, SIGHUP and SIGQUIT as an exception, so that every `finally` on the way out runs."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
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
        self._raised: set[weakref.ref[Interrupted]] = set()  # without those that exist no more
        self._ended = False
        self._lock = threading.RLock()  # between the end and exceptions that other threads drop
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
        self.end()
        if InterruptSwitch._active is self:
            InterruptSwitch._active = None
            sys.unraisablehook = self._hook
            if self._before_alarm is not None:
                signal.signal(signal.SIGALRM, self._before_alarm)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = signal.Signals(number)
        for each in self._before:
            # A terminal that closes may send SIGHUP twice, itself and through its shell.
            signal.signal(each, signal.SIG_IGN if each is signal.SIGHUP else signal.SIG_DFL)
        if not self._ended:
            self._before_alarm = signal.signal(signal.SIGALRM, self._handle_alarm)
            self.raise_again()

    def _handle_alarm(self, number: int, frame: FrameType | None) -> None:
        if not self._ended and not self._raised:
            self.raise_again()

    def _unraisable(self, dropped: sys.UnraisableHookArgs) -> None:
        """Print what a finalizer raises, but not after a signal: objects that it left half-made only complain."""
        if self.signalled is None:
            self._hook(dropped)

    def _drop(self, error: weakref.ref[Interrupted]) -> None:
        """Raise an interrupt again after `AGAIN_S`, if no reference to it exists any more and the run continues.

        Finalizers, callbacks out of C, event loops and `except Exception` drop what the handler raises in them.
        """
        with self._lock:
            self._raised.discard(error)
            if not self._raised and not self._ended:
                signal.setitimer(signal.ITIMER_REAL, AGAIN_S)

    def end(self) -> None:
        """Raise nothing from now on: the run has ended, or its error is about to be shown."""
        with self._lock:
            self._ended = True
            if self._before_alarm is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def raise_again(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.signalled is not None:
            error = Interrupted(f"interrupted by {self.signalled.name}", remedy="nothing was left half-written")
            self._raised.add(weakref.ref(error, self._drop))
            try:
                raise error
            finally:
                del error  # in a frame of its own traceback it would live until the garbage is collected


def raise_if_interrupted() -> None:
    """Raise `Interrupted` if a signal has come. Whoever works in steps asks between them.

    The switch itself raises an interrupt again that was dropped, but not one that somebody still holds.
    """
    if InterruptSwitch._active is not None:
        InterruptSwitch._active.raise_again()
