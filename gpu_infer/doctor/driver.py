"""Check that a local Triton can load the CUDA driver's library by the name that its Python backend opens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gpu_infer.doctor.check import Check

NAME = "libcuda.so"
VERSIONED = "libcuda.so.1"
"""The name that a driver installs; development packages add the one without the number."""
_LOAD_S = 30.0

_LOAD = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print(next((line.split()[-1] for line in open("/proc/self/maps") if "/libcuda.so" in line), ""))
"""


def check_driver_library(environment: Mapping[str, str]) -> list[Check]:
    """One check on a host with a CUDA driver, none on another; `environment` is that of the server."""
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
    """The file that the loader finds for the name, in a process with the server's variables and without `site`."""
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LOAD, name],
            env=dict(environment),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None
