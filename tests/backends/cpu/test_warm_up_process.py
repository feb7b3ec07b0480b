"""The second process of the warm-up: it prints nothing, whatever ends the first one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpu_infer.backends.cpu import warm_up as cpu_warm_up

PROGRAM = """
import sys, time
from gpu_infer.backends.cpu import warm_up


def step(cpu):
    time.sleep({seconds})

if __name__ == "__main__":
    try:
        warm_up.warm_up(lambda name, *_: print(name, flush=True), ([("here", step)], [("there", step), ("last", step)]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def _begin(folder: Path, *, seconds: float) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(seconds=seconds))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, str(program)], stdout=pipe, stderr=pipe, encoding="utf-8", start_new_session=True
    )


def _lines(process: subprocess.Popen[str], until: str) -> None:
    assert process.stdout is not None
    assert until in iter(lambda: process.stdout.readline().rstrip(), "")  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def two_processors() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor")


@pytest.mark.parametrize("waits", [0.1, 0.2, 0.3])
def test_an_interrupt_while_it_starts(tmp_path: Path, waits: float) -> None:
    process = _begin(tmp_path, seconds=2)
    _lines(process, "here")  # the other one has just been started
    time.sleep(waits)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_the_end_of_the_first_process(tmp_path: Path) -> None:
    process = _begin(tmp_path, seconds=1)
    _lines(process, "there")
    process.kill()
    _, errors = process.communicate(timeout=60)  # until the other one has ended, too
    assert (process.returncode, errors) == (-signal.SIGKILL, "")


def test_the_signal_reaches_this_process_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    cpu_warm_up.warm_up(lambda *_: None, ([], [("a step", print)]))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_without_a_cache_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it compiles would be lost."""
    monkeypatch.setattr(cpu_warm_up, "CACHE", False)
    processes: list[int] = []
    step = ("a step", lambda _: processes.append(os.getpid()))
    cpu_warm_up.warm_up(lambda *_: None, ([], [step]))
    assert processes == [os.getpid()]
