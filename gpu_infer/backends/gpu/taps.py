"""Resampling by more neighbours than two per axis, on the GPU."""

from __future__ import annotations

import weakref

import numpy as np

from gpu_infer.backends.base.taps import TapOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import BLOCK, Device
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.layout import axis_order, code, output, pointer, steps
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TablePart, TapTable
from gpu_infer.backends.types import DeviceArray


class GpuTapOperations(Operations, TapOperations):
    """The kernel reads either byte order in place."""

    def __init__(self, device: Device, tie_band: float) -> None:
        super().__init__(device, tie_band)
        self._tap_tables: weakref.WeakKeyDictionary[TapTable, DeviceArray] = weakref.WeakKeyDictionary()

    def _taps_along(
        self,
        source: DeviceArray,
        out: DeviceArray,
        axis: int,
        part: TablePart,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        with self._device.section("resample_taps"):
            o, p, q = axis_order(source[None], out[None])
            read, written = source.transpose(o, p, q)[None], out.transpose(o, p, q)[None]
            entries, outputs = self._entries(part.table), len(part.table)
            first = pointer(entries) + 4 * part.start
            packed = arguments.packed(
                arguments.TAPS,
                src=pointer(read) - part.base * source.strides[axis],  # of the sample with the index 0
                dst=output(written),
                first=first,
                count=first + 4 * outputs,
                weights=first + 8 * outputs,
                src_strides=steps(read),
                dst_strides=steps(written),
                size=written.shape,
                outputs=outputs,
                before=before.constants(),
                after=after.constants(),
                axis=1 + (o, p, q).index(axis),
                swap=not source.dtype.isnative,
            )
            _, deep, high, wide = written.shape
            blocks = deep * -(-high // ROWS["taps"]) * -(-wide // BLOCK[0])
            self._device.launch("taps", f"taps_{code(source.dtype)}_{code(out.dtype)}", blocks, packed)

    def _entries(self, table: TapTable) -> DeviceArray:
        """int32 [n]: first, count and the weights [taps, outputs]; for as long as the host table exists."""
        entries = self._tap_tables.get(table)
        if entries is None:
            weights = np.ascontiguousarray(table.weights.T).view(np.int32).reshape(-1)
            entries = self._device.small_upload(np.concatenate([table.first, table.count, weights]))
            self._tap_tables[table] = entries
        return entries
