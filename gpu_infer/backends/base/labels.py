"""Label maps: restore them to the file's grid, count labels, select the largest components."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.base.masks import LabelTable
from gpu_infer.backends.base.prepare import check_copies, check_resample, check_tables
from gpu_infer.backends.labels import MOST_VOXELS
from gpu_infer.backends.types import Array, Tables, TwinArray


class LabelOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def resample_labels(self, labels: Array, tables: Tables, out: Array) -> None:
        """out[x, y, z] = labels[tables' nearest index].

        Args:
            labels: [X, Y, Z] of an integer dtype.
            tables: Nearest tables with X', Y', Z' entries.
            out: [X', Y', Z'], any strided view of the same or a wider integer dtype.

        Raises:
            ValueError: If tables interpolate, or shapes or dtypes do not agree.
        """
        source, target = labels[None], out[None]
        check_resample(source, target, tables)
        check_copies(source, target, tables)
        if out.size:
            self._resample_nearest(source, target, tables)

    def restore_argmax(self, scores: Array, tables: Tables, labels: Array) -> None:
        """labels[x, y, z] = argmax over channels of the resampled scores, in one pass.

        The labels are those of `resample` into scores of the labels' memory order and of their `argmax`, to the last
        bit, but K scores per output voxel are never stored. NaN scores are not counted.

        Args:
            scores: [K, X, Y, Z] float32.
            tables: One per axis with X', Y', Z' entries.
            labels: [X', Y', Z'] uint8 or uint16, any strides.

        Raises:
            ValueError: If shapes, dtypes and tables do not agree, or K labels do not fit the dtype.
        """
        _check_restore_argmax(scores, tables, labels)
        if labels.size:
            self._restore_argmax(scores, tables, labels)

    def largest_components(
        self, labels: Array, connectivity: int, only: Sequence[int] | None, out: Array, *, joined: bool = False
    ) -> None:
        """out = labels if a voxel is in the largest connected component of its label, else 0.

        Of components of one size, the one with the lowest index (x·Y + y)·Z + z is the largest.

        Args:
            labels: [X, Y, Z] uint8 or uint16.
            connectivity: 1, 2 or 3: neighbours share a face, an edge, a corner.
            only: Labels to treat, the others do not change; None: all but 0.
            out: The same shape and dtype; it may be `labels`.
            joined: The treated labels are one foreground, of which the largest component stays.

        Raises:
            ValueError: If shapes, dtypes or the connectivity do not fit; on the GPU also for 2³² voxels or more.
        """
        _check_components(labels, connectivity, out)
        if labels.size and joined:
            self._largest_component(labels, connectivity, _table(labels, only), out)
        elif labels.size:
            self._largest_components(labels, connectivity, _table(labels, only), out)

    def remove_small_components(
        self,
        labels: Array,
        connectivity: int,
        least: int,
        only: Sequence[int] | None,
        out: Array,
        *,
        joined: bool = False,
    ) -> None:
        """out = labels if a voxel is in a connected component of its label of at least `least` voxels, else 0.

        Args:
            labels: [X, Y, Z] uint8 or uint16.
            connectivity: 1, 2 or 3: neighbours share a face, an edge, a corner.
            least: Voxels of the smallest component that stays, below 2³².
            only: Labels to treat, the others do not change; None: all but 0.
            out: The same shape and dtype; it may be `labels`.
            joined: The treated labels are one foreground, of which components are taken.

        Raises:
            ValueError: If shapes, dtypes, the connectivity or the size do not fit; on the GPU also for 2³² voxels or
                more.
        """
        _check_components(labels, connectivity, out)
        if not 0 <= least < MOST_VOXELS:
            raise ValueError(f"the least size must be in 0 … {MOST_VOXELS - 1}, found {least}")
        if labels.size:
            self._remove_small_components(labels, connectivity, least, _table(labels, only), joined, out)

    def fill_holes(self, labels: Array, connectivity: int, label: int, out: Array) -> None:
        """out = label if a voxel is in a hole of the label, else labels.

        A hole is a connected component of the voxels with other labels, 0 included, none of which is on a face of the
        volume.

        Args:
            labels: [X, Y, Z] uint8 or uint16.
            connectivity: Of the holes. 1, 2 or 3: neighbours share a face, an edge, a corner.
            label: At least 1.
            out: The same shape and dtype; it may be `labels`.

        Raises:
            ValueError: If shapes, dtypes, the connectivity or the label do not fit; on the GPU also for 2³² voxels or
                more.
        """
        _check_components(labels, connectivity, out)
        if not 1 <= label <= np.iinfo(labels.dtype).max:
            raise ValueError(f"label {label} is none of {labels.dtype}")
        if labels.size:
            self._fill_holes(labels, connectivity, label, out)

    def histogram(self, labels: Array) -> NDArray[np.int64]:
        """Count the voxels per label: int64 [highest label + 1] on the host, of length 0 if there are no voxels.

        Args:
            labels: uint8 or uint16 of any shape; on the GPU backend also a host array.

        Raises:
            ValueError: For another dtype.
        """
        if labels.dtype not in dtypes.LABELS:
            raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
        return self._histogram(labels) if labels.size else np.zeros(0, np.int64)

    @abstractmethod
    def _resample_nearest(self, source: TwinArray, out: TwinArray, tables: Tables) -> None:
        """See `PrepareOperations._resample_nearest`."""

    @abstractmethod
    def _lookup(self, labels: TwinArray, table: LabelTable, out: TwinArray) -> None:
        """See `MaskOperations._lookup`."""

    @abstractmethod
    def _restore_argmax(self, scores: TwinArray, tables: Tables, labels: TwinArray) -> None:
        """`restore_argmax` of arrays that are not empty."""

    @abstractmethod
    def _largest_components(
        self, labels: TwinArray, connectivity: int, treated: NDArray[np.uint8], out: TwinArray
    ) -> None:
        """`largest_components` of each label, of arrays that are not empty; `treated` is 1 for the labels to treat."""

    @abstractmethod
    def _largest_component(
        self, labels: TwinArray, connectivity: int, treated: NDArray[np.uint8], out: TwinArray
    ) -> None:
        """`largest_components` of joined labels, of arrays that are not empty; `treated` is 1 for these labels."""

    @abstractmethod
    def _remove_small_components(
        self,
        labels: TwinArray,
        connectivity: int,
        least: int,
        treated: NDArray[np.uint8],
        joined: bool,
        out: TwinArray,
    ) -> None:
        """`remove_small_components` of arrays that are not empty; `treated` is 1 for the labels to treat."""

    @abstractmethod
    def _fill_holes(self, labels: TwinArray, connectivity: int, label: int, out: TwinArray) -> None:
        """`fill_holes` of arrays that are not empty."""

    @abstractmethod
    def _histogram(self, labels: TwinArray) -> NDArray[np.int64]:
        """`histogram` of an array that is not empty."""


def check_labels(channels: int, shape: Sequence[int], array: Array) -> None:
    """Labels of the grid's shape in uint8 or uint16 that hold channels − 1."""
    if array.shape != tuple(shape):
        raise ValueError(f"labels must have the grid's shape {tuple(shape)}, found {array.shape}")
    if array.dtype not in dtypes.LABELS:
        raise ValueError(f"labels must be uint8 or uint16, found {array.dtype}")
    if not 1 <= channels <= np.iinfo(array.dtype).max + 1:
        raise ValueError(f"{channels} channels do not fit labels of {array.dtype}")


def _check_restore_argmax(scores: Array, tables: Tables, labels: Array) -> None:
    """scores float32 [K, X, Y, Z], labels of the shape that the tables lead to."""
    if scores.ndim != 4 or scores.dtype != np.float32:
        raise ValueError(f"scores must be native float32 [K, X, Y, Z], found {scores.dtype.str} {scores.shape}")
    check_labels(scores.shape[0], [len(table) for table in tables], labels)
    check_tables(tables, scores.shape[1:], labels.shape)


def _check_components(labels: Array, connectivity: int, out: Array) -> None:
    """Two label maps [X, Y, Z] of one shape and dtype, and a connectivity of 1, 2 or 3."""
    if labels.ndim != 3 or labels.shape != out.shape or labels.dtype != out.dtype:
        raise ValueError(
            "components take [X, Y, Z] twice with one dtype, "
            f"found {labels.dtype} {labels.shape} and {out.dtype} {out.shape}"
        )
    if labels.dtype not in dtypes.LABELS:
        raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
    if connectivity not in (1, 2, 3):
        raise ValueError(f"connectivity must be 1, 2 or 3, found {connectivity}")


def _table(labels: Array, only: Sequence[int] | None) -> NDArray[np.uint8]:
    """By label that the dtype holds: 1 for those to treat, 0 for others and for label 0."""
    classes = 1 << 8 * labels.dtype.itemsize
    treated = np.full(classes, only is None, np.uint8)
    treated[[label for label in only or () if 0 <= label < classes]] = 1
    treated[0] = 0
    return treated
