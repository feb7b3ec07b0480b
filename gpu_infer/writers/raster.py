"""Draw one plane of the preview: grey values, and tinted labels with outlines, by SimpleITK's filters."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.checks import Voxels

Pixels = NDArray[np.uint8]
"""[rows, columns, 3], row 0 on top."""

_FILL = 0.13  # opacity of the tint
_OVERSAMPLING = 2  # planes are drawn larger by this factor, then averaged: smooth outlines
_LINE = 4  # width of an outline in oversampled pixels


def draw_plane(grey: NDArray[np.float32], labels: Voxels, shape: tuple[int, int], table: LabelTable) -> Pixels:
    """Draw a plane and its labels with `shape` pixels.

    Args:
        grey: [rows, columns], 0 (black) to 255 (white); values outside become black or white.
        labels: [rows, columns] integers, 0 is background.
        shape: rows and columns of the result.
        table: the colours of the labels.
    """
    rows, columns = shape
    large = (rows * _OVERSAMPLING, columns * _OVERSAMPLING)
    ground = sitk.Cast(sitk.Round(sitk.Clamp(resample(grey, large), lowerBound=0, upperBound=255)), sitk.sitkUInt8)
    numbers, colours = _number(labels, table)
    mask = resample(numbers, large, sitk.sitkLabelLinear)
    near_contour = sitk.BinaryDilate(sitk.LabelContour(mask) != 0, (_LINE - 1, _LINE - 1))
    outline = sitk.Mask(mask, near_contour)
    tinted = sitk.LabelOverlay(ground, mask, _FILL, 0, colours)
    image = sitk.Mask(tinted, outline == 0) + sitk.LabelToRGB(outline, 0, colours)
    rgb: Pixels = sitk.GetArrayFromImage(sitk.BinShrink(image, (_OVERSAMPLING, _OVERSAMPLING)))
    return rgb


def resample(plane: Voxels, shape: tuple[int, int], interpolator: int = sitk.sitkLinear) -> sitk.Image:
    """Resample `plane` [rows, columns] to `shape`, with the areas of both in the same place.

    source = (i + ½)·n/n' − ½ along each axis; beyond the centres of the outer pixels their values repeat.
    `sitkLabelLinear` chooses the label whose linearly interpolated mask is largest: smooth outlines also if slices are
    thick.
    """
    (rows, columns), (new_rows, new_columns) = plane.shape, shape
    step = (columns / new_columns, rows / new_rows)  # ITK's axes: column, row
    first = ((step[0] - 1) / 2, (step[1] - 1) / 2)
    identity = sitk.Transform(2, sitk.sitkIdentity)
    image = sitk.GetImageFromArray(np.ascontiguousarray(plane))
    return sitk.Resample(image, (new_columns, new_rows), identity, interpolator, first, step, (1, 0, 0, 1))


def _number(labels: Voxels, table: LabelTable) -> tuple[NDArray[np.uint32], list[int]]:
    """Number the labels of a plane 1, 2, …, and list the colours of these numbers as SimpleITK takes them.

    SimpleITK gives number n the colour at n modulo the length of the list, so that the last colour comes first.
    """
    present = np.unique(labels[labels != 0])
    numbers = np.where(labels != 0, np.searchsorted(present, labels) + 1, 0).astype(np.uint32)
    colours = [table[label].colour for label in np.roll(present, 1)] or [(0, 0, 0)]
    return numbers, [channel for colour in colours for channel in colour]
