"""Chooses the backend of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ConfigError, DeviceError
from gpu_infer.system.gpu_presence import has_nvidia_gpu
from gpu_infer.system.preload import preload

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "gpu")

_INSTALL_CUPY = 'pip install "gpu-infer[cuda13]" (or [cuda12] for a driver of CUDA 12), or run with --device cpu'
_NO_GPU = "this machine shows no NVIDIA GPU: run with --device cpu, or start the container with --gpus all"


def choose_backend(device: str) -> Backend:
    """Choose the backend: "cpu", "gpu", or "auto" for the GPU if CuPy and a device can be used, else the CPU.

    There is one GPU backend per process, so that memory and kernels serve run after run.

    Args:
        device: "auto", "cpu" or "gpu".

    Raises:
        ConfigError: For an unknown device, and for "gpu" if CuPy, a device or a compiler of kernels is missing.
        DeviceError: For "gpu" if a device exists but cannot be used.
    """
    if device not in DEVICES:
        raise ConfigError(f"device {device!r} is unknown", remedy=f"choose one of {', '.join(DEVICES)}")
    if device != "cpu":
        level = logging.INFO  # WARNING below, if there is a GPU that cannot be used
        try:
            make = _gpu()
            level = logging.WARNING
            backend = make()
        except (ConfigError, DeviceError) as error:
            if device == "gpu":
                raise
            if isinstance(error.__cause__, ImportError) and not has_nvidia_gpu():
                log.info("device auto: the CPU, because this machine shows no NVIDIA GPU")
            else:
                log.log(level, "device auto: the CPU, because %s", error)
        else:
            log.info("device: %r", backend)
            return backend
    preload("gpu_infer.backends.cpu.backend")
    from gpu_infer.backends.cpu.backend import CpuBackend

    return CpuBackend()


def _gpu() -> Callable[[], Backend]:
    """The function that makes the backend. Raises ConfigError if there is no CuPy or no device."""
    try:
        from gpu_infer.backends.gpu.backend import shared_backend
        from gpu_infer.backends.gpu.device.cupy_import import check_device
    except ImportError as error:
        raise ConfigError(
            f"device gpu: CuPy cannot be imported: {error}",
            remedy=_INSTALL_CUPY if has_nvidia_gpu() else _NO_GPU,
        ) from error
    check_device()
    return shared_backend
