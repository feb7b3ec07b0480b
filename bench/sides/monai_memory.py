"""Memory of MONAI's job: a lower bound, a limit, and the errors that mean too little memory.

In MONAI 1.6, the whole volume of scores stays in memory; resampling computes in float64 with a grid of coordinates
(torch.nn.functional.affine_grid, from one of homogeneous ones), both of them for every voxel of the result.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.support.measure import data_size

_FLOAT32, _FLOAT64, _INT64 = 4, 8, 8
_COORDINATES = (4 + 3) * _FLOAT64  # per voxel: homogeneous ones, and those computed from them


@dataclass(frozen=True)
class DoesNotFit:
    """A job that does not fit into the memory of `where`, "host" or "GPU".

    needs  least bytes; None if only an error of the job showed that they are too few
    free   bytes
    """

    where: str
    needs: int | None
    free: int

    def __str__(self) -> str:
        free = _size(self.free) + (" of GPU memory" if self.where == "GPU" else "")
        if self.needs is None:
            return f"does not fit: needs more than the {free} that were free"
        return f"does not fit: needs {_size(self.needs)} at least, {free} free"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def grid_of(shape: Sequence[int], zooms: Sequence[float], spacing: Sequence[float] | None) -> tuple[int, ...]:
    """Voxels after resampling to `spacing` mm, rounded down; without resampling the file's own."""
    if spacing is None:
        return tuple(shape)
    return tuple(max(1, int(n * zoom / mm)) for n, zoom, mm in zip(shape, zooms, spacing, strict=True))


def least_bytes(shape: Sequence[int], grid: Sequence[int], classes: int, *, resampled: bool) -> int:
    """Bytes of the arrays of the job's largest step, on the tensors' device, without the process itself.

    shape  (I, J, K) of the file      grid  (X, Y, Z) of the model
    """
    stored, voxels = math.prod(shape), math.prod(grid)
    scores = classes * _FLOAT32
    steps = [
        (scores + 2 * _FLOAT32) * voxels,  # plus the image and the counts per voxel
        (scores + _FLOAT32 + _INT64) * voxels,  # argmax, plus the image
    ]
    if resampled:
        steps += [
            (_FLOAT32 + _FLOAT64) * stored + _COORDINATES * voxels,
            (2 * _FLOAT32 + _FLOAT64) * voxels + _COORDINATES * stored,  # and back: image, labels, labels in float64
        ]
    return max(steps)


@contextmanager
def confined(free: int) -> Iterator[None]:
    """Limit this process to `free` further bytes: it gets memory errors before the machine runs out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [data_size() + free, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def out_of_memory(error: BaseException) -> str | None:
    """Which memory ran out, "host" or "GPU", if the error or one of its causes is a memory error; else None.

    PyTorch has no class for host memory: its allocator raises a RuntimeError.
    """
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in ("OutOfMemoryError", "AcceleratorError") and "CUDA out of memory" in str(cause):
            return "GPU"
        if isinstance(cause, MemoryError) or any(text in str(cause) for text in ("allocate memory", "bad_alloc")):
            return "host"
        cause = cause.__cause__ or cause.__context__
    return None
