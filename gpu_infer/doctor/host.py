"""Checks of the memory, the shared memory and the GPU of this host."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError
from gpu_infer.system.host_memory import free_host_bytes

if TYPE_CHECKING:
    from gpu_infer.backends.base.backend import Backend

SHM = Path("/dev/shm")
SHM_COMFORTABLE = 512 << 20
"""Two slots of one 320×320×64 window each take 150 MB; larger batches and more classes take more."""

NVIDIA_SMI_SECONDS = 10
VISIBLE = "CUDA_VISIBLE_DEVICES"
_GPU_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "cupy", "cucim-cu12", "cucim-cu13")


def check_memory() -> Check:
    """Report the memory that a run on this host can take."""
    return Check("memory", "ok", f"{free_host_bytes() / 2**30:.1f} GiB free, {os.cpu_count()} processors")


def check_shared_memory(folder: Path = SHM) -> Check:
    """Check that a run can use shared memory, and that there is enough of it."""
    name = "shared memory"
    remedy = "in a container: --shm-size=2g or --ipc=host; without it voxels travel inline, more slowly"
    if not os.access(folder, os.W_OK):
        return Check(name, "warn", f"{folder} cannot be written", remedy)
    usage = shutil.disk_usage(folder)
    facts = f"{folder}: {usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MiB free"
    if usage.free < SHM_COMFORTABLE:
        return Check(name, "warn", facts, remedy)
    return Check(name, "ok", facts)


def check_gpu() -> Check:
    """Check the GPUs that nvidia-smi lists, and that a run can use one; a host without a GPU passes.

    nvidia-smi numbers all GPUs; CUDA numbers those that CUDA_VISIBLE_DEVICES names, in its order.
    """
    name = "gpu"
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check(name, "ok", "none (no nvidia-smi on this host): runs use the CPU")
    try:
        done = subprocess.run(
            [program, "--query-gpu=name,uuid,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=NVIDIA_SMI_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "warn", f"nvidia-smi did not answer: {error}", "check the driver")
    lines = (done.stdout or done.stderr).strip().splitlines()
    facts = lines[0] if lines else f"nvidia-smi ended with {done.returncode}"
    if done.returncode != 0:
        return Check(name, "warn", facts, "check the driver, and --gpus all for a container")
    if len(lines) > 1:
        facts = "; ".join(f"{number}: {line}" for number, line in enumerate(lines))
    if VISIBLE in os.environ:
        facts += f"; {VISIBLE}={os.environ[VISIBLE]}"
    if importlib.util.find_spec("cupy") is None:
        return Check(name, "warn", f"{facts}; cupy is not installed", "pip install 'gpu-infer[cuda12]' (or cuda13)")
    from gpu_infer.backends.choose import choose_backend

    try:
        choose_backend("gpu")
    except GpuInferError as error:
        return Check(name, "warn", f"{facts}; {error.message}", error.remedy)
    return Check(name, "ok", f"{facts}; CuPy can use it{_versions()}")


def check_device(device: str) -> tuple[Backend, list[Check]]:
    """The backend of a run on `device`; if a run could not use it, that of "auto" and the failed check."""
    from gpu_infer.backends.choose import choose_backend

    try:
        return choose_backend(device), []
    except GpuInferError as error:
        return choose_backend("auto"), [failure("device", error)]


def _versions() -> str:
    """The versions of CuPy and of cuCIM, as far as they are installed as packages."""
    installed = []
    for name in _GPU_PACKAGES:
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return f" ({', '.join(installed)})" if installed else ""
