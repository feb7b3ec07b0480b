"""Label maps: restore them to the file's grid, count labels, select the largest components, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.labels import LabelOperations
from gpu_infer.backends.cpu.kernels.components import Components
from gpu_infer.backends.cpu.kernels.jit import LAUNCH
from gpu_infer.backends.cpu.kernels.labels import count_labels
from gpu_infer.backends.cpu.kernels.restore_argmax import restore_argmax
from gpu_infer.backends.cpu.kernels.runs import flat_labels
from gpu_infer.backends.cpu.kernels.strided import flat_tables, frozen, reading, writing
from gpu_infer.backends.cpu.kernels.walk import plan_axis_walk
from gpu_infer.backends.types import HostArray, Tables


class CpuLabelOperations(LabelOperations):
    def _restore_argmax(self, scores: HostArray, tables: Tables, labels: HostArray) -> None:
        # a tile of p holds a channel's plane, the best scores and their channels
        walk = plan_axis_walk(scores, labels[np.newaxis], tables, scratch_itemsize=12, condense=True)
        src, dst = reading(scores.transpose(walk.axes)), writing(labels[np.newaxis].transpose(walk.axes)[0])
        with LAUNCH:
            restore_argmax(src, dst, walk.sizes, frozen(walk.used), flat_tables(walk.tables))

    def _largest_components(
        self, labels: HostArray, connectivity: int, only: Sequence[int] | None, out: HostArray
    ) -> None:
        with LAUNCH:
            components = Components(labels, connectivity)
            components.write(components.remaining_labels(only), out)

    def _histogram(self, labels: HostArray) -> NDArray[np.int64]:
        flat = reading(labels).data
        if flat.size != labels.size:
            flat = labels.ravel(order="K")
        with LAUNCH:
            counts: NDArray[np.int64] = count_labels(flat_labels(flat), 1 << 8 * labels.dtype.itemsize)
        return counts[: int(np.flatnonzero(counts)[-1]) + 1]
