"""The model's input, one strip of windows at a time, and labels on their way back to the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.accumulator import mirrored
from gpu_infer.inferers.strip_accumulator import FinalLabels
from gpu_infer.inferers.windows import Window, WindowGrid, runs
from gpu_infer.transforms.chain.restore import inverse
from gpu_infer.transforms.chain.strips import Box, StripChain
from gpu_infer.triton.ring import Slot
from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.geometry import Orientation, Shape3


class StripSource:
    """Fills slots with windows; holds the prepared voxels of one strip, [1, X, Y, Z] in the model's dtype.

    fill  value outside the volume; None: that of the nearest voxel
    nan   stored value that replaces voxels that are NaN or infinite; None: they stay
    """

    def __init__(
        self,
        backend: Backend,
        grid: WindowGrid,
        chain: StripChain,
        reader: BoxReader,
        *,
        dtype: DTypeLike,
        fill: float | None,
        nan: float | None = None,
    ) -> None:
        self._backend, self._grid, self._chain, self._reader = backend, grid, chain, reader
        self._dtype, self._fill, self._nan = np.dtype(dtype), fill, nan
        self._strip: Box | None = None
        self._prepared: Array | None = None

    def fill_slot(self, slot: Slot, windows: Sequence[Window]) -> None:
        """Write the voxels of `windows` into a slot, in order."""
        a, b, _ = self._grid.visit_order
        for row, run in runs(windows, lambda window: (window.start[a], window.start[b], window.mirror)):
            box = strip_box(self._grid, run[0])
            prepared = self._prepare(box)
            starts = [_minus(window.start, box) for window in run]
            self._backend.gather(prepared, starts, mirrored(slot.input[row:], run[0].mirror), self._fill)

    def _prepare(self, box: Box) -> Array:
        if self._prepared is not None and self._strip == box:
            return self._prepared
        self._prepared = None  # freed before the next one is allocated
        i, j, k = stored(self._chain.orientation, self._chain.source_box(box), self._reader.shape)
        read = self._reader.read(j, k)
        if self._nan is not None and read.dtype.kind == "f":
            read[~np.isfinite(read)] = self._nan
        voxels = self._chain.orientation.view(self._backend.upload(read)[:, i])
        out = self._backend.empty((1, *(rows.stop - rows.start for rows in box)), self._dtype)
        self._chain.prepare(voxels, box, out, self._backend)
        self._strip, self._prepared = box, out
        return out


class LabelsToFile:
    """Brings final labels to the grid of the file, and counts them.

    shape  I, J, K of the file
    write  receives labels [I, j', k'] of whole rows on the host, the first row and the first slice
    """

    def __init__(
        self, backend: Backend, chain: StripChain, shape: Shape3, write: Callable[[NDArray[np.integer], int, int], None]
    ) -> None:
        self._backend, self._chain, self._shape, self._write = backend, chain, shape, write
        self._counts = np.zeros(1, np.int64)

    @property
    def counts(self) -> list[int]:
        """Voxels of each label, 0 to the largest one."""
        counts: list[int] = self._counts.tolist()
        return counts

    def take(self, final: FinalLabels) -> None:
        """Restore a box of labels, count it, and write it."""
        x, y, z = (slice(low, low + n) for low, n in zip(final.low, final.labels.shape, strict=True))
        rows = self._chain.restored_box((x, y, z))
        if any(part.stop <= part.start for part in rows):
            return
        i, j, k = stored(self._chain.orientation, rows, self._shape)
        assert i == slice(0, self._shape[0])
        out = self._backend.empty((k.stop - k.start, j.stop - j.start, self._shape[0]), final.labels.dtype)
        in_file = out.transpose(2, 1, 0)
        self._chain.restore(final.labels, (x, y, z), self._chain.orientation.view(in_file), self._backend)
        self._count(np.asarray(self._backend.histogram(in_file)))
        self._write(self._backend.download(in_file), j.start, k.start)

    def _count(self, counts: NDArray[np.integer]) -> None:
        if counts.size > self._counts.size:
            self._counts = np.concatenate([self._counts, np.zeros(counts.size - self._counts.size, np.int64)])
        self._counts[: counts.size] += counts


def strip_box(grid: WindowGrid, window: Window) -> Box:
    """The box of the grid that the strip of a window reads: the window's rows along A and B, all of C."""
    a, b, _ = grid.visit_order
    box = [slice(0, n) for n in grid.shape]
    for axis in (a, b):
        start = window.start[axis]
        box[axis] = slice(max(start, 0), min(start + grid.roi[axis], grid.shape[axis]))
    return (box[0], box[1], box[2])


def stored(orientation: Orientation, box: Box, shape: Shape3) -> Box:
    """The box of a stored volume of `shape` I, J, K that is `box` in its loaded axes."""
    rows = [slice(0, 0)] * 3
    for loaded, (axis, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
        low, high = box[loaded].start, box[loaded].stop
        rows[axis] = slice(shape[axis] - high, shape[axis] - low) if flip else slice(low, high)
    return (rows[0], rows[1], rows[2])


def file_order(orientation: Orientation) -> Shape3:
    """The loaded axes from the slowest of the file to the fastest."""
    i, j, k = inverse(orientation).axes
    return (k, j, i)


def _minus(start: Shape3, box: Box) -> Shape3:
    x, y, z = (s - rows.start for s, rows in zip(start, box, strict=True))
    return (x, y, z)
