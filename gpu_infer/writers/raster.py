"""The little drawing that the preview needs: resizing a plane, tinting labels, letters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]  # [rows, columns], row 0 on top
Rgb = NDArray[np.float32]  # [rows, columns, 3], 0..255

# Told apart on grey and by readers who do not see red and green alike: Okabe and Ito's palette, lightened.
PALETTE = np.array(
    [
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
    ],
    dtype=np.float32,
)

_FILL = 0.13
_GLYPHS = {
    "A": (".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "I": (".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###."),
    "L": ("#....", "#....", "#....", "#....", "#....", "#....", "#####"),
    "P": ("####.", "#...#", "#...#", "####.", "#....", "#....", "#...."),
    "R": ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"),
    "S": (".####", "#....", "#....", ".###.", "....#", "....#", "####."),
}


def resize(plane: Plane, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Linear interpolation to `shape`, pixel areas aligned: source = (i + ½)·n/n' − ½, edges repeated."""
    out = np.asarray(plane, dtype=np.float32)
    for axis in (0, 1):
        size = out.shape[axis]
        at = np.clip((np.arange(shape[axis]) + 0.5) * size / shape[axis] - 0.5, 0, size - 1)
        low = np.floor(at).astype(np.intp)
        high = np.minimum(low + 1, size - 1)
        weight = np.expand_dims((at - low).astype(np.float32), 1 - axis)
        out = out.take(low, axis) * (1 - weight) + out.take(high, axis) * weight
    return out


def resize_labels(plane: Plane, shape: tuple[int, int]) -> NDArray[np.int64]:
    """The label whose linearly interpolated mask is largest: smooth outlines where slices are thick."""
    present = np.unique(plane)
    labels = np.full(shape, present[0], dtype=np.int64)
    best = resize(plane == present[0], shape)
    for label in present[1:]:
        share = resize(plane == label, shape)
        wins = share > best
        labels[wins], best[wins] = label, share[wins]
    return labels


def tint(grey: NDArray[np.float32], labels: NDArray[np.int64], line: int) -> Rgb:
    """Grey image with each label (≠ 0) tinted and its inner outline, `line` pixels wide, in full colour."""
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    inside = labels != 0
    if inside.any():
        colours = PALETTE[(labels - 1) % len(PALETTE)]
        rgb[inside] = rgb[inside] * (1 - _FILL) + colours[inside] * _FILL
        edge = inside & _near_other(labels, line)
        rgb[edge] = colours[edge]
    return rgb


def halve(rgb: Rgb) -> Rgb:
    """Mean of 2×2 pixels; both sizes even."""
    rows, columns, _ = rgb.shape
    mean: Rgb = rgb.reshape(rows // 2, 2, columns // 2, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    return mean


def draw_letter(rgb: Rgb, letter: str, row: int, column: int, scale: int = 2) -> None:
    """Draw a letter in place, centred at (row, column), with a dark rim so that it reads on any ground."""
    glyph = np.array([[c == "#" for c in line] for line in _GLYPHS[letter]])
    glyph = np.pad(np.kron(glyph, np.ones((scale, scale), bool)), 1)
    rim = glyph.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        rim |= np.roll(glyph, step, axis)
    top, left = row - glyph.shape[0] // 2, column - glyph.shape[1] // 2
    box = rgb[top : top + glyph.shape[0], left : left + glyph.shape[1]]
    if box.shape[:2] == glyph.shape:  # a panel smaller than a letter stays without
        box[rim] = 0
        box[glyph] = 225


def _near_other(labels: NDArray[np.int64], reach: int) -> NDArray[np.bool_]:
    """True where another label is at most `reach` pixels away along a row or a column."""
    near = np.zeros(labels.shape, bool)
    for step in range(1, reach + 1):
        for axis in (0, 1):
            if labels.shape[axis] > step:
                ahead = np.take(labels, range(step, labels.shape[axis]), axis)
                behind = np.take(labels, range(labels.shape[axis] - step), axis)
                differs = ahead != behind
                first: list[slice] = [slice(None)] * 2
                last: list[slice] = [slice(None)] * 2
                first[axis], last[axis] = slice(None, -step), slice(step, None)
                near[tuple(first)] |= differs
                near[tuple(last)] |= differs
    return near
