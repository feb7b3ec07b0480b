"""Stages of one transform: metadata, branches, barriers and restores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import FilterBytes, FilterPlaces
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Barrier, Branch, Metadata, Restore, Transform
from gpu_infer.transforms.chain.restore import restore, restored_bytes
from gpu_infer.transforms.chain.stage import Stage, check_channels
from gpu_infer.transforms.field import DType, Fields, FieldState
from gpu_infer.transforms.grid_limit import check_grid


@dataclass(frozen=True)
class Single(Stage):
    """One transform on `field`; None if it works on all its fields at once."""

    transform: Transform
    field: str | None

    @property
    def first_field(self) -> str:
        return self.field or self.transform.fields[0]

    @property
    def touches_voxels(self) -> bool:
        return self.transform.touches_voxels

    @property
    def reads(self) -> set[str]:
        own = {self.field} if self.field and self.touches_voxels else set()
        return {*self.transform.reads, *own}

    def line(self) -> str:
        field = self.field or ", ".join(self.transform.fields)
        return f"{field}: {self.transform.summary()}" + ("" if self.touches_voxels else ", no voxel touched")

    def makes_labels_without_ties(self, fields: Fields) -> bool:
        if self.transform.counts_ties or self.transform.outcome("scores") != "labels":
            return False
        return any(fields[name].kind == "scores" for name in self.transform.fields)


@dataclass(frozen=True)
class MetadataStage(Single):
    """A change of what is known of fields."""

    transform: Metadata

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        for name in self.transform.fields:
            check_channels(self.transform, fields[name])
        self.transform.update(fields)
        return ()


@dataclass(frozen=True)
class BranchStage(Single):
    """A transform that works on several fields at once or makes new ones."""

    transform: Branch

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        known = set(fields)
        for name in self.transform.fields:
            check_channels(self.transform, fields[name])
        if backend is None:
            self.transform.trace(fields)
        else:
            self.transform.apply(fields, backend)
        if self.transform.makes_views or not self.touches_voxels:
            return ()
        return tuple(name for name in fields if name not in known) or self.transform.fields


@dataclass(frozen=True)
class BarrierStage(Single):
    """A transform that needs the whole array."""

    transform: Barrier
    field: str

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        state = fields[self.field]
        check_channels(self.transform, state)
        if backend is None:
            before = state.shape
            self.transform.trace(state)
            check_grid(self.transform.place, before, state.shape)
        else:
            self._apply(state, backend)
        state.kind = self.transform.outcome(state.kind)
        return () if self.transform.makes_views or not self.touches_voxels else (self.field,)

    def _apply(self, state: FieldState, backend: Backend) -> None:
        shape, steps = state.shape, len(state.history)
        array = self.transform.apply(state.array, state, backend)
        result = (int(array.shape[1]), int(array.shape[2]), int(array.shape[3]))
        if result != (state.shape if len(state.history) > steps else shape):
            raise ConfigError(
                f"{self.transform.place}: changed the grid of {state.name!r} from {shape} to {result}, undeclared",
                remedy="call field.windowed or field.resampled in apply, so that the change can be undone",
            )
        state.array, state.dtype, state.channels = array, np.dtype(array.dtype), int(array.shape[0])

    def allocated_bytes(self, before: FieldState, new_bytes: int, *, shared: bool) -> int:
        return self.transform.scratch_bytes(before) + new_bytes

    def filter_bytes(self, before: FieldState, places: FilterPlaces) -> FilterBytes:
        return self.transform.filter_bytes(before, places)


@dataclass(frozen=True)
class RestoreStage(Single):
    """Resampling back to the loaded grid."""

    transform: Restore
    field: str

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        state = fields[self.field]
        check_channels(self.transform, state)
        moved = bool(state.history)
        if backend is None:
            state.restored()
        else:
            restore(state, self.transform.interpolation, backend)
        return (self.field,) if moved else ()

    def allocated_bytes(self, before: FieldState, new_bytes: int, *, shared: bool) -> int:
        return restored_bytes(before, shared=shared)
