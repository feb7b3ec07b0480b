"""Whether a local Triton finds the CUDA driver's library under the name that its Python backend opens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gpu_infer.doctor.check import Check

NAME = "libcuda.so"
VERSIONED = "libcuda.so.1"
"""What a driver installs; the name without the number comes with development packages."""
_LOAD_S = 30.0

_LOAD = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print(next((line.split()[-1] for line in open("/proc/self/maps") if "/libcuda.so" in line), ""))
"""


def check_driver_library(environment: Mapping[str, str]) -> list[Check]:
    """One check on a host with a CUDA driver, none on another; `environment` is the server's."""
    driver = _load(VERSIONED, environment)
    if driver is None:
        return []
    if _load(NAME, environment) is not None:
        return [Check("driver library", "ok", f"{NAME} is {driver}")]
    return [
        Check(
            "driver library",
            "warn",
            f"{VERSIONED} can be loaded ({driver}), {NAME} cannot, which Triton's Python backend opens: a model with "
            "outputs on the GPU would end the server",
            f"ln -s {driver} {driver.parent / NAME}, or the same link in a folder of LD_LIBRARY_PATH",
        )
    ]


def _load(name: str, environment: Mapping[str, str]) -> Path | None:
    """The file that the loader takes for the name; asked in a process that has the server's variables and no site."""
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LOAD, name],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_LOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None
