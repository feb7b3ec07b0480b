"""FetchExtremePoints: the six extreme points of a label, for the run report."""

from __future__ import annotations

import logging

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.transforms.arguments import Arguments, Text
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.extent import Point, extreme_points
from gpu_infer.transforms.field import FieldState

log = logging.getLogger(__name__)
_ENDS = ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")


class FetchExtremePoints(Branch):
    """Stores the foreground voxels of `label_field` (labels above 0) with the lowest and highest X, Y and Z.

    It changes only the facts: under "points" and the name `points`, six entries {"end": "x_min", "index": [i, j, k] of
    the input file, "ras_mm": [x, y, z]}, in the axes and the coordinates of `image_field`'s file. Without foreground
    there are none, and a warning is logged. Indices are fractional if the field was resampled. Of several voxels at one
    end it is the first in scan order.
    """

    name = "FetchExtremePoints"
    needs_labels = True
    makes_views = True
    keeps_label_numbers = True

    class Args(Arguments):
        image_field: Text
        label_field: Text
        points: Text = "points"

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.args.label_field,)

    @property
    def references(self) -> tuple[str, ...]:
        return (self.args.image_field,)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.fields

    def trace(self, fields: dict[str, FieldState]) -> None:
        """Nothing changes."""

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        state = fields[self.args.label_field]
        points = extreme_points(state.array, backend)
        if not points:
            log.warning("%s: %r has no foreground, there are no extreme points", self.place, state.name)
        entries = [_entry(end, point, state) for end, point in zip(_ENDS, points, strict=False)]
        state.facts.setdefault("points", {})[self.args.points] = entries


def _entry(end: str, point: Point, state: FieldState) -> dict[str, object]:
    loaded = np.array([*state.loaded_index(point), 1.0])
    world = state.source.loaded.affine @ loaded
    stored = np.linalg.solve(state.source.geometry.affine, world)
    return {
        "end": end,
        "index": [_round_index(v) for v in stored[:3]],
        "ras_mm": [round(float(v), 3) for v in world[:3]],
    }


def _round_index(value: float) -> float | int:
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-6 else round(float(value), 3)
