"""What each worker of this host gets: one of the GPUs, and its share of the processors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gpu_infer.batch.job import BatchJob
from gpu_infer.environment import environment_value

VISIBLE = "CUDA_VISIBLE_DEVICES"
_THREADS = "NUMBA_NUM_THREADS"
_DRIVER_GPUS = Path("/proc/driver/nvidia/gpus")


def default_workers(device: str, environ: Mapping[str, str]) -> int:
    """One per GPU that is visible, one for `--device cpu` and on a host without."""
    return 1 if device == "cpu" else max(len(visible_gpus(environ)), 1)


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
    """The GPUs, or parts of GPUs (MIG), that this process may use, as values of CUDA_VISIBLE_DEVICES."""
    if VISIBLE in environ:
        names = [name.strip() for name in environ[VISIBLE].split(",")]
        valid = next((n for n, name in enumerate(names) if name in ("", "-1")), len(names))  # as CUDA reads it
        return names[:valid]
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is not None:
        done = subprocess.run(
            [program, "-L"], capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=30
        )
        if done.returncode == 0:
            return gpus_of_listing(done.stdout)
    return [str(number) for number in range(len(list(_DRIVER_GPUS.glob("*"))))]


def gpus_of_listing(text: str) -> list[str]:
    """UUIDs in the output of `nvidia-smi -L`; of a divided GPU, those of its parts."""
    gpus: list[list[str]] = []
    for line in text.splitlines():
        if (match := re.search(r"\(UUID: ([A-Za-z0-9/-]+)\)", line)) is None:
            continue
        if line.startswith("GPU "):
            gpus.append([match[1]])
        elif gpus:
            gpus[-1].append(match[1])
    return [name for gpu in gpus for name in (gpu[1:] or gpu)]


def worker_environment(job: BatchJob, environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Variables of each worker on top of those of this process."""
    gpus = visible_gpus(environ) if job.settings.device != "cpu" else []
    threads = str(max(len(os.sched_getaffinity(0)) // job.workers, 1))
    shared = {} if environment_value(environ, _THREADS) or job.workers == 1 else {_THREADS: threads}
    return [{**shared, **({VISIBLE: gpus[number % len(gpus)]} if gpus else {})} for number in range(job.workers)]
