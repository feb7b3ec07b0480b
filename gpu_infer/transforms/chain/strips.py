"""A chain that can run on a box of the volume at a time: one pass before the inference, and the way back by copies.

Resampling is separable: a box of the model's grid is made of the box of stored voxels that its tables read, with the
same tables cut to it. Bits are those of the whole pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend, Tables
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.transforms.base import Crop, Load, Measured, Metadata, Pointwise, Regrid, Restore, Transform
from gpu_infer.transforms.chain.fused_pass import FusedPass
from gpu_infer.transforms.chain.restore import steps_back, tables_back
from gpu_infer.transforms.chain.single import MetadataStage, RestoreStage
from gpu_infer.transforms.chain.stage import Stage
from gpu_infer.transforms.field import Fields, FieldState, Resampled
from gpu_infer.transforms.recipe import Recipe
from gpu_infer.volume.geometry import Orientation, Shape3

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class StripChain:
    """What happens to a box of voxels before and after the inference.

    orientation    of the loaded axes X, Y, Z
    before, after  functions of a voxel before and after the resampling
    tables         per axis, from the loaded grid to the model's
    back           per axis, nearest, from the model's grid to the loaded one
    warning        a line for the log, if the configuration has no transform that restores the grid
    """

    orientation: Orientation
    before: ClampedAffine
    after: ClampedAffine
    tables: Tables
    back: Tables
    warning: str = ""

    def source_box(self, box: Box) -> Box:
        """The box of the loaded grid that is read for a box of the model's grid."""
        x, y, z = (_read_rows(table, rows) for table, rows in zip(self.tables, box, strict=True))
        return (x, y, z)

    def prepare(self, source: Array, box: Box, out: Array, backend: Backend) -> None:
        """Write the model's input `out` [1, X, Y, Z] of a box of its grid.

        source  [1, X', Y', Z'] stored voxels of `source_box(box)`, in loaded axes
        """
        parts = (_cut(t, rows, r.start) for t, rows, r in zip(self.tables, box, self.source_box(box), strict=True))
        x, y, z = parts
        backend.resample(source, out, (x, y, z), self.before, self.after)

    def restored_box(self, box: Box) -> Box:
        """The box of the loaded grid whose labels come from a box of the model's grid."""
        x, y, z = (_restored_rows(table, rows) for table, rows in zip(self.back, box, strict=True))
        return (x, y, z)

    def restore(self, labels: Array, box: Box, out: Array, backend: Backend) -> None:
        """Write the labels [X', Y', Z'] of `restored_box(box)` from those of a box of the model's grid."""
        rows = self.restored_box(box)
        x, y, z = (_cut(t, r, b.start) for t, r, b in zip(self.back, rows, box, strict=True))
        backend.resample_labels(labels, (x, y, z), out)


def make_strip_chain(
    pre_stages: Sequence[Stage], post_stages: Sequence[Stage], fields: Fields, result_field: str
) -> StripChain | str:
    """The chain for a volume; or, in words, which part of it needs the whole array.

    fields  the loaded field alone, without an array
    """
    ((name, state),) = fields.items()
    recipe = Recipe()
    orientation, loaded = state.source.orientation, state.shape
    passes = [stage for stage in pre_stages if isinstance(stage, FusedPass)]
    for stage in pre_stages:
        if isinstance(stage, MetadataStage):
            stage.run(fields, state.dtype, None)
        elif not isinstance(stage, FusedPass) or stage.field != name or len(passes) > 1:
            return _needs_all(stage.line())
        else:
            for transform in stage.members:
                if not _is_plain(transform):
                    return _needs_all(transform.place)
                transform.add_to_pass(recipe, fields, name, None)
    for stage in post_stages:
        restores = isinstance(stage, RestoreStage) and stage.transform.interpolation == "nearest"
        if not isinstance(stage, MetadataStage) and not (restores and stage.field == result_field):
            return _needs_all(stage.line())
    return _chain(recipe, state, orientation, loaded, _warning(post_stages, state, result_field))


def _chain(
    recipe: Recipe, state: FieldState, orientation: Orientation, loaded: Shape3, warning: str
) -> StripChain | str:
    steps = steps_back(state.history)
    x, y, z = (identity_table(n) for n in loaded)
    tables: Tables = (x, y, z)
    back: Tables = (x, y, z)
    if recipe.tables is not None:
        ours = [table for table in recipe.tables if isinstance(table, AxisTable)]
        if len(ours) != 3:
            return "cubic interpolation needs the whole volume"
        tables = (ours[0], ours[1], ours[2])
    if steps:
        (step,) = steps
        if not isinstance(step, Resampled):
            return "a crop or a pad needs the whole volume"
        back = tables_back(step, state.shape, "nearest")
    if any((np.diff(table.lower) < 0).any() for table in (*tables, *back)):
        return "a resampling that changes the order of rows needs the whole volume"
    return StripChain(orientation, recipe.before, recipe.after, tables, back, warning)


def _is_plain(transform: Transform) -> bool:
    """Whether it works on every box by itself."""
    if isinstance(transform, Measured):
        return not transform.needs_array
    if isinstance(transform, Crop):
        return False
    return isinstance(transform, (Load, Metadata, Pointwise, Regrid))


def _warning(post_stages: Sequence[Stage], state: FieldState, field: str) -> str:
    if not state.history or any(isinstance(getattr(stage, "transform", None), Restore) for stage in post_stages):
        return ""
    grid = state.source.loaded.shape
    return f"no RestoreOriginalShape brings {field!r} back to the file's grid {grid}; done with nearest neighbour"


def _needs_all(what: str) -> str:
    return f"{what} needs the whole volume"


def _read_rows(table: AxisTable, rows: slice) -> slice:
    """The input rows that the entries `rows` read."""
    return slice(int(table.lower[rows].min()), int(table.upper[rows].max()) + 1)


def _restored_rows(table: AxisTable, rows: slice) -> slice:
    """The entries that copy one of the input rows `rows`; they are neighbours, because the table ascends."""
    low, high = np.searchsorted(table.lower, [rows.start, rows.stop])
    return slice(int(low), int(high))


def _cut(table: AxisTable, rows: slice, first: int) -> AxisTable:
    """The entries `rows`, as indices of an input that begins at row `first`."""
    part = table.part(rows.start, rows.stop - rows.start)
    return AxisTable(part.lower - np.int32(first), part.upper - np.int32(first), part.weight)
