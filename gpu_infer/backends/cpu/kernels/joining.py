"""Join the runs of equal labels to connected components, each slab of the slowest axis by itself and then all.

Voxels are numbered in the order of memory, and joined by `parents`: the parent of a voxel is the first one of its run
along the fastest axis, whose parent is a voxel of a lower number in the same component. The lowest is the root: it is
its own parent, and has the component's size. Voxels of label 0 have no component.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from gpu_infer.backends.cpu.kernels.jit import Buffer, helper, kernel, sequential
from gpu_infer.backends.cpu.kernels.runs import FlatLabels, run_end
from gpu_infer.backends.cpu.kernels.strided import Shape

SIZE, ROOT, TIED = 0, 1, 2
"""Fields of a row of largest components: the size, the root, and whether another component has this size."""

_SHORT = 8
"""Voxels of a run that are compared one by one: longer ones by words."""


@helper
def root_of(parents: Buffer, voxel: int) -> int:
    """The root of a voxel, with half of the steps to it removed for the next search."""
    while True:
        parent: int = np.int64(parents[np.uintp(voxel)])  # type: ignore[assignment]
        above: int = np.int64(parents[np.uintp(parent)])  # type: ignore[assignment]
        if above == parent:
            return parent
        parents[np.uintp(voxel)] = above
        voxel = above


@helper
def _join(parents: Buffer, sizes: Buffer, one: int, other: int) -> int:
    """Give two components one root, the lower one, which is returned; `one` is a root."""
    other = root_of(parents, other)
    if other == one:
        return one
    low, high = min(one, other), max(one, other)
    parents[np.uintp(high)] = low
    sizes[np.uintp(low)] += sizes[np.uintp(high)]
    return low


@helper
def _join_run(
    labels: Buffer,
    row: int,
    strides: Shape,
    shape: Shape,
    run: Shape,
    before: tuple[bool, bool],
    connectivity: int,
    parents: Buffer,
    sizes: Buffer,
) -> int:
    """Join a run to those of its label that it touches in the lines before it; returns the root of all of them.

    The lines are (i − 1, j), (i, j − 1), (i − 1, j − 1), (i − 1, j + 1). One is left out if a run in an earlier line,
    which the lines have in common as a neighbour, covers this run: all that it touches there touches that run, too.

    row     element of the first voxel of the run's line
    run     i, j, first voxel, voxel after the last one
    before  whether to look at lines of plane i − 1, and at line j − 1 of plane i
    """
    s_i, s_j, s_k = strides
    _, n_j, n_k = shape
    i, j, begin, end = run
    label = labels[np.uintp(row + begin * s_k)]
    root = root_of(parents, (i * n_j + j) * n_k + begin)
    below = above = False
    for line in range(2 if connectivity == 1 else 4):
        back = 0 if line == 1 else 1
        side = 0 if line == 0 else 1 if line == 3 else -1
        if not before[0 if back else 1] or not 0 <= j + side < n_j:
            continue
        if (below and (line > 1 or connectivity == 3)) or (above and line == 2):
            continue
        voxel, stop = begin, end
        if connectivity == 3 or (connectivity == 2 and line < 2):
            voxel, stop = max(begin - 1, 0), min(end + 1, n_k)
        at = row - back * s_i + side * s_j
        number = ((i - back) * n_j + j + side) * n_k
        while voxel < stop:
            if labels[np.uintp(at + voxel * s_k)] == label:
                root, since = _join(parents, sizes, root, number + voxel), voxel
                voxel += 1
                while voxel < stop and labels[np.uintp(at + voxel * s_k)] == label:
                    voxel += 1
                covers = since <= begin and voxel >= end
                below |= covers and line == 0
                above |= covers and line == 1
            voxel += 1
    return root


@helper
def _note(largest: Buffer, sizes: Buffer, label: int, root: int) -> None:
    """Take a component into the rows of the largest ones by label."""
    size, at = np.int64(sizes[np.uintp(root)]), np.uintp(label)
    if size < largest[at, SIZE]:
        return
    if size > largest[at, SIZE]:
        largest[at, SIZE], largest[at, ROOT], largest[at, TIED] = size, root, 0
    elif root != largest[at, ROOT]:
        largest[at, TIED] = 1


@kernel
def find_components(
    source: FlatLabels, shape: Shape, connectivity: int, parents: Buffer, sizes: Buffer, largest: Buffer
) -> None:
    """Find the components within each slab of the slowest axis.

    largest  int64 [slabs, labels, 3], zeros before: of each slab by label
    """
    labels, offset, (s_i, s_j, s_k), words, before = source
    n_i, n_j, n_k = shape
    slabs = largest.shape[0]
    for slab in prange(slabs):
        part = FlatLabels(labels, offset, (s_i, s_j, s_k), words, before)
        first, end = slab * n_i // slabs, (slab + 1) * n_i // slabs
        _find_in_slab(part, first, end, (n_i, n_j, n_k), connectivity, parents, sizes, largest[slab])


@helper
def _find_in_slab(
    source: FlatLabels,
    first: int,
    end: int,
    shape: Shape,
    connectivity: int,
    parents: Buffer,
    sizes: Buffer,
    largest: Buffer,
) -> None:
    """`find_components` in the planes from `first` to `end`."""
    labels, offset, (s_i, s_j, s_k), words, before = source
    _, n_j, n_k = shape
    for i in range(first, end):
        for j in range(n_j):
            row = offset + i * s_i + j * s_j
            number = (i * n_j + j) * n_k
            k = 0
            while k < n_k:
                label = labels[np.uintp(row + k * s_k)]
                if label == 0:
                    short = min(k + _SHORT, n_k)
                    k += 1
                    while k < short and labels[np.uintp(row + k * s_k)] == 0:
                        k += 1
                    if k == short:
                        k = run_end(labels, words, before, row, s_k, k - 1, n_k)
                    continue
                root, after, short = number + k, k + 1, min(k + _SHORT, n_k)
                parents[np.uintp(root)] = root
                while after < short and labels[np.uintp(row + after * s_k)] == label:
                    parents[np.uintp(number + after)] = root
                    after += 1
                if after == short:
                    after = run_end(labels, words, before, row, s_k, k, n_k)
                    for voxel in range(number + short, number + after):
                        parents[np.uintp(voxel)] = root
                sizes[np.uintp(root)] = after - k
                before_run = (i > first, True)
                root = _join_run(
                    labels, row, (s_i, s_j, s_k), shape, (i, j, k, after), before_run, connectivity, parents, sizes
                )
                _note(largest, sizes, label, root)
                k = after


@sequential
def join_slabs(
    source: FlatLabels, shape: Shape, connectivity: int, parents: Buffer, sizes: Buffer, largest: Buffer
) -> None:
    """Join the runs of each slab's first plane with those of the plane before it; `largest` as `find_components`."""
    labels, offset, (s_i, s_j, s_k), words, before = source
    n_i, n_j, n_k = shape
    slabs = largest.shape[0]
    for slab in range(1, slabs):
        i = slab * n_i // slabs
        for j in range(n_j):
            row = offset + i * s_i + j * s_j
            k = 0
            while k < n_k:
                after = run_end(labels, words, before, row, s_k, k, n_k)
                label = labels[np.uintp(row + k * s_k)]
                if label != 0:
                    run = (i, j, k, after)
                    root = _join_run(
                        labels, row, (s_i, s_j, s_k), shape, run, (True, False), connectivity, parents, sizes
                    )
                    _note(largest[slab], sizes, label, root)
                k = after
