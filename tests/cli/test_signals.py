"""A signal whose exception was dropped on its way is raised again at the next step."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gpu_infer.cli.signals import InterruptSwitch, raise_if_interrupted
from gpu_infer.errors import Interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_dropped_interrupt_comes_back(number: signal.Signals) -> None:
    with InterruptSwitch() as switch:
        raise_if_interrupted()  # nothing has come yet
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 0.01)  # let the handler run
        except Interrupted:
            pass  # what a callback out of C code does with it
        assert switch.signalled is number
        with pytest.raises(Interrupted, match=number.name):
            raise_if_interrupted()
    raise_if_interrupted()  # no switch, no interrupt


def test_what_is_ignored_stays_ignored() -> None:
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with InterruptSwitch() as switch:
            os.kill(os.getpid(), signal.SIGHUP)
            raise_if_interrupted()
            assert switch.signalled is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_closes_may_say_so_twice() -> None:
    with InterruptSwitch() as switch:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert switch.signalled is signal.SIGHUP
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # another one ends the process


def test_an_interrupt_that_a_finalizer_dropped_ends_the_next_wait() -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 0.01)  # let the handler run

    before = signal.getsignal(signal.SIGALRM)
    with InterruptSwitch() as switch:
        Finalized()
        assert switch.signalled is signal.SIGTERM
        with pytest.raises(Interrupted, match="SIGTERM"):
            threading.Event().wait(30)
    assert signal.getsignal(signal.SIGALRM) == before
