"""A followed command: its lines, its end, and that none of its descendants outlives it or its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_infer.triton.local.follow import follow

# A command whose own child writes one file after the other, as pip below ensurepip does.
WRITER = """
import itertools, pathlib, sys, time
for n in itertools.count():
    pathlib.Path(sys.argv[1], str(n)).touch()
    time.sleep(0.01)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], stdout=subprocess.DEVNULL)
print("started", child.pid, flush=True)
child.wait()
"""


def command(folder: Path) -> list[str]:
    return [sys.executable, "-c", PARENT, str(folder), WRITER]


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return check()


def gone(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_lines_and_exit_code() -> None:
    seen: list[str] = []
    code = "import sys; print('one'); print('two', file=sys.stderr, flush=True); sys.exit(3)"
    assert follow([sys.executable, "-u", "-c", code], seen.append) == (3, ["one", "two"])
    assert seen == ["one", "two"]
    assert follow([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], seen.append)[0] != 0


def test_a_command_that_does_not_exist_is_a_failure_that_says_so() -> None:
    code, lines = follow(["/no/such/program"], lambda _line: None)
    assert code != 0
    assert "/no/such/program" in " ".join(lines)


def test_an_exception_ends_the_command_and_its_children_before_it_comes_through(tmp_path: Path) -> None:
    pids: list[int] = []

    def cancel(line: str) -> None:
        pids.append(int(line.split()[1]))
        eventually(lambda: any(tmp_path.iterdir()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(command(tmp_path), cancel)
    assert gone(pids[0])
    written = len(list(tmp_path.iterdir()))
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == written > 0


def test_an_owner_that_is_killed_takes_the_command_and_its_children_with_it(tmp_path: Path) -> None:
    code = f"""
        from gpu_infer.triton.local.follow import follow
        follow({command(tmp_path)!r}, lambda line: print(line, flush=True))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline().split()[1])
        os.kill(owner.pid, signal.SIGKILL)
    assert eventually(lambda: gone(pid))
