"""Turns errors of CUDA, other than "out of memory", into errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.errors import DeviceError

_FAILURES = (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise `DeviceError` for an error of CUDA's runtime or driver inside; `what` names the operation.

    Work is queued, so that an error may be an earlier operation's.
    """
    try:
        yield
    except _FAILURES as error:
        raise DeviceError(
            f"the GPU failed at or before {what}: {error}",
            remedy="look at nvidia-smi and the system log (Xid), end what else uses the GPU, or use --device cpu",
        ) from error


@contextmanager
def opened() -> Iterator[None]:
    """Raise `DeviceError` if a device that was counted cannot be used, which shows when its context is created."""
    try:
        yield
    except _FAILURES as error:
        raise DeviceError(
            f"a GPU is there and cannot be used: {error}",
            remedy="look at nvidia-smi: a card in exclusive-process mode serves one program (nvidia-smi -c DEFAULT "
            "ends that), a full one none; or run with --device cpu",
        ) from error
