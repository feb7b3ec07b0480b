"""g++ with CUDA's headers, which wheels bring along."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nvidia  # type: ignore[import-not-found]

FLAGS = ("-O2", "-fPIC")


def cuda_headers() -> Path:
    """The folder of cuda.h and cuda_runtime_api.h. FileNotFoundError if the wheels have none."""
    for folder in nvidia.__path__:
        for header in sorted(Path(folder).glob("*/include/cuda_runtime_api.h")):
            return header.parent
    raise FileNotFoundError("no cuda_runtime_api.h below nvidia: install the wheel nvidia-cuda-runtime")


def run_compiler(*arguments: str | Path) -> None:
    """Run g++ (gcc for C files). RuntimeError with its output if it fails."""
    done = subprocess.run(["g++", *FLAGS, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"g++ failed on {arguments[-1]}:\n{done.stdout}{done.stderr}")
