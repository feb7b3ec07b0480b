"""Connected components of a label map: the largest of each label, those of a size, those at the border.

`joining` finds them and describes the tables of parents and sizes, which take `component_bytes`, whatever the labels
are.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, kernel, sequential
from gpu_infer.backends.cpu.kernels.joining import ROOT, SIZE, TIED, find_components, join_slabs, root_of
from gpu_infer.backends.cpu.kernels.runs import FlatLabels, flat_labels, run_end
from gpu_infer.backends.cpu.kernels.strided import Flat, Shape, frozen, reading, writing
from gpu_infer.backends.labels import MOST_VOXELS
from gpu_infer.backends.types import HostArray

_ROW_BYTES = 1 << 22
"""Of the largest components, for all slabs together."""


@sequential
def choose_largest(
    source: FlatLabels,
    shape: Shape,
    origin: int,
    steps: NDArray[np.int64],
    parents: Buffer,
    sizes: Buffer,
    largest: Buffer,
    chosen: int,
) -> None:
    """Choose one component of the largest size of each label, that with the lowest place of a voxel.

    origin, steps  a voxel's place is origin + i·steps[0] + j·steps[1] + k·steps[2]
    """
    labels, offset, (s_i, s_j, s_k), words, before = source
    n_i, n_j, n_k = shape
    best, is_tied = largest[0], False
    for slab in range(1, largest.shape[0]):
        for label in range(1, best.shape[0]):
            row = largest[slab, label]
            if row[SIZE] > best[label, SIZE]:
                best[label] = row
            elif row[SIZE] == best[label, SIZE] and row[ROOT] != best[label, ROOT]:
                best[label, TIED] = 1
    for label in range(1, best.shape[0]):
        is_tied |= best[label, SIZE] > 0 and best[label, TIED] != 0
    if is_tied:
        places = np.full(best.shape[0], n_i * n_j * n_k, np.int64)
        for i in range(n_i):
            for j in range(n_j):
                row = offset + i * s_i + j * s_j
                number = (i * n_j + j) * n_k
                place = origin + i * steps[0] + j * steps[1]
                k = 0
                while k < n_k:
                    end = run_end(labels, words, before, row, s_k, k, n_k)
                    label = labels[np.uintp(row + k * s_k)]
                    if label != 0 and best[label, TIED] != 0:
                        lowest = place + min(k * steps[2], (end - 1) * steps[2])
                        if lowest < places[label]:
                            root = root_of(parents, number + k)
                            if sizes[np.uintp(root)] == best[label, SIZE]:
                                places[label], best[label, ROOT] = lowest, root
                    k = end
    for label in range(1, best.shape[0]):
        if best[label, SIZE] > 0:
            sizes[np.uintp(best[label, ROOT])] = chosen


@sequential
def choose_on_border(source: FlatLabels, shape: Shape, parents: Buffer, sizes: Buffer, chosen: int) -> None:
    """Choose the components with a voxel on a face of the volume."""
    labels, offset, (s_i, s_j, s_k), _, _ = source
    n_i, n_j, n_k = shape
    for i in range(n_i):
        for j in range(n_j):
            is_face = i == 0 or i == n_i - 1 or j == 0 or j == n_j - 1
            for k in range(0, n_k, 1 if is_face else max(n_k - 1, 1)):
                if labels[np.uintp(offset + i * s_i + j * s_j + k * s_k)] != 0:
                    sizes[np.uintp(root_of(parents, (i * n_j + j) * n_k + k))] = chosen


@kernel
def replace_others(
    parents: Buffer, sizes: Buffer, least: int, source: Flat, treated: Buffer, value: int, output: Flat, shape: Shape
) -> None:
    """out[i, j, k] = labels[i, j, k] if its component has `least` voxels or its label is not treated, else value."""
    labels, offset, (s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    n_i, n_j, n_k = shape
    for i in prange(n_i):
        for j in range(n_j):
            a = offset + i * s_i + j * s_j
            at = out_offset + i * d_i + j * d_j
            number = (i * n_j + j) * n_k
            last, stays = -1, True  # voxels of a run mostly have one parent
            for k in range(n_k):
                label = labels[np.uintp(a + k * s_k)]
                if treated[np.uintp(label)] == 0:
                    out[np.uintp(at + k * d_k)] = label
                    continue
                parent: int = np.int64(parents[np.uintp(number + k)])  # type: ignore[assignment]
                if parent != last:
                    last = parent
                    while parents[np.uintp(parent)] != parent:
                        parent = np.int64(parents[np.uintp(parent)])  # type: ignore[assignment]
                    stays = sizes[np.uintp(parent)] >= least
                out[np.uintp(at + k * d_k)] = label if stays else value


class Components:
    """The components of a label map [X, Y, Z], seen with its memory's fastest axis last.

    chosen  the size that a component gets so that it stays, whatever its size is
    """

    def __init__(self, labels: HostArray, connectivity: int, number: type[np.unsignedinteger] | None = None) -> None:
        _, y, z = labels.shape
        self._axes = tuple(int(a) for a in np.argsort([-abs(s) for s in labels.strides], kind="stable"))
        # backwards axes are read forwards: connectivity does not depend on the direction
        self._flips = tuple(slice(None, None, -1 if labels.strides[a] < 0 else 1) for a in self._axes)
        stored = self._as_stored(labels)
        self._source, self._shape = flat_labels(stored), stored.shape
        number = number or (np.uint32 if labels.size < MOST_VOXELS else np.uint64)
        self._parents, self._sizes = np.empty(labels.size, number), np.empty(labels.size, number)
        self.chosen = min(int(np.iinfo(number).max), int(np.iinfo(np.int64).max))
        row = (int(labels.max()) + 1) * 3 * 8
        slabs = max(1, min(numba.get_num_threads(), self._shape[0], _ROW_BYTES // row))
        self._largest = np.zeros((slabs, row // 24, 3), np.int64)
        self._steps = np.array([y * z, z, 1], np.int64)[list(self._axes)]
        self._origin = 0
        for axis, flip in enumerate(self._flips):
            if flip.step == -1:
                self._origin += int(self._steps[axis]) * (self._shape[axis] - 1)
                self._steps[axis] *= -1
        tables = self._parents, self._sizes, self._largest
        find_components(self._source, self._shape, connectivity, *tables)
        join_slabs(self._source, self._shape, connectivity, *tables)

    def _as_stored(self, array: HostArray) -> HostArray:
        """A view of [X, Y, Z] with the axes and directions of the label map in memory."""
        return array.transpose(self._axes)[self._flips]

    def choose_largest(self) -> None:
        """Choose the largest component of each label; of several, the one with the first voxel in scan order."""
        tables = self._parents, self._sizes, self._largest
        choose_largest(self._source, self._shape, self._origin, self._steps, *tables, self.chosen)

    def choose_on_border(self) -> None:
        """Choose the components with a voxel on a face of the volume."""
        choose_on_border(self._source, self._shape, self._parents, self._sizes, self.chosen)

    def replace(self, least: int, labels: HostArray, treated: NDArray[np.uint8], value: int, out: HostArray) -> None:
        """out = labels if a voxel's component has `least` voxels or its label is not treated, else value.

        least        `chosen`: the chosen components stay
        labels, out  [X, Y, Z] of the shape of the map whose components these are, which has one at each voxel of a
                     treated label; out may be labels
        treated      by label, 0 if it stays
        """
        source, target = reading(self._as_stored(labels)), writing(self._as_stored(out))
        replace_others(self._parents, self._sizes, least, source, frozen(treated), value, target, self._shape)
