"""Draw one plane of the preview: grey values, tinted labels with outlines (SimpleITK's filters), and letters.

The letters are the six of anatomical directions, as bitmaps, so that a base installation needs no Pillow (22 MB).
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from gpu_infer.volume.checks import Voxels

Rgb = NDArray[np.uint8]
"""[rows, columns, 3], row 0 on top."""

# Distinct on grey, also for readers who confuse red and green: Okabe and Ito's palette, lightened.
PALETTE = (
    (255, 159, 28),
    (86, 196, 245),
    (20, 200, 140),
    (250, 235, 90),
    (90, 140, 255),
    (255, 105, 60),
    (225, 135, 190),
    (170, 255, 200),
    (190, 160, 255),
    (255, 190, 170),
)

_FILL = 0.13  # opacity of the tint
_OVERSAMPLING = 2  # planes are drawn larger by this factor, then averaged: smooth outlines
_LINE = 4  # width of an outline in oversampled pixels
_LETTER, _RIM = 225, 0
_SCALE = 2  # pixels of a dot of a letter
_GLYPHS = {
    "A": (".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "I": (".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###."),
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "P": ("####.", "#...#", "#...#", "####.", "#....", "#....", "#...."),
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
    "S": (".####", "#....", "#....", ".###.", "....#", "....#", "####."),
}


def draw_plane(grey: NDArray[np.float32], labels: Voxels, shape: tuple[int, int]) -> Rgb:
    """Draw a plane and its labels with `shape` pixels.

    Args:
        grey: [rows, columns], 0 (black) to 255 (white); values outside become black or white.
        labels: [rows, columns] integers, 0 is background; label n has colour n − 1 of `PALETTE`, counted cyclically.
        shape: rows and columns of the result.
    """
    rows, columns = shape
    large = (rows * _OVERSAMPLING, columns * _OVERSAMPLING)
    ground = sitk.Cast(sitk.Round(sitk.Clamp(resample(grey, large), lowerBound=0, upperBound=255)), sitk.sitkUInt8)
    numbers, colours = _number(labels)
    mask = resample(numbers, large, sitk.sitkLabelLinear)
    near_contour = sitk.BinaryDilate(sitk.LabelContour(mask) != 0, (_LINE - 1, _LINE - 1))
    outline = sitk.Mask(mask, near_contour)
    tinted = sitk.LabelOverlay(ground, mask, _FILL, 0, colours)
    image = sitk.Mask(tinted, outline == 0) + sitk.LabelToRGB(outline, 0, colours)
    rgb: Rgb = sitk.GetArrayFromImage(sitk.BinShrink(image, (_OVERSAMPLING, _OVERSAMPLING)))
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


def draw_letter(rgb: Rgb, letter: str, row: int, column: int) -> None:
    """Draw a letter in place, centred at (row, column), with a dark rim that separates it from any background.

    A panel that is smaller than the letter stays without it.
    """
    dots = np.array([[dot == "#" for dot in line] for line in _GLYPHS[letter]])
    glyph = np.pad(np.kron(dots, np.ones((_SCALE, _SCALE), bool)), 1)
    rim = glyph.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        rim |= np.roll(glyph, step, axis)
    top, left = row - glyph.shape[0] // 2, column - glyph.shape[1] // 2
    box = rgb[max(top, 0) : top + glyph.shape[0], max(left, 0) : left + glyph.shape[1]]
    if box.shape[:2] == glyph.shape:
        box[rim] = _RIM
        box[glyph] = _LETTER


def _number(labels: Voxels) -> tuple[NDArray[np.uint32], list[int]]:
    """Number the labels of a plane 1, 2, …, and list the colours of these numbers as SimpleITK takes them.

    SimpleITK gives number n the colour at n modulo the length of the list, so that the last colour comes first.
    """
    present = np.unique(labels[labels != 0])
    numbers = np.where(labels != 0, np.searchsorted(present, labels) + 1, 0).astype(np.uint32)
    colours = [PALETTE[(int(label) - 1) % len(PALETTE)] for label in np.roll(present, 1)] or [PALETTE[0]]
    return numbers, [channel for colour in colours for channel in colour]
