"""What CUDA reports beside "out of memory", as one error that says what to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DeviceError
from .gpu_cupy import cupy


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise `DeviceError` for an error of CUDA's runtime or driver inside; `what` names the operation.

    Work is queued, so that an error may be an earlier operation's.
    """
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        raise DeviceError(
            f"the GPU failed at or before {what}: {error}",
            remedy="look at nvidia-smi and the system log (Xid), end what else uses the GPU, or use --device cpu",
        ) from error
