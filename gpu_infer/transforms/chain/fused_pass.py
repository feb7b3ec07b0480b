"""A fused pass: neighbouring transforms of one field in one pass over the voxels."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.backends.base.backend import Backend
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.chain.stage import Stage, check_channels, pass_line
from gpu_infer.transforms.field import DType, Fields, FieldState
from gpu_infer.transforms.recipe import Recipe


@dataclass(frozen=True)
class FusedPass(Stage):
    """`load? pointwise* regrid? pointwise*` of one field, as one `Backend.resample` or `resample_taps` call.

    Crops can be anywhere among them, and so can members that touch no voxel. A `Measured` that needs the array is the
    first member.
    """

    field: str
    members: tuple[Transform, ...]

    def line(self) -> str:
        return pass_line(self.field, self.members)

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        """The field's array becomes one of `dtype`; labels keep their dtype. It is a view if no value changes."""
        state = fields[self.field]
        for transform in self.members:
            check_channels(transform, state)
        recipe = Recipe()
        for transform in self.members:
            transform.add_to_pass(recipe, fields, self.field, backend)
        if state.kind == "labels":
            dtype = state.dtype
        is_view = recipe.is_view and state.dtype == dtype
        if backend is not None:
            source = state.array if recipe.window is None else state.array[(slice(None), *recipe.window)]
            if is_view:
                state.array = source
            else:
                out = backend.empty((state.channels, *state.shape), dtype)
                recipe.run(source, out, backend)
                state.array = out
        state.dtype = dtype
        return () if is_view else (self.field,)

    def allocated_bytes(self, before: FieldState, new_bytes: int, *, shared: bool) -> int:
        recipe, fields = Recipe(), {self.field: before.copy()}
        for transform in self.members:
            transform.add_to_pass(recipe, fields, self.field, None)
        return new_bytes + recipe.scratch_bytes(before.shape)
