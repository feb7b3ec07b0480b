"""Whether this machine shows an NVIDIA GPU, without a CUDA library."""

from __future__ import annotations

import shutil
from pathlib import Path

_DEVICES = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia/version",
    "/dev/dxg",  # WSL
    "/dev/nvmap",  # Jetson
)


def has_nvidia_gpu() -> bool:
    """Whether a driver's device or nvidia-smi is there; a container without --gpus has neither."""
    return any(Path(path).exists() for path in _DEVICES) or shutil.which("nvidia-smi") is not None
