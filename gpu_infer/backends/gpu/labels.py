"""Label maps: restore them to the file's grid, count labels, select the largest components, on the GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.labels import LabelOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.gpu.tables import RESTORE_ARGMAX_TILES, interpolated_rows_and_columns, plan_walk
from gpu_infer.backends.layout import code, in_memory_order, output, pointer, steps
from gpu_infer.backends.types import DeviceArray, Tables

_THREADS = 256
_BYTES_PER_THREAD = 8 * 16
"""Bytes of labels per thread of the histogram: PACKS of statistics.cu, of 16 bytes."""

_VOXELS_PER_THREAD = 32

_SLICES = 4
"""The constant of that name in restore_argmax.cu."""

_MOST_VOXELS = 1 << 32


class GpuLabelOperations(Operations, LabelOperations):
    def _restore_argmax(self, scores: DeviceArray, tables: Tables, labels: DeviceArray) -> None:
        """Ties within `tie_band` are counted."""
        with self._device.section("restore_argmax"):
            out = labels[None]
            layout = interpolated_rows_and_columns
            walk = plan_walk(scores, out, tables, layout, self._tables, tiles=RESTORE_ARGMAX_TILES, slices=_SLICES)
            walked = self._walked(walk, scores, out)
            del walked["swap"]
            packed = arguments.packed(
                arguments.RESTORE_ARGMAX,
                **walked,
                channels=scores.shape[0],
                ties=self._tally() if scores.shape[0] > 1 else 0,
                band=self.tie_band,
            )
            kind = f"restore_argmax_{'tile' if walk.tile else 'direct'}_{code(labels.dtype)}"
            self._launch_walk("restore_argmax", kind, walk, out, packed)

    def _largest_components(
        self, labels: DeviceArray, connectivity: int, only: Sequence[int] | None, out: DeviceArray
    ) -> None:
        """Needs 8 bytes per voxel for its work; voxels are counted in 32 bits.

        Raises ValueError for 2³² voxels or more.
        """
        if labels.size >= _MOST_VOXELS:
            raise ValueError(f"components are found among fewer than 2^32 voxels, found {labels.size}")
        classes = 1 << 8 * labels.dtype.itemsize
        treated = np.full(classes, only is None, np.uint8)
        treated[[label for label in only or () if 0 <= label < classes]] = 1
        with self._device.section("largest_components"):
            parent = self._device.allocate((labels.size,), np.uint32)
            sizes = self._device.allocate((labels.size,), np.uint32)
            best = self._device.zeroed((classes,), np.uint64)
            table = self._device.small_upload(treated)
            packed = arguments.packed(
                arguments.COMPONENTS,
                labels=pointer(labels),
                out=output(out),
                parent=pointer(parent),
                sizes=pointer(sizes),
                best=pointer(best),
                treated=pointer(table),
                labels_strides=steps(labels),
                out_strides=steps(out),
                size=labels.shape,
                connectivity=connectivity,
            )
            kind = code(labels.dtype)
            for step, per_block in (
                ("start", _THREADS),
                (f"join_{kind}", _THREADS),
                (f"settle_{kind}", _THREADS * _VOXELS_PER_THREAD),
                (f"rank_{kind}", _THREADS),
                (f"choose_{kind}", _THREADS),
            ):
                blocks = -(-labels.size // per_block)
                self._device.launch("components", f"components_{step}", blocks, packed, block=(_THREADS,))

    def _histogram(self, labels: DeviceArray) -> NDArray[np.int64]:
        """Labels on the host are counted there."""
        if isinstance(labels, np.ndarray):
            from gpu_infer.backends.cpu.backend import CpuBackend

            return CpuBackend().histogram(labels)
        classes = 1 << 8 * labels.dtype.itemsize
        with self._device.section("histogram"):
            table = self._device.zeroed((classes,), np.uint64)
            dense = self._dense(labels)
            packed = arguments.packed(
                arguments.HISTOGRAM, labels=pointer(in_memory_order(dense)), counts=pointer(table), size=dense.size
            )
            blocks = -(-dense.nbytes // (_THREADS * _BYTES_PER_THREAD))
            self._device.launch("statistics", f"histogram_{code(labels.dtype)}", blocks, packed, block=(_THREADS,))
            counts = self._device.small_download(table).astype(np.int64)
        return np.trim_zeros(counts, "b")
