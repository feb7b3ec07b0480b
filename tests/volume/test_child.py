"""A function called in a child process: its answer, and every failure to answer."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import GpuInferError, InputError, ResourceError
from gpu_infer.volume.child import Answer, call_in_child

MEMORY = 64 << 20
PATH = Path("/data/ct.mhd")


def answer(values: dict[str, Any], *shape: int) -> Answer:
    return values, [np.arange(np.prod(shape), dtype="<i2").reshape(shape), np.zeros((0, 3), np.float64)]


def crash(how: int) -> Answer:
    os.kill(os.getpid(), how)
    raise AssertionError


def write_to_null() -> Answer:
    ctypes.memset(0, 1, 1)
    raise AssertionError


def leave(code: int) -> Answer:
    os._exit(code)


def refuse(kind: type[GpuInferError]) -> Answer:
    raise kind("ct.mhd: wrong", remedy="repair it")


def fail() -> Answer:
    raise ZeroDivisionError("two\nlines")


def allocate(nbytes: int) -> Answer:
    return {"sum": int(np.ones(nbytes, np.uint8)[::4096].sum())}, []


def loud() -> Answer:
    for fd in (1, 2):
        os.write(fd, b"x" * 100_000)
    return {"fine": True}, []


def sleep() -> Answer:
    time.sleep(600)
    return {}, []


def forge() -> Answer:
    """Write a frame whose arrays are 10**18 bytes, as a process whose memory was overwritten might."""
    text = b'{"values": {}, "arrays": [["|u1", [1000000000, 1000000000]]]}'
    for fd in range(3, 16):  # one of them is the answer's pipe
        with contextlib.suppress(OSError):
            os.write(fd, len(text).to_bytes(8, "little") + text)
    os._exit(0)


def call(function: Any, *args: Any, **options: Any) -> Answer:
    return call_in_child(function, *args, path=PATH, **({"memory": MEMORY} | options))


def refused(kind: type[GpuInferError], text: str, function: Any, *args: Any, **options: Any) -> None:
    with pytest.raises(kind, match=text) as caught:
        call(function, *args, **options)
    assert "\n" not in str(caught.value)


def test_values_and_arrays_come_back() -> None:
    values, (numbers, empty) = call(answer, {"spacing": [0.1, 2.0], "name": "Käse"}, 300, 400, 5)
    assert values == {"spacing": [0.1, 2.0], "name": "Käse"}
    np.testing.assert_array_equal(numbers, np.arange(600_000).astype("<i2").reshape(300, 400, 5))
    assert empty.shape == (0, 3)
    assert numbers.flags.writeable


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_is_an_input_error(how: signal.Signals) -> None:
    refused(InputError, rf"^/data/ct.mhd: the library that reads it crashed \({how.name}\)", crash, how)


def test_memory_that_is_overwritten_is_an_input_error() -> None:
    refused(InputError, "crashed", write_to_null)


def test_a_child_that_the_kernel_kills_is_out_of_memory() -> None:
    refused(ResourceError, "/data/ct.mhd: .* killed, most likely out of memory", crash, signal.SIGKILL)


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_without_an_answer_is_an_input_error(code: int) -> None:
    refused(InputError, rf"crashed \(exit {code}\)", leave, code)


@pytest.mark.parametrize("kind", [InputError, ResourceError])
def test_errors_of_this_package_pass_through(kind: type[GpuInferError]) -> None:
    refused(kind, r"^ct.mhd: wrong \(repair it\)$", refuse, kind)


def test_other_exceptions_are_input_errors() -> None:
    refused(InputError, "^/data/ct.mhd: cannot be read: ZeroDivisionError: two lines", fail)


def test_memory_is_limited() -> None:
    assert call(allocate, MEMORY)[0] == {"sum": MEMORY / 4096}
    refused(ResourceError, "^/data/ct.mhd: no memory", allocate, 1 << 30)


def test_arrays_beyond_the_limit_are_not_allocated() -> None:
    refused(InputError, "more voxels than the header says", forge)


def test_what_the_library_prints_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(loud)[0] == {"fine": True}
    assert capfd.readouterr() == ("", "")


def test_a_hang_ends_at_the_deadline() -> None:
    refused(InputError, "did not end in time", sleep, seconds=2.0)


def children() -> set[str]:
    """Process ids of this process's children, those that ended and were not waited for included."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def test_a_signal_ends_the_wait_and_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    before, others = signal.signal(signal.SIGUSR1, stop), children()
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Stop):
            call(sleep)
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)
    assert children() <= others


def test_no_process_is_a_resource_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    refused(ResourceError, "^/data/ct.mhd: no process", answer, {}, 1)
