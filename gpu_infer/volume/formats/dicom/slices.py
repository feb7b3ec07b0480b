"""Sort the slices of one DICOM series along their normal, and check that they are a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gpu_infer.choices import Tilt
from gpu_infer.errors import InputError
from gpu_infer.volume.checks import check_geometry
from gpu_infer.volume.formats.dicom.elements import number, numbers
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.index_space import IndexSpace

_PARALLEL = 1e-3  # difference of direction cosines between slices
_STEP_TOLERANCE = 1e-2  # deviation of a slice from its place, as a fraction of the slice distance
_ROUNDING_MM = 0.05 + 1e-6  # smallest tolerance: positions are often written with one decimal
_INDEX_SPACE = (
    "export the whole series, or resample it to an upright grid of even distances; or add --tilt index, with"
    " --dicom-seg or --dicom-sc"
)
_TILT = 1e-3  # drift across the slices per mm along the normal: 0.06 degrees


class IrregularSlices(InputError):
    """Slices that are no regular grid, but can be segmented in index space."""


class Plane(NamedTuple):
    """One slice or frame. `where` begins error lines, `name` is for use inside them; mm, LPS+, columns × rows.

    `arrange` refuses a position without three numbers, cosines without six and a spacing without two.
    """

    where: str
    name: str
    size: tuple[int, int]
    position: tuple[float, ...]
    cosines: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float
    between: float


class Groups(NamedTuple):
    """The data sets with a plane's position, its orientation and its measures."""

    position: Dataset
    orientation: Dataset
    measures: Dataset


def plane(groups: Groups, size: tuple[int, int], where: str, name: str) -> Plane:
    return Plane(
        where,
        name,
        size,
        numbers(groups.position, "ImagePositionPatient", where),
        numbers(groups.orientation, "ImageOrientationPatient", where),
        numbers(groups.measures, "PixelSpacing", where),
        number(groups.measures, "SliceThickness", where) or 0.0,
        number(groups.measures, "SpacingBetweenSlices", where) or 0.0,
    )


class Arrangement(NamedTuple):
    """The indices of planes in ascending order along the normal, and their grid; in index space if it is no grid."""

    order: list[int]
    geometry: Geometry
    index_space: IndexSpace | None


def arrange(planes: Sequence[Plane], where: Path, notes: list[str], tilt: Tilt = "refuse") -> Arrangement:
    """Sort `planes` along the normal (row × column direction), and make their grid.

    Planes with a gap, with uneven distances or in a stack that is not perpendicular to them (gantry tilt) are refused
    or, with `tilt` "index", stacked along the normal at the median of their distances along it.

    Raises:
        InputError: planes differ in size, spacing or orientation, or two are at one position.
        IrregularSlices: they are no regular grid.
    """
    first = planes[0]
    for one in planes:
        _check_numbers(one)
    if min(first.spacing) <= 0:
        raise InputError(
            f"{first.where}: PixelSpacing {first.spacing} mm, expected positive numbers", remedy="repair the header"
        )
    cosines, spacing = np.array(first.cosines), np.array(first.spacing)
    _check_alike(planes, cosines, spacing)
    row, column = (v / (np.linalg.norm(v) or 1.0) for v in (cosines[:3], cosines[3:]))
    normal = np.cross(row, column)
    lengths = [float(np.linalg.norm(v)) for v in (cosines[:3], cosines[3:], normal)]
    if max(abs(length - 1.0) for length in lengths) > _PARALLEL:
        raise InputError(
            f"{first.where}: ImageOrientationPatient {first.cosines}, expected orthonormal axes",
            remedy="repair the header",
        )
    normal /= lengths[2]
    positions = np.array([one.position for one in planes])
    problems: list[str] = []
    order = np.argsort(positions @ normal, kind="stable")
    if len(planes) == 1:
        step = _thickness(first, notes)
    else:
        step, problems = _step([planes[n] for n in order], positions[order], normal, where)
    index_space = None
    if problems:
        index_space = IndexSpace("; ".join(problems), tuple(planes[n].position for n in order))
        if tilt == "refuse":
            raise IrregularSlices(f"{where}: {problems[0]}", remedy=_INDEX_SPACE)
        notes.append(f"segmented in index space, as if the slices were a regular grid: {index_space.reason}")
    columns, rows = first.size
    geometry = Geometry.from_itk(
        (columns, rows, len(planes)),
        (float(spacing[1]), float(spacing[0]), step),
        tuple(positions[order[0]]),
        tuple(np.column_stack([row, column, normal]).ravel()),
    )
    check_geometry(geometry, where)
    return Arrangement([int(n) for n in order], geometry, index_space)


def _check_numbers(one: Plane) -> None:
    expected = (("ImagePositionPatient", one.position, 3), ("ImageOrientationPatient", one.cosines, 6))
    for keyword, values, count in (*expected, ("PixelSpacing", one.spacing, 2)):
        if len(values) != count:
            raise InputError(
                f"{one.where}: {keyword} has {len(values)} values, expected {count} numbers",
                remedy="give a series of axial, coronal or sagittal slices, without localizers and reports",
            )


def _thickness(lone: Plane, notes: list[str]) -> float:
    """Return the mm along the normal of a slice without neighbours."""
    for value in (lone.between, lone.thickness):
        if value > 0:
            return value
    notes.append("one slice without thickness: 1 mm assumed")
    return 1.0


def _check_alike(planes: Sequence[Plane], cosines: NDArray[np.float64], spacing: NDArray[np.float64]) -> None:
    first = planes[0]
    remedy = "keep the slices of one stack in the folder, without localizers"
    for other in planes[1:]:
        if other.size != first.size:
            raise InputError(
                f"{other.where}: {other.size} pixels, expected {first.size} as in {first.name}", remedy=remedy
            )
        if np.abs(np.array(other.cosines) - cosines).max() > _PARALLEL:
            raise InputError(f"{other.where}: orientation differs from {first.name}", remedy=remedy)
        if not np.allclose(other.spacing, spacing, rtol=1e-4):
            raise InputError(f"{other.where}: PixelSpacing differs from {first.name}", remedy=remedy)


def _step(
    planes: Sequence[Plane], positions: NDArray[np.float64], normal: NDArray[np.float64], where: Path
) -> tuple[float, list[str]]:
    """Return the mm between neighbours of the sorted `planes`, and why they are no regular grid."""
    along = positions @ normal
    steps = np.diff(along)
    step = float(np.median(steps))
    near = max(_STEP_TOLERANCE * step, 1e-3)
    twice = int(np.argmin(steps))
    if steps[twice] < near:
        raise InputError(
            f"{where}: two slices at one position: {planes[twice].name}, {planes[twice + 1].name}",
            remedy="keep one phase, echo or time point in the folder",
        )
    problems = []
    length = float(along[-1] - along[0])
    even = length / (len(planes) - 1)
    off = np.abs(along - along[0] - even * np.arange(len(planes)))
    if off.max() > max(_STEP_TOLERANCE * even, _ROUNDING_MM):
        worst = int(np.argmax(np.abs(steps - step)))
        lost = round(steps[worst] / step) - 1
        what = f"{lost} slices missing" if lost > 0 else "uneven slice distance"
        problems.append(
            f"{what}: {steps[worst]:.3f} mm between {planes[worst].name} and {planes[worst + 1].name},"
            f" expected {step:.3f} mm"
        )
    drift = positions - positions[0] - np.outer(along - along[0], normal)
    tilt = float(np.linalg.norm(drift, axis=1).max())
    if tilt > max(_TILT * length, _ROUNDING_MM):
        degrees = np.degrees(np.arctan2(tilt, length))
        problems.append(f"gantry tilt of {degrees:.2f}°: slices shift by {tilt:.2f} mm over {length:.1f} mm")
    return (step if problems else even), problems
