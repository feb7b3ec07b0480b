"""A signal whose exception was dropped on its way is raised again at the next step."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import Any

import pytest

from gpu_infer.cli.main import guarded
from gpu_infer.cli.signals import AGAIN_S, InterruptSwitch, raise_if_interrupted
from gpu_infer.errors import Interrupted
from gpu_infer.triton.client.http_client import HttpClient


def signal_myself(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.sigtimedwait([], 0.01)  # let the handler run


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
            signal_myself()

    before = signal.getsignal(signal.SIGALRM)
    with InterruptSwitch() as switch:
        Finalized()
        assert switch.signalled is signal.SIGTERM
        with pytest.raises(Interrupted, match="SIGTERM"):
            threading.Event().wait(30)
    assert signal.getsignal(signal.SIGALRM) == before


def test_an_interrupt_that_somebody_caught_ends_the_next_wait() -> None:
    with InterruptSwitch():
        with contextlib.suppress(Exception):
            signal_myself()
        with pytest.raises(Interrupted, match="SIGTERM"):
            threading.Event().wait(30)


def test_an_interrupt_ends_a_call_over_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, InterruptSwitch():
        timer = threading.Timer(0.1, signal_myself)
        timer.start()
        client = HttpClient(f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Interrupted, match="SIGTERM"):
            client.server_live(30.0)
        client.close()
        timer.join()


def test_an_interrupt_is_raised_once_as_long_as_it_is_handled() -> None:
    """The end of a run takes its time: a second exception would cut it short."""
    with InterruptSwitch():
        try:
            signal_myself()
        except Interrupted:
            threading.Event().wait(4 * AGAIN_S)
        with pytest.raises(Interrupted):
            raise_if_interrupted()


def test_half_made_objects_complain_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """The last line of a run is the error."""

    class HalfMade:
        def __init__(self) -> None:
            signal_myself()
            self.handle = 1

        def __del__(self) -> None:
            del self.handle

    with InterruptSwitch(), pytest.raises(Interrupted):
        HalfMade()
    assert capfd.readouterr().err == ""


def test_an_error_that_an_interrupt_caused_is_not_what_the_run_ends_with(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        with contextlib.suppress(Interrupted):  # as a callback of Numba's compiler does
            signal_myself()
        raise RuntimeError("no compiled object yet")

    assert guarded(body) == 130
    assert capsys.readouterr().err == "gpu-infer: error: interrupted by SIGTERM (nothing was left half-written)\n"


def test_the_end_of_a_run_is_not_interrupted_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exception is gone once its line is written; a busy machine takes a while from there to the end."""
    monkeypatch.setattr("gpu_infer.cli.signals.AGAIN_S", 1e-6)
    for _ in range(100):
        assert guarded(signal_myself) == 130
        assert capsys.readouterr().err.count("interrupted by SIGTERM") == 1
