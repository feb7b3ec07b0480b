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

sys.exit(leaving(body, sys._getframe()))
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
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=BUFFERED)
    assert done.stdout.endswith("host goes on\n")
    assert done.returncode == 7


@pytest.mark.parametrize("extra", [{}, {"LD_PRELOAD": "/nowhere.so"}, {"CUDA_INJECTION64_PATH": "/nowhere.so"}])
@pytest.mark.parametrize("custom", [False, True])
def test_handlers_and_tools_that_were_there_before_see_the_usual_end(
    tmp_path: Path, custom: bool, extra: dict[str, str]
) -> None:
    hook = "import atexit\natexit.register(print, 'early handler')\n" if custom else ""
    (tmp_path / "sitecustomize.py").write_text(hook)
    code = PROGRAM.format(end="return 0")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**BUFFERED, "PYTHONPATH": str(tmp_path), **extra},
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[:3]) == (0, ["body", "thread", "handler"])
    usual = custom or bool(extra)
    assert lines[3:] == (["early handler"] if custom else []) + (["freed"] if usual else [])


def test_the_commands_end_quickly() -> None:
    """Both ways in: nothing else at the process's start keeps them from it."""
    probe = "import gpu_infer.cli.leave as l; print(l._alone(__import__('sys')._getframe()))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=BUFFERED)
    assert done.stdout == "True\n"
