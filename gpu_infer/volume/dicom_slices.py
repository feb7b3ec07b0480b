"""Slices of one DICOM series put in order along their normal, and the proof that they are a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

POSITION, ORIENTATION, SPACING = "0020|0032", "0020|0037", "0028|0030"

_PARALLEL = 1e-3  # difference of direction cosines between slices
_STEP_TOLERANCE = 1e-2  # deviation of a slice from its place, as a part of the slice distance …
_ROUNDING_MM = 0.05 + 1e-6  # … but positions are often written with one decimal
_TILT = 1e-3  # drift across the slices per mm along the normal: 0.06 degrees


@dataclass(frozen=True)
class Slice:
    """One file: `tags` by "gggg|eeee", `size` in columns and rows."""

    path: Path
    tags: dict[str, str]
    size: tuple[int, int]
    frames: int
    samples: int

    def number(self, tag: str, default: float) -> float:
        try:
            return float(self.tags[tag].split("\\")[0])
        except (KeyError, ValueError):
            return default

    def numbers(self, tag: str, count: int, name: str) -> NDArray[np.float64]:
        """Raises `InputError` when the tag does not hold `count` finite numbers."""
        text = self.tags.get(tag, "")
        try:
            values = np.array([float(v) for v in text.split("\\")])
        except ValueError:
            values = np.empty(0)
        if values.size != count or not np.isfinite(values).all():
            raise InputError(
                f"{self.path}: {name} is {text!r}, expected {count} numbers",
                remedy="give a series of axial, coronal or sagittal slices, without localizers and reports",
            )
        return values


def ordered(slices: Sequence[Slice], folder: Path) -> list[Slice]:
    """Slices in ascending order along the normal (row × column direction).

    Raises `InputError` for slices that differ in size, spacing or orientation, for two at one position, for a
    gap, for uneven distances and for a stack that is not perpendicular to its slices (gantry tilt).
    """
    cosines = slices[0].numbers(ORIENTATION, 6, "ImageOrientationPatient")
    spacing = slices[0].numbers(SPACING, 2, "PixelSpacing")
    if not (spacing > 0).all():
        raise InputError(
            f"{slices[0].path}: PixelSpacing {tuple(spacing.tolist())} mm, expected positive numbers",
            remedy="repair the header",
        )
    _check_alike(slices, cosines, spacing)
    normal = np.cross(cosines[:3], cosines[3:])
    if abs(np.linalg.norm(normal) - 1.0) > _PARALLEL:
        raise InputError(
            f"{slices[0].path}: ImageOrientationPatient {tuple(cosines.tolist())}, expected orthonormal axes",
            remedy="repair the header",
        )
    positions = np.array([s.numbers(POSITION, 3, "ImagePositionPatient") for s in slices])
    order = np.argsort(positions @ normal, kind="stable")
    arranged = [slices[n] for n in order]
    if len(arranged) == 1:
        return arranged
    _check_steps(arranged, positions[order], normal, folder)
    return arranged


def thickness(lone: Slice, notes: list[str]) -> float:
    """mm along the normal of a slice without neighbours: SpacingBetweenSlices, else SliceThickness, else 1."""
    for tag in ("0018|0088", "0018|0050"):
        if (value := lone.number(tag, 0.0)) > 0 and np.isfinite(value):
            return value
    notes.append("one slice without thickness: 1 mm assumed")
    return 1.0


def _check_alike(slices: Sequence[Slice], cosines: NDArray[np.float64], spacing: NDArray[np.float64]) -> None:
    first = slices[0]
    remedy = "keep the slices of one stack in the folder, without localizers"
    for other in slices[1:]:
        if other.size != first.size:
            raise InputError(
                f"{other.path}: {other.size} pixels, expected {first.size} as in {first.path.name}",
                remedy=remedy,
            )
        if np.abs(other.numbers(ORIENTATION, 6, "ImageOrientationPatient") - cosines).max() > _PARALLEL:
            raise InputError(f"{other.path}: orientation differs from {first.path.name}", remedy=remedy)
        if not np.allclose(other.numbers(SPACING, 2, "PixelSpacing"), spacing, rtol=1e-4):
            raise InputError(f"{other.path}: PixelSpacing differs from {first.path.name}", remedy=remedy)


def _check_steps(
    slices: Sequence[Slice], positions: NDArray[np.float64], normal: NDArray[np.float64], folder: Path
) -> None:
    along = positions @ normal
    steps = np.diff(along)
    step = float(np.median(steps))
    near = max(_STEP_TOLERANCE * step, 1e-3)
    if (twice := int(np.argmin(steps))) >= 0 and steps[twice] < near:
        raise InputError(
            f"{folder}: two slices at one position: {slices[twice].path.name}, {slices[twice + 1].path.name}",
            remedy="keep one phase, echo or time point in the folder",
        )
    even = (along[-1] - along[0]) / (len(slices) - 1)
    off = np.abs(along - along[0] - even * np.arange(len(slices)))
    if off.max() > max(_STEP_TOLERANCE * even, _ROUNDING_MM):
        worst = int(np.argmax(np.abs(steps - step)))
        a, b = slices[worst].path.name, slices[worst + 1].path.name
        lost = round(steps[worst] / step) - 1
        what = f"{lost} slices missing" if lost > 0 else "uneven slice distance"
        raise InputError(
            f"{folder}: {what}: {steps[worst]:.3f} mm between {a} and {b}, expected {step:.3f} mm",
            remedy="export the whole series, or resample it to even distances",
        )
    drift = positions - positions[0] - np.outer(along - along[0], normal)
    tilt = float(np.linalg.norm(drift, axis=1).max())
    length = float(along[-1] - along[0])
    if tilt > max(_TILT * length, _ROUNDING_MM):
        degrees = np.degrees(np.arctan2(tilt, length))
        raise InputError(
            f"{folder}: gantry tilt of {degrees:.2f}°: slices shift by {tilt:.2f} mm over {length:.1f} mm",
            remedy="resample the series to an upright grid: convert it with tilt correction",
        )
