"""The one place where CuPy is imported, after its cache has been pointed at a folder that can be written.

CuPy keeps the few elementwise kernels of its own that array assignments need under `CUPY_CACHE_DIR`, by default below
HOME, which a container may not have.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..cache import cache_folder
from ..errors import ConfigError


def _cupy_cache() -> Path:
    try:
        return cache_folder() / "cupy"
    except ConfigError:
        # nothing can be written: CuPy compiles into memory where its folder cannot be made
        return Path(tempfile.gettempdir()) / f"gpu_infer-cupy-{os.getuid()}"


if not os.environ.get("CUPY_CACHE_DIR"):
    os.environ["CUPY_CACHE_DIR"] = str(_cupy_cache())

import cupy  # noqa: E402

__all__ = ["check_device", "cupy"]


def check_device() -> None:
    """Raises ConfigError where there is no CUDA device that this CuPy can use."""
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
