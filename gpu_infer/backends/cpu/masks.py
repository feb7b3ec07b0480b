"""Masks: voxels above a value, label ids, and the planes along the axes that contain such voxels, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.masks import LabelTable, MaskOperations
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading, writing
from gpu_infer.backends.layout import fastest_last
from gpu_infer.backends.types import HostArray, OccupiedPlanes


class CpuMaskOperations(MaskOperations):
    def _threshold(self, source: HostArray, out: HostArray, value: np.float32 | None) -> None:
        if value is None:
            np.not_equal(source, 0, out=out)
        else:
            np.greater(source, value, out=out)

    def _lookup(self, labels: HostArray, table: LabelTable, out: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels.labels import look_up

        axes = _slowest_first(out)
        src, dst = labels.transpose(axes), out.transpose(axes)
        with LAUNCH:
            look_up(reading(src), frozen(table), writing(dst), dst.shape)

    def _overlay(self, labels: HostArray, table: LabelTable, out: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels.labels import overlay

        axes = _slowest_first(out)
        src, dst = labels.transpose(axes), out.transpose(axes)
        with LAUNCH:
            overlay(reading(src), frozen(table), writing(dst), dst.shape)

    def _merge_masks(self, masks: HostArray, values: NDArray[np.uint16], out: HostArray, over: bool) -> None:
        from gpu_infer.backends.cpu.kernels.labels import merge

        axes = _slowest_first(out[np.newaxis])
        src, dst = masks.transpose(axes), out[np.newaxis].transpose(axes)[0]
        with LAUNCH:
            merge(reading(src), frozen(values), writing(dst), src.shape, over)

    def _repaint(self, mask: HostArray, label: int, labels: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels.labels import repaint

        axes = fastest_last(labels)
        src, dst = mask.transpose(axes), labels.transpose(axes)
        with LAUNCH:
            repaint(reading(src), label, writing(dst), dst.shape)

    def _occupied_planes(self, array: HostArray, value: np.float32 | None) -> OccupiedPlanes:
        """Plane by plane of the slowest axis."""
        axes = _slowest_first(array)
        turned = array.transpose(axes)
        occupied = [np.zeros(n, np.bool_) for n in turned.shape[1:]]
        for i in range(len(occupied[0])):
            plane = np.any(turned[:, i] != 0 if value is None else turned[:, i] > value, axis=0)
            occupied[0][i] = plane.any()
            occupied[1] |= plane.any(axis=1)
            occupied[2] |= plane.any(axis=0)
        x, y, z = (occupied[axes.index(a) - 1] for a in (1, 2, 3))
        return x, y, z


def _slowest_first(array: HostArray) -> tuple[int, int, int, int]:
    """Channels, then the axes from the greatest step in memory to the smallest; single samples first."""
    i, j, k = fastest_last(array)
    return (0, 1 + i, 1 + j, 1 + k)
