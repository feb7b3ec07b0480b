"""Which backend a run uses."""

from __future__ import annotations

from ..errors import ConfigError
from .base import Backend

DEVICES = ("auto", "cpu", "gpu")


def choose_backend(device: str) -> Backend:
    """The backend for `device`: "cpu", "gpu", or "auto" for the best that this installation has.

    Raises ConfigError for an unknown device and for "gpu", which this version cannot serve.
    """
    if device not in DEVICES:
        raise ConfigError(f"device {device!r} is unknown", remedy=f"choose one of {', '.join(DEVICES)}")
    if device == "gpu":
        raise ConfigError(
            "device gpu: this version of gpu_infer has no GPU backend", remedy="run with --device cpu or auto"
        )
    from .cpu import CpuBackend

    return CpuBackend()
