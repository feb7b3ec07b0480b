"""A process ends with the right code, its output and its exit handlers, and without a last garbage collection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from gpu_infer.cli import entry, main

class Collected:
    def __init__(self):
        self.cycle = self

    def __del__(self):
        print("collected")

def body():
    atexit.register(lambda: print("handler") or Collected())
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    sys.stdout.write("body\\n")
    {end}

main.main = body
sys.exit(entry.script())
"""


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(end: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env=BUFFERED,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_threads_and_exit_handlers_come_before_the_end(code: int) -> None:
    done = run(f"return {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "body\nthread\nhandler\n", "")


def test_an_exception_is_reported_by_the_interpreter() -> None:
    done = run("raise ValueError('broken')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: broken\n")
    assert done.stdout == "body\nthread\nhandler\n"


def test_output_that_cannot_be_written_is_reported_by_the_interpreter() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(end="return 0")],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            timeout=60,
            env=BUFFERED,
        )
    assert done.returncode == 120
    assert "No space left on device" in done.stderr


HOST = """
import runpy, sys
sys.argv = ["gpu-infer", "version"]
try:
    runpy.run_module("gpu_infer", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print("host goes on")
sys.exit(7)
"""


def test_a_host_keeps_its_own_end(tmp_path: Path) -> None:
    script = tmp_path / "host.py"
    script.write_text(HOST)
    done = subprocess.run([sys.executable, script], capture_output=True, encoding="utf-8", check=False, env=BUFFERED)
    assert done.stdout.endswith("host goes on\n")
    assert done.returncode == 7
