"""A field ("image", "model", …) at one point of a chain: its grid, what its values mean, and the file it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpu_infer.backends.resampling import Step
from gpu_infer.backends.types import TwinArray
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

DType = np.dtype[Any]
Kind = Literal["image", "scores", "labels"]
ChannelAxis = Literal["none", "first", "last"]
Spacing = tuple[float, float, float]
Index3 = tuple[int, int, int]
Position = tuple[float, float, float]
Steps = tuple[Step, Step, Step]

UNCHANGED: Steps = (Step(1.0), Step(1.0), Step(1.0))
"""Samples at the same places."""

PROPERTIES = ("affine", "original_affine", "as_canonical", "spacing", "original_shape", "filename")
"""Names that CopyProperties knows; `Source.properties` gives their values."""


@dataclass(frozen=True)
class Resampled:
    """A change of sampling. Resampling to `before` with the same placement of the samples undoes it.

    steps         where the samples are on the grid `before`, per axis; None: `align_corners` decides
    nearest_back  axes along which a linear restore takes the nearest sample
    """

    before: Shape3
    align_corners: bool = True
    steps: Steps | None = None
    nearest_back: tuple[bool, bool, bool] = (False, False, False)

    def also_undoes(self, later: GridStep) -> bool:
        """True if undoing this step also undoes the `later` one, so that values are resampled once."""
        if not isinstance(later, Resampled) or self.steps or later.steps:
            return False
        if any(self.nearest_back) or any(later.nearest_back):
            return False
        return later.align_corners == self.align_corners

    def step_back(self, axis: int) -> Step | None:
        """Where the samples of `before` are on the new grid; None: `align_corners` decides."""
        return None if self.steps is None else self.steps[axis].back()

    def position_before(self, position: Position, shape: Shape3) -> Position:
        """Position on the grid `before` of a position on the grid after it, which has `shape`."""
        ends = zip(position, shape, self.before, strict=True)
        if self.steps is not None:
            x, y, z = (v * step.size + step.first for v, step in zip(position, self.steps, strict=True))
        elif self.align_corners:
            x, y, z = (v * (m - 1) / (n - 1) if n > 1 else v for v, n, m in ends)
        else:
            x, y, z = ((v + 0.5) * m / n - 0.5 for v, n, m in ends)
        return (x, y, z)


@dataclass(frozen=True)
class Windowed:
    """A crop or a pad: index 0 of the new grid is index `start` of the grid `before` (negative if it was padded)."""

    before: Shape3
    start: Index3

    def also_undoes(self, later: GridStep) -> bool:
        """False: crops and pads are undone one by one."""
        return False

    def position_before(self, position: Position, shape: Shape3) -> Position:
        """Position on the grid `before` of a position on the grid after it, which has `shape`."""
        x, y, z = (v + s for v, s in zip(position, self.start, strict=True))
        return (x, y, z)


GridStep = Resampled | Windowed


@dataclass(frozen=True, eq=False)
class Source:
    """The file of a field.

    geometry     grid as stored
    orientation  in which the voxels were loaded
    slope        a value in physical units is slope · stored + inter
    """

    geometry: Geometry
    orientation: Orientation
    path: Path | None = None
    slope: float = 1.0
    inter: float = 0.0

    @property
    def loaded(self) -> Geometry:
        """The grid as loaded: closest canonical, or as stored if `as_closest_canonical` is false."""
        return self.geometry.reoriented(self.orientation)

    def properties(self) -> dict[str, Any]:
        """Values by the names in `PROPERTIES`."""
        loaded = self.loaded
        return {
            "affine": loaded.affine,
            "original_affine": self.geometry.affine,
            "as_canonical": loaded.orientation == Orientation.identity(),
            "spacing": loaded.spacing,
            "original_shape": loaded.shape,
            "filename": str(self.path) if self.path is not None else "",
        }


@dataclass(eq=False)
class FieldState:
    """One field during a run, or during a dry run (then `array` stays None).

    channels, shape  C and (X, Y, Z) of the current grid; `array` is [C, X, Y, Z] in that order, whatever
                     `channel_axis` is: that one only records what the configuration asked for
    dtype            of the voxels
    spacing          mm per voxel of the current grid along X, Y, Z: n·spacing/m after a change from n to m
                     voxels, so that the extent is constant and repeating a ScaleByResolution changes nothing;
                     exact if the change had steps
    kind             "image", "scores" (a model's raw output) or "labels"
    source           the file that the grid comes from
    history          how the current grid came from the loaded one, oldest first; RestoreOriginalShape
                     undoes it
    properties       what CopyProperties copies; they stay those of the source
    facts            results of transforms for the run report; one dictionary that all states of a run share
    """

    name: str
    channels: int
    shape: Shape3
    dtype: DType
    spacing: Spacing
    source: Source
    kind: Kind = "image"
    channel_axis: ChannelAxis = "none"
    history: tuple[GridStep, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    array: TwinArray = None
    facts: dict[str, Any] = field(default_factory=dict)

    def resampled(
        self,
        shape: Shape3,
        align_corners: bool = True,
        steps: Steps | None = None,
        nearest_back: tuple[bool, bool, bool] = (False, False, False),
    ) -> None:
        """Record a change of sampling of the whole extent to `shape` voxels; the others as in `Resampled`."""
        if shape == self.shape and steps in (None, UNCHANGED):
            return
        if steps is None:
            x, y, z = (s * n / m for s, n, m in zip(self.spacing, self.shape, shape, strict=True))
        else:
            x, y, z = (s * step.size for s, step in zip(self.spacing, steps, strict=True))
        self.history = (*self.history, Resampled(self.shape, align_corners, steps, nearest_back))
        self.spacing, self.shape = (x, y, z), shape

    def windowed(self, start: Index3, shape: Shape3) -> None:
        """Record a crop or a pad to `shape` voxels that begins at index `start` of the current grid."""
        self.history = (*self.history, Windowed(self.shape, start))
        self.shape = shape

    def restored(self) -> None:
        """Record that the field is on the loaded grid again."""
        self.history = ()
        self.shape, self.spacing = self.source.loaded.shape, self.source.loaded.spacing

    def loaded_index(self, index: Sequence[float]) -> Position:
        """Position on the loaded grid of index (X, Y, Z) of the current grid; fractional if it was resampled."""
        x, y, z = (float(v) for v in index)
        position, shape = (x, y, z), self.shape
        for step in reversed(self.history):
            position, shape = step.position_before(position, shape), step.before
        return position

    def copy(self, **changes: Any) -> FieldState:
        """A second state that shares the array."""
        return replace(self, **changes)

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.channels * self.shape[0] * self.shape[1] * self.shape[2] * self.dtype.itemsize


Fields = dict[str, FieldState]
"""States by field name."""
