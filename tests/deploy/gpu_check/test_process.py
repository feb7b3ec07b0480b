"""Commands of the GPU check end with all that they started; its idle process with a context ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.gpu_check.context import IdleContext
from deploy.gpu_check.process import run_group

ROOT = Path(__file__).resolve().parents[3]
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(float(sys.argv[2]))
"""


def alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether the process ends within the time that signals need on a machine under load."""
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def run_family(folder: Path, seconds: float, timeout_s: float) -> int:
    with (folder / "out").open("w") as out:
        command = [sys.executable, "-c", FAMILY, str(folder / "pid"), str(seconds)]
        return run_group(command, folder=folder, environment=os.environ, out=out, err=out, timeout_s=timeout_s)


def test_a_grandchild_ends_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_family(tmp_path, 600, 3.0)
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_grandchild_ends_with_a_command_that_ends_by_itself(tmp_path: Path) -> None:
    assert run_family(tmp_path, 0, 60.0) == 0
    assert ends(int((tmp_path / "pid").read_text()))


def test_the_group_ends_when_the_check_is_terminated(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from deploy.gpu_check import main as gpu_main\n"
        "import signal\n"
        "signal.signal(signal.SIGTERM, gpu_main._end)\n"
        "from deploy.gpu_check.runner import Runner\n"
        "from deploy.gpu_check.steps import Choice\n"
        "folder, family = Path(sys.argv[1]), sys.argv[2]\n"
        "runner = Runner(Choice(['tests'], frozenset()), folder, folder / 'results.json', {}, waived={'device'})\n"
        "runner.step('tests', lambda: runner.call('-c', family, folder / 'pid', 600) and None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), FAMILY], cwd=ROOT)
    pid_file, deadline = tmp_path / "pid", time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    grandchild = int(pid_file.read_text())
    assert alive(grandchild)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert ends(grandchild)
    assert (tmp_path / "results.json").exists()


@pytest.fixture
def cupy_stand_in(tmp_path: Path) -> dict[str, str]:
    """Variables under which a new process imports a `cupy` that counts how often a context is created."""
    (tmp_path / "cupy.py").write_text(
        "import os\n"
        "class cuda:\n"
        "    class Device:\n"
        "        def __init__(self, number): assert number == 0\n"
        "        def use(self): open(os.environ['USED'], 'a').write('x')\n"
        "    class runtime:\n"
        "        free = staticmethod(lambda pointer: None)\n"
    )
    return dict(os.environ) | {"PYTHONPATH": str(tmp_path), "USED": str(tmp_path / "used")}


def test_one_idle_process_holds_a_context_until_it_is_closed(cupy_stand_in: dict[str, str]) -> None:
    context = IdleContext()
    assert context.pid is None
    answer = context.start(cupy_stand_in, timeout_s=60)
    assert answer["context_s"] >= 0
    pid = context.pid
    assert pid is not None
    assert alive(pid)
    assert Path(cupy_stand_in["USED"]).read_text(encoding="utf-8") == "x"
    context.close()
    assert ends(pid)
    context.close()


def test_without_a_context_the_reason_is_given(tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('no CUDA here')")
    context = IdleContext()
    answer = context.start(dict(os.environ) | {"PYTHONPATH": str(tmp_path)}, timeout_s=60)
    assert answer == {"context_s": None, "context_missing": "ImportError: no CUDA here"}
    assert context.pid is None
