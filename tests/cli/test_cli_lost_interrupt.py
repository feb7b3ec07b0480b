"""A signal whose exception was dropped on its way is raised again at the next step."""

from __future__ import annotations

import os
import signal

import pytest

from gpu_infer.cli.signals import InterruptSwitch, raise_if_interrupted
from gpu_infer.errors import Interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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
