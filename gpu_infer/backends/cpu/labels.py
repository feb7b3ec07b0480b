"""Label maps: restore them to the file's grid, count labels, select the largest components, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.labels import LabelOperations
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import flat_tables, frozen, reading, writing
from gpu_infer.backends.cpu.kernels.walk import plan_axis_walk
from gpu_infer.backends.types import HostArray, Tables

_JOBS = 16
"""Parts of a label map that threads share to count its voxels."""

_TABLE_BYTES = 1 << 20
"""Of the counts of all parts: the memory plan has no line for them."""


class CpuLabelOperations(LabelOperations):
    def _restore_argmax(self, scores: HostArray, tables: Tables, labels: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels.restore_argmax import restore_argmax

        # a tile of p holds a channel's plane, the best scores and their channels
        walk = plan_axis_walk(scores, labels[np.newaxis], tables, scratch_itemsize=12, condense=True)
        src, dst = reading(scores.transpose(walk.axes)), writing(labels[np.newaxis].transpose(walk.axes)[0])
        with LAUNCH:
            restore_argmax(src, dst, walk.sizes, frozen(walk.used), flat_tables(walk.tables))

    def _largest_components(
        self, labels: HostArray, connectivity: int, treated: NDArray[np.uint8], out: HostArray
    ) -> None:
        from gpu_infer.backends.cpu.kernels.components import Components

        with LAUNCH:
            components = Components(labels, connectivity)
            components.choose_largest()
            components.replace(components.chosen, labels, treated, 0, out)

    def _largest_component(
        self, labels: HostArray, connectivity: int, treated: NDArray[np.uint8], out: HostArray
    ) -> None:
        from gpu_infer.backends.cpu.kernels.components import Components

        mask = self._mask(labels, treated)
        with LAUNCH:
            components = Components(mask, connectivity)
            components.choose_largest()
            components.replace(components.chosen, labels, treated, 0, out)

    def _remove_small_components(
        self,
        labels: HostArray,
        connectivity: int,
        least: int,
        treated: NDArray[np.uint8],
        joined: bool,
        out: HostArray,
    ) -> None:
        from gpu_infer.backends.cpu.kernels.components import Components

        source = self._mask(labels, treated) if joined else labels
        with LAUNCH:
            Components(source, connectivity).replace(least, labels, treated, 0, out)

    def _fill_holes(self, labels: HostArray, connectivity: int, label: int, out: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels.components import Components

        others = np.ones(1 << 8 * labels.dtype.itemsize, np.uint8)
        others[label] = 0
        mask = self._mask(labels, others)
        with LAUNCH:
            components = Components(mask, connectivity)
            components.choose_on_border()
            components.replace(components.chosen, labels, others, label, out)

    def _mask(self, labels: HostArray, table: NDArray[np.uint8]) -> HostArray:
        """table[labels], in the memory order of `labels`."""
        mask = np.empty_like(labels, np.uint8)
        self._lookup(labels[np.newaxis], table, mask[np.newaxis])
        return mask

    def _histogram(self, labels: HostArray) -> NDArray[np.int64]:
        from gpu_infer.backends.cpu.kernels.labels import count_labels
        from gpu_infer.backends.cpu.kernels.runs import flat_labels

        flat = reading(labels).data
        if flat.size != labels.size:
            flat = labels.ravel(order="K")
        classes = int(flat.max()) + 1
        tables = np.zeros((max(1, min(_JOBS, _TABLE_BYTES // (8 * classes))), classes), np.int64)
        with LAUNCH:
            count_labels(flat_labels(flat), tables)
        counts: NDArray[np.int64] = tables.sum(axis=0)
        return counts
