"""A process ends with the right code, its output and its exit handlers, and without freeing every object."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from gpu_infer.cli.leave import leaving

class Freed:
    def __del__(self):
        print("freed")

def body():
    global kept
    kept = Freed()
    atexit.register(print, "handler")
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    sys.stdout.write("body\\n")
    {end}

sys.exit(leaving(body))
"""


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(end: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=BUFFERED,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_threads_and_exit_handlers_come_before_the_end(code: int) -> None:
    done = run(f"return {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "body\nthread\nhandler\n", "")


def test_an_exception_is_left_to_the_interpreter() -> None:
    done = run("raise ValueError('broken')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: broken\n")
    assert done.stdout == "body\nthread\nhandler\nfreed\n"


def test_output_that_cannot_be_written_is_told_by_the_interpreter() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(end="return 0")],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env=BUFFERED,
        )
    assert done.returncode == 120
    assert "No space left on device" in done.stderr
