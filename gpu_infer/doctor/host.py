"""Shared memory, main memory and the GPU of this host."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from gpu_infer.doctor.check import Check
from gpu_infer.errors import GpuInferError

SHM = Path("/dev/shm")
SHM_COMFORTABLE = 512 << 20
"""Two slots of one 320×320×64 tile each take 150 MB; larger batches and more classes take more."""

NVIDIA_SMI_SECONDS = 10
VISIBLE = "CUDA_VISIBLE_DEVICES"


def check_shared_memory(folder: Path = SHM) -> Check:
    name = "shared memory"
    remedy = "in a container: --shm-size=2g or --ipc=host; without it voxels travel inline, more slowly"
    if not os.access(folder, os.W_OK):
        return Check(name, "warn", f"{folder} cannot be written", remedy)
    usage = shutil.disk_usage(folder)
    found = f"{folder}: {usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MiB free"
    if usage.free < SHM_COMFORTABLE:
        return Check(name, "warn", found, remedy)
    return Check(name, "ok", found)


def check_gpu() -> Check:
    """The driver's view (nvidia-smi) and whether a run could use the GPU; having none is fine.

    nvidia-smi numbers every card, CUDA those that CUDA_VISIBLE_DEVICES names, in its order.
    """
    name = "gpu"
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check(name, "ok", "none: no nvidia-smi on this host; the CPU path is used")
    try:
        done = subprocess.run(
            [program, "--query-gpu=name,uuid,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "warn", f"nvidia-smi did not answer: {error}", "check the driver")
    lines = (done.stdout or done.stderr).strip().splitlines()
    found = lines[0] if lines else f"nvidia-smi ended with {done.returncode}"
    if done.returncode != 0:
        return Check(name, "warn", found, "check the driver, and --gpus all for a container")
    if len(lines) > 1:
        found = "; ".join(f"{number}: {line}" for number, line in enumerate(lines))
    if VISIBLE in os.environ:
        found += f"; {VISIBLE}={os.environ[VISIBLE]}"
    if importlib.util.find_spec("cupy") is None:
        return Check(name, "warn", f"{found}; cupy is not installed", "pip install 'gpu-infer[cuda12]' (or cuda13)")
    from gpu_infer.backends.choose import choose_backend

    try:
        choose_backend("gpu")
    except GpuInferError as error:
        return Check(name, "warn", f"{found}; {error.message}", error.remedy)
    return Check(name, "ok", f"{found}; CuPy can use it")
