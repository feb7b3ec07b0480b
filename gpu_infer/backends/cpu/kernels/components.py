"""Connected components of a label map: the largest of each label, those of a size, those at the border.

cc3d finds the components, of all labels at once; the kernels here measure them and write those that remain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel
from gpu_infer.backends.cpu.kernels.strided import Flat, frozen, reading, writing
from gpu_infer.backends.types import HostArray

_NEIGHBOURS = {1: 6, 2: 18, 3: 26}
"""Neighbours of a voxel that share a face, an edge, a corner."""


@helper
def _measure(
    labels: HostArray,
    components: NDArray[np.uint32],
    origin: int,
    steps: NDArray[np.int64],
    sizes: Buffer,
    ids: Buffer,
    first: Buffer,
) -> None:
    """Per component: voxels, label, and the lowest origin + i·steps[0] + j·steps[1] + k·steps[2] of its voxels.

    labels, components  [I, J, K], read run by run; sizes int64, ids of the labels' type, first int64 [components + 1]
    """
    n_i, n_j, n_k = components.shape
    for i in range(n_i):
        for j in range(n_j):
            base = origin + i * steps[0] + j * steps[1]
            since = 0
            for k in range(1, n_k + 1):
                if k == n_k or components[i, j, k] != components[i, j, since]:
                    component = components[i, j, since]
                    ids[component] = labels[i, j, since]
                    sizes[component] += k - since
                    lowest = base + min(since * steps[2], (k - 1) * steps[2])
                    first[component] = min(first[component], lowest)
                    since = k


@kernel
def _write(components: NDArray[np.uint32], remaining: Buffer, output: Flat) -> None:
    """out[i, j, k] = remaining[components[i, j, k]]."""
    out, out_offset, (d_i, d_j, d_k) = output
    n_i, n_j, n_k = components.shape
    for i in prange(n_i):
        for j in range(n_j):
            at = out_offset + i * d_i + j * d_j
            for k in range(n_k):
                out[np.uintp(at + k * d_k)] = remaining[components[i, j, k]]


@kernel
def _replace(
    components: NDArray[np.uint32],
    stays: Buffer,
    source: Flat,
    treated: Buffer,
    value: int,
    output: Flat,
) -> None:
    """out[i, j, k] = labels[i, j, k] if stays[components[i, j, k]] or the label is not treated, else value."""
    labels, offset, (s_i, s_j, s_k) = source
    out, out_offset, (d_i, d_j, d_k) = output
    n_i, n_j, n_k = components.shape
    for i in prange(n_i):
        for j in range(n_j):
            a = offset + i * s_i + j * s_j
            at = out_offset + i * d_i + j * d_j
            for k in range(n_k):
                label = labels[np.uintp(a + k * s_k)]
                if treated[np.uintp(label)] != 0 and not stays[components[i, j, k]]:
                    out[np.uintp(at + k * d_k)] = value
                else:
                    out[np.uintp(at + k * d_k)] = label


class Components:
    """The components of a label map [X, Y, Z], seen with its memory's fastest axis last."""

    def __init__(self, labels: HostArray, connectivity: int) -> None:
        import cc3d  # the one user of this library

        x, y, z = labels.shape
        self._axes = tuple(int(a) for a in np.argsort([-abs(s) for s in labels.strides], kind="stable"))
        # backwards axes are read forwards: connectivity does not depend on the direction
        self._flips = tuple(slice(None, None, -1 if labels.strides[a] < 0 else 1) for a in self._axes)
        # cc3d only reads, but takes no read-only memory
        plain = np.require(self._as_stored(labels), requirements=["C", "W", "A"])
        components = cc3d.connected_components(plain, connectivity=_NEIGHBOURS[connectivity], out_dtype=np.uint32)
        self._labels, self._components = frozen(plain), frozen(components)
        steps = np.array([y * z, z, 1], np.int64)[list(self._axes)]
        origin = 0
        for axis, flip in enumerate(self._flips):
            if flip.step == -1:
                origin += int(steps[axis]) * (self._labels.shape[axis] - 1)
                steps[axis] *= -1
        count = int(self._components.max()) + 1
        self.sizes = np.zeros(count, np.int64)
        self.ids = np.zeros(count, labels.dtype)
        self.first = np.full(count, x * y * z, np.int64)
        _measure(self._labels, self._components, origin, steps, self.sizes, self.ids, self.first)

    def _as_stored(self, array: HostArray) -> HostArray:
        """A view of [X, Y, Z] with the axes and directions of the label map in memory."""
        return array.transpose(self._axes)[self._flips]

    def remaining_labels(self, only: Sequence[int] | None) -> HostArray:
        """Per component, its label if it remains, else 0."""
        order = np.lexsort((self.first, -self.sizes, self.ids))
        ids = self.ids[order]
        largest = order[np.append(True, ids[1:] != ids[:-1])]
        remains = np.zeros(self.ids.size, np.bool_)
        remains[largest] = True
        if only is not None:
            remains |= ~np.isin(self.ids, list(only))
        return np.where(remains, self.ids, 0).astype(self.ids.dtype)

    def write(self, remaining: HostArray, out: HostArray) -> None:
        """out [X, Y, Z] = the entry of `remaining` for the voxel's component."""
        _write(self._components, frozen(remaining), writing(self._as_stored(out)))

    def on_border(self) -> HostArray:
        """Per component, whether it has a voxel on a face of the volume."""
        on_border = np.zeros(self.sizes.size, np.bool_)
        for axis in range(3):
            for end in (0, -1):
                on_border[np.take(self._components, end, axis)] = True
        return on_border

    def replace(
        self, stays: HostArray, labels: HostArray, treated: NDArray[np.uint8], value: int, out: HostArray
    ) -> None:
        """out = labels if `stays` is true for the voxel's component or its label is not treated, else value.

        labels, out  [X, Y, Z] of the shape of the map whose components these are; out may be labels
        treated      by label, 0 if it stays
        """
        source, target = self._as_stored(labels), writing(self._as_stored(out))
        _replace(self._components, frozen(stays), reading(source), frozen(treated), value, target)
