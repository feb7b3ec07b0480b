"""Which backend a run uses."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ConfigError, DeviceError

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "gpu")


def choose_backend(device: str) -> Backend:
    """The backend for `device`: "cpu", "gpu", or "auto" for the GPU where CuPy and a device can be used, else the CPU.

    The GPU backend is one per process, so that memory and kernels serve case after case. Raises ConfigError for an
    unknown device, and for "gpu" where CuPy, a device or a compiler of kernels is missing; DeviceError for "gpu" where
    a device is there and cannot be used.
    """
    if device not in DEVICES:
        raise ConfigError(f"device {device!r} is unknown", remedy=f"choose one of {', '.join(DEVICES)}")
    if device != "cpu":
        level = logging.INFO  # no GPU is no news, one that cannot be used is
        try:
            make = _gpu()
            level = logging.WARNING
            backend = make()
        except (ConfigError, DeviceError) as error:
            if device == "gpu":
                raise
            log.log(level, "device auto: the CPU, because %s", error)
        else:
            log.info("device: %r", backend)
            return backend
    from gpu_infer.backends.cpu.backend import CpuBackend

    return CpuBackend()


def _gpu() -> Callable[[], Backend]:
    """What makes the backend, where there is a device."""
    try:
        from gpu_infer.backends.gpu.backend import shared_backend
        from gpu_infer.backends.gpu.device.cupy_import import check_device
    except ImportError as error:
        raise ConfigError(
            f"device gpu: CuPy cannot be imported: {error}",
            remedy='pip install "gpu-infer[cuda13]" (or [cuda12], as the driver has it), or run with --device cpu',
        ) from error
    check_device()
    return shared_backend
