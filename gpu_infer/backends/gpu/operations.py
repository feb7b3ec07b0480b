"""What the groups share on the GPU: the device, tables on it, and compact copies of arrays with gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import BLOCK, Device
from gpu_infer.backends.gpu.pick import pick_grid, pick_walk
from gpu_infer.backends.gpu.tables import DeviceTables, Walk, grid_size
from gpu_infer.backends.layout import code, extent_in_memory, memory_order, output, pointer, reordered, steps
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.types import DeviceArray, HostArray, Tables

ROWS = {
    "prepare": 32,
    "turn": 32,
    "taps": 32,
    "restore_argmax": 16,
    "gather": 32,
    "blend": 8,
    "finish": 8,
    "masked": 32,
    "masks": 32,
    "scores": 8,
    "label_statistics": 32,
}
"""Rows per block: the constants of that name in the kernels."""


_SLAB_BYTES = 8 << 20
"""Of an array with gaps that is copied at a time, to be counted or measured."""


class Operations:
    def __init__(self, device: Device, tie_band: float) -> None:
        self._device = device
        self._tables = DeviceTables(device.small_upload)
        self.tie_band = tie_band
        self._tallies: DeviceArray | None = None  # uint64 [2]: tied voxels, NaN scores

    def _tally(self) -> int:
        """Address of the count of ties; that of NaN scores follows 8 bytes later. Allocated at the first call."""
        if self._tallies is None:
            self._tallies = self._device.zeroed((2,), np.uint64)
        return pointer(self._tallies)

    def _resample_nearest(self, source: DeviceArray, out: DeviceArray, tables: Tables) -> None:
        """See `PrepareOperations._resample_nearest`; the copy kernel takes any dtype of one width, too."""
        with self._device.section("restore"):
            walk = pick_walk(source, out, tables, self._tables)
            read, write = source.dtype.itemsize, out.dtype.itemsize
            widened = f"u{read}" if read == write else code(source.dtype)
            kind = f"pick_{'tile' if walk.tile else 'direct'}_{widened}_{write}"
            low, high = extent_in_memory(source)
            packed = arguments.packed(arguments.PICK, **self._walked(walk, source, out), low=low, high=high)
            blocks, block = pick_grid(walk, tuple(out.shape[a] for a in walk.axes))
            self._device.launch("restore", kind, blocks, packed, block=block, shared=walk.shared_bytes)

    def _walked(self, walk: Walk, source: DeviceArray, out: DeviceArray) -> dict[str, Any]:
        read, written = source.transpose(walk.axes), out.transpose(walk.axes)
        o, p, q = (self._tables.axis(*each) for each in zip(walk.tables, (0, walk.high, walk.tile), strict=True))
        return {
            "src": pointer(read),
            "dst": output(written),
            "o": o,
            "p": p,
            "q": q,
            "src_strides": steps(read),
            "dst_strides": steps(written),
            "size": written.shape,
            "tile": walk.tile,
            "pitch": walk.pitch,
            "swap": not source.dtype.isnative,
        }

    def _launch_walk(self, module: str, kind: str, walk: Walk, out: DeviceArray, packed: HostArray) -> None:
        shape = tuple(out.shape[a] for a in walk.axes)
        blocks = grid_size(walk, shape, ROWS[module], BLOCK[0])
        self._device.launch(module, kind, blocks, packed, shared=walk.shared_bytes)

    def _dense(self, array: DeviceArray) -> DeviceArray:
        """`array` itself, or a compact copy if it has gaps."""
        if memory_order(array) is not None:
            return array
        out = self._device.allocate(array.shape, array.dtype)
        self._compact(array, out)
        return out

    def _compact(self, array: DeviceArray, out: DeviceArray) -> None:
        """out = array, bit by bit, by the copy kernel, whose limit is four axes."""
        if array.ndim > 4:
            for n in range(array.shape[0]):
                self._compact(array[n], out[n])
            return
        bits = np.dtype(f"u{array.dtype.itemsize}")
        lead = (None,) * (4 - array.ndim)
        source, target = array[lead].view(bits), out[lead].view(bits)
        x, y, z = (identity_table(n) for n in source.shape[1:])
        self._resample_nearest(source, target, (x, y, z))


def slabs(array: DeviceArray, axis: int) -> list[DeviceArray]:
    """The array itself, or if it has gaps, slabs of it along `axis`, of which the memory plan needs no compact copy."""
    if memory_order(array) is not None:
        return [array]
    planes = array.shape[axis]
    step = max(1, _SLAB_BYTES * planes // array.nbytes)
    lead = (slice(None),) * axis
    return [array[(*lead, slice(first, first + step))] for first in range(0, planes, step)]


def pointer_or_null(array: DeviceArray | None) -> int:
    return 0 if array is None else pointer(array)


def steps_or_zero(array: DeviceArray | None, order: tuple[int, int, int]) -> tuple[int, ...]:
    return (0, 0, 0) if array is None else reordered(steps(array), order)
