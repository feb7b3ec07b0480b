"""Which backend a run uses."""

from __future__ import annotations

import logging

from ..errors import ConfigError
from .base import Backend

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "gpu")


def choose_backend(device: str) -> Backend:
    """The backend for `device`: "cpu", "gpu", or "auto" for the GPU where CuPy and a device are there, else the CPU.

    The GPU backend is one per process, so that memory and kernels serve case after case. Raises ConfigError for an
    unknown device, and for "gpu" where CuPy or a device is missing.
    """
    if device not in DEVICES:
        raise ConfigError(f"device {device!r} is unknown", remedy=f"choose one of {', '.join(DEVICES)}")
    if device != "cpu":
        try:
            return _gpu()
        except ConfigError as error:
            if device == "gpu":
                raise
            log.info("device auto: the CPU, because %s", error.message)
    from .cpu import CpuBackend

    return CpuBackend()


def _gpu() -> Backend:
    try:
        from .gpu import shared_backend
    except ImportError as error:
        raise ConfigError(
            f"device gpu: CuPy cannot be imported: {error}",
            remedy='pip install "gpu-infer[cuda13]" (or [cuda12], as the driver has it), or run with --device cpu',
        ) from error
    backend = shared_backend()
    log.info("device: %r", backend)
    return backend
