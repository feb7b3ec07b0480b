"""Label maps: restore them to the file's grid, count labels, select the largest components, on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.labels import LabelOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import Operations, slabs
from gpu_infer.backends.gpu.tables import RESTORE_ARGMAX_TILES, interpolated_rows_and_columns, plan_walk
from gpu_infer.backends.labels import MOST_VOXELS
from gpu_infer.backends.layout import code, in_memory_order, output, pointer, steps
from gpu_infer.backends.types import DeviceArray, Tables

_THREADS = 256
_BYTES_PER_THREAD = 8 * 16
"""Bytes of labels per thread of the histogram: PACKS of statistics.cu, of 16 bytes."""

_VOXELS_PER_THREAD = 32

_SLICES = 4
"""The constant of that name in restore_argmax.cu."""

_ON_BORDER = (1 << 32) - 1
"""The size that components_border gives a component on a face of the volume."""


class Sieve(NamedTuple):
    """A label map whose voxels stay or get another label by the component that they are in.

    labels    [X, Y, Z] whose components are found: the label map, or a mask uint8 of joined labels
    original  the label map [X, Y, Z]
    treated   by label, 0 if it stays
    out       as `original`
    least     voxels of a component that stays
    value     the other label
    """

    labels: DeviceArray
    original: DeviceArray
    treated: NDArray[np.uint8]
    out: DeviceArray
    least: int = 0
    value: int = 0


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
        self, labels: DeviceArray, connectivity: int, treated: NDArray[np.uint8], out: DeviceArray
    ) -> None:
        """Needs 8 bytes per voxel for its work."""
        last = ("rank", labels.dtype), ("choose", labels.dtype)
        self._run_components(Sieve(labels, labels, treated, out), connectivity, last)

    def _largest_component(
        self, labels: DeviceArray, connectivity: int, treated: NDArray[np.uint8], out: DeviceArray
    ) -> None:
        """Needs 9 bytes per voxel for its work."""
        mask = self._mask(labels, treated)
        last = ("rank", mask.dtype), ("choose_joined", labels.dtype)
        self._run_components(Sieve(mask, labels, treated, out), connectivity, last)

    def _remove_small_components(
        self,
        labels: DeviceArray,
        connectivity: int,
        least: int,
        treated: NDArray[np.uint8],
        joined: bool,
        out: DeviceArray,
    ) -> None:
        """Needs 8 bytes per voxel for its work, 9 for joined labels."""
        source = self._mask(labels, treated) if joined else labels
        self._run_components(Sieve(source, labels, treated, out, least), connectivity, (("sift", labels.dtype),))

    def _fill_holes(self, labels: DeviceArray, connectivity: int, label: int, out: DeviceArray) -> None:
        """Needs 9 bytes per voxel for its work."""
        others = np.ones(1 << 8 * labels.dtype.itemsize, np.uint8)
        others[label] = 0
        sieve = Sieve(self._mask(labels, others), labels, others, out, _ON_BORDER, label)
        self._run_components(sieve, connectivity, (("border", None), ("sift", labels.dtype)))

    def _mask(self, labels: DeviceArray, table: NDArray[np.uint8]) -> DeviceArray:
        """table[labels]"""
        with self._device.section("components"):
            mask = self._device.allocate(labels.shape, np.uint8)
            self._lookup(labels[None], table, mask[None])
        return mask

    def _run_components(
        self, sieve: Sieve, connectivity: int, last: Sequence[tuple[str, np.dtype[Any] | None]]
    ) -> None:
        """Find the components of `sieve.labels`, then run the last steps, with the dtype in their kernels' names."""
        labels, out = sieve.labels, sieve.out
        if labels.size >= MOST_VOXELS:
            raise ValueError(f"components are found among fewer than 2^32 voxels, found {labels.size}")
        with self._device.section("components"):
            parent = self._device.allocate((labels.size,), np.uint32)
            sizes = self._device.allocate((labels.size,), np.uint32)
            best = self._device.zeroed((1 << 8 * labels.dtype.itemsize,), np.uint64)
            table = self._device.small_upload(sieve.treated)
            packed = arguments.packed(
                arguments.COMPONENTS,
                labels=pointer(labels),
                out=output(out),
                parent=pointer(parent),
                sizes=pointer(sizes),
                best=pointer(best),
                treated=pointer(table),
                original=pointer(sieve.original),
                labels_strides=steps(labels),
                out_strides=steps(out),
                original_strides=steps(sieve.original),
                size=labels.shape,
                least=sieve.least,
                connectivity=connectivity,
                value=sieve.value,
            )
            for step, dtype in (("start", None), ("join", labels.dtype), ("settle", labels.dtype), *last):
                per_block = _THREADS * (_VOXELS_PER_THREAD if step == "settle" else 1)
                kind = f"components_{step}" + ("" if dtype is None else f"_{code(dtype)}")
                self._device.launch("components", kind, -(-labels.size // per_block), packed, block=(_THREADS,))

    def _histogram(self, labels: DeviceArray) -> NDArray[np.int64]:
        """Labels on the host are counted there."""
        if isinstance(labels, np.ndarray):
            from gpu_infer.backends.cpu.backend import CpuBackend

            return CpuBackend().histogram(labels)
        classes = 1 << 8 * labels.dtype.itemsize
        with self._device.section("histogram"):
            table = self._device.zeroed((classes,), np.uint64)
            slowest = max(range(labels.ndim), key=lambda a: (labels.shape[a] > 1, abs(labels.strides[a])), default=0)
            for slab in slabs(labels, slowest):
                self._add_histogram(slab, table)
            counts = self._device.small_download(table).astype(np.int64)
        return np.trim_zeros(counts, "b")

    def _add_histogram(self, labels: DeviceArray, table: DeviceArray) -> None:
        dense = self._dense(labels)
        packed = arguments.packed(
            arguments.HISTOGRAM, labels=pointer(in_memory_order(dense)), counts=pointer(table), size=dense.size
        )
        blocks = -(-dense.nbytes // (_THREADS * _BYTES_PER_THREAD))
        self._device.launch("statistics", f"histogram_{code(labels.dtype)}", blocks, packed, block=(_THREADS,))
