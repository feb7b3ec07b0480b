"""What is known of a field ("image", "model", …) at one point of a chain: its grid, its meaning and where
it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpu_infer.backends.types import TwinArray
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

Kind = Literal["image", "scores", "labels"]
ChannelAxis = Literal["none", "first", "last"]
Spacing = tuple[float, float, float]

PROPERTIES = ("affine", "original_affine", "as_canonical", "spacing", "original_shape", "filename")
"""Names that CopyProperties knows; `Source.properties` gives their values."""


@dataclass(frozen=True)
class Resampled:
    """A change of sampling: undone by resampling back to `before`, with the same corner convention."""

    before: Shape3
    align_corners: bool = True


@dataclass(frozen=True)
class Windowed:
    """A crop or a pad: index 0 of the new grid is index `start` of the grid `before` (negative where it was
    padded)."""

    before: Shape3
    start: tuple[int, int, int]


GridStep = Resampled | Windowed


@dataclass(frozen=True, eq=False)
class Source:
    """The file behind a field: its stored geometry, and the orientation in which it was loaded."""

    geometry: Geometry
    orientation: Orientation
    path: Path | None = None

    @property
    def loaded(self) -> Geometry:
        """The grid as loaded: closest canonical, or as stored where `as_closest_canonical` is false."""
        return self.geometry.reoriented(self.orientation)

    def properties(self) -> dict[str, Any]:
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
    """One field while a chain runs, or while it is only traced (then `array` stays None).

    channels, shape  C and (X, Y, Z) of the current grid; `array` is [C, X, Y, Z] in that order, whatever
                     `channel_axis` says: that one only keeps the books on what the configuration asked for
    dtype            of the voxels
    spacing          mm per voxel of the current grid along X, Y, Z: n·spacing/m after a change from n to m
                     voxels, so that the extent is kept and repeating a ScaleByResolution changes nothing
    kind             "image", "scores" (a model's raw output) or "labels"
    source           the file the grid descends from
    history          how the current grid came from the loaded one, oldest first; RestoreOriginalShape
                     undoes it
    properties       what CopyProperties copies; they stay those of the source
    facts            what transforms found out for the run report; one dictionary that all states of a run share
    """

    name: str
    channels: int
    shape: Shape3
    dtype: np.dtype[Any]
    spacing: Spacing
    source: Source
    kind: Kind = "image"
    channel_axis: ChannelAxis = "none"
    history: tuple[GridStep, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    array: TwinArray = None
    facts: dict[str, Any] = field(default_factory=dict)

    def resampled(self, shape: Shape3, align_corners: bool = True) -> None:
        """Book a change of sampling of the whole extent to `shape` voxels."""
        if shape == self.shape:
            return
        x, y, z = (s * n / m for s, n, m in zip(self.spacing, self.shape, shape, strict=True))
        self.history = (*self.history, Resampled(self.shape, align_corners))
        self.spacing, self.shape = (x, y, z), shape

    def windowed(self, start: tuple[int, int, int], shape: Shape3) -> None:
        """Book a crop or a pad to `shape` voxels that begins at index `start` of the current grid."""
        self.history = (*self.history, Windowed(self.shape, start))
        self.shape = shape

    def restored(self) -> None:
        """Book the way back to the loaded grid."""
        self.history = ()
        self.shape, self.spacing = self.source.loaded.shape, self.source.loaded.spacing

    def loaded_index(self, index: Sequence[float]) -> tuple[float, float, float]:
        """Where (X, Y, Z) of the current grid lies on the grid as loaded; fractional where it was resampled."""
        position, shape = tuple(float(v) for v in index), self.shape
        for step in reversed(self.history):
            if isinstance(step, Windowed):
                position = tuple(v + s for v, s in zip(position, step.start, strict=True))
            elif step.align_corners:
                ends = zip(position, shape, step.before, strict=True)
                position = tuple(v * (m - 1) / (n - 1) if n > 1 else v for v, n, m in ends)
            else:
                faces = zip(position, shape, step.before, strict=True)
                position = tuple((v + 0.5) * m / n - 0.5 for v, n, m in faces)
            shape = step.before
        x, y, z = position
        return (x, y, z)

    def copy(self, **changes: Any) -> FieldState:
        """A second state that shares the array."""
        return replace(self, **changes)

    @property
    def nbytes(self) -> int:
        return self.channels * self.shape[0] * self.shape[1] * self.shape[2] * self.dtype.itemsize
