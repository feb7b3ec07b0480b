"""Imports CuPy, here only, after its cache has been set to a private folder.

CuPy stores its own kernels under `CUPY_CACHE_DIR`, by default below HOME, which a container may not have. The backend
needs none of them; a program that passes CuPy arrays may. Without a private folder they stay in memory.
"""

from __future__ import annotations

import os

from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import private_folder

if not os.environ.get("CUPY_CACHE_DIR"):
    if (_folder := private_folder("cupy")) is not None:
        os.environ["CUPY_CACHE_DIR"] = str(_folder)
    else:
        os.environ["CUPY_CACHE_IN_MEMORY"] = "1"

import cupy

__all__ = ["check_device", "cupy"]


def check_device() -> None:
    """Raise ConfigError if there is no CUDA device that this CuPy can use."""
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise ConfigError(
            f"no CUDA device can be used: {error}",
            remedy="check nvidia-smi, start the container with --gpus all, or run with --device cpu",
        ) from error
    if count == 0:
        raise ConfigError(
            "no CUDA device was found", remedy="start the container with --gpus all, or run with --device cpu"
        )
