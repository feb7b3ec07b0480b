"""How the threads of OpenMP and OpenBLAS wait: set for a command, not for a user's choice or another program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gpu_infer.system.waiting_threads import wait_asleep, without_settings
from gpu_infer.triton.local.runtime import Runtime

OURS = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}


def test_a_command_lets_threads_wait_asleep() -> None:
    environ = {"PATH": "/bin"}
    wait_asleep(environ)
    assert environ.items() >= {"PATH": "/bin", **OURS}.items()
    assert without_settings(environ) == {"PATH": "/bin"}


def test_what_the_user_has_set_stays() -> None:
    environ = {"OMP_WAIT_POLICY": "active"}
    wait_asleep(environ)
    assert environ["OMP_WAIT_POLICY"] == "active"
    assert without_settings(environ) == {"OMP_WAIT_POLICY": "active"}


def test_a_command_that_a_command_starts_knows_what_was_set() -> None:
    environ = {"OPENBLAS_THREAD_TIMEOUT": "20"}
    wait_asleep(environ)
    wait_asleep(environ)
    assert without_settings(environ) == {"OPENBLAS_THREAD_TIMEOUT": "20"}


def test_a_local_triton_gets_the_users_settings(tmp_path: Path) -> None:
    environ = {"OPENBLAS_THREAD_TIMEOUT": "20"}
    wait_asleep(environ)
    given = Runtime(tmp_path, tmp_path, ()).environment(environ)
    assert given["OPENBLAS_THREAD_TIMEOUT"] == "20"
    assert not [name for name in given if name.startswith(("OMP_", "GPU_INFER_"))]


def test_they_are_set_before_numpy_is_imported() -> None:
    code = (
        "import os, sys\n"
        "from gpu_infer.system import preload\n"
        "preload.wait_asleep = lambda: print('numpy' in sys.modules)\n"
        "from gpu_infer.cli.entry import script\n"
        "sys.argv = ['gpu-infer', '--help']\n"
        "script()\n"
    )
    environ = without_settings(os.environ)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.splitlines()[0] == "False", done.stderr
