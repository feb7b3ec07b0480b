"""The kinds of transform. A transform declares what it does; `chain/` decides how many passes over the voxels it takes.

For a custom transform, subclass `Pointwise`, `Regrid` or `Barrier` and name the class in the configuration
(`"path": "package.module.Class"`):

    class Halve(Pointwise):
        name = "Halve"

        def function(self, field):
            return ClampedAffine(scale=0.5)

Declare arguments in a nested `Args` (a pydantic model that derives from `FieldsArguments`; unknown arguments are
errors). An instance has them as `self.args`.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend, Start, Tables
from gpu_infer.backends.filters import FilterBytes, FilterPlaces
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TapTables
from gpu_infer.choices import ScoresActivation
from gpu_infer.transforms.field import UNCHANGED, Fields, FieldState, Steps
from gpu_infer.transforms.recipe import Recipe
from gpu_infer.transforms.transform import FieldsArguments, Transform
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

__all__ = [
    "KINDS",
    "Activation",
    "Barrier",
    "Branch",
    "ChannelMask",
    "ChannelReduction",
    "Crop",
    "FieldsArguments",
    "Interpolation",
    "Load",
    "Measured",
    "Metadata",
    "Pointwise",
    "Regrid",
    "RegridInterpolation",
    "Restore",
    "Transform",
    "is_transform",
]

Interpolation = Literal["linear", "nearest"]
RegridInterpolation = Literal["linear", "nearest", "cubic"]


class Load(Transform):
    """Reads the input volume into its field and chooses the orientation."""

    is_fusable = True
    begins_pass = True

    @property
    def creates(self) -> tuple[str, ...]:
        return self.fields

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of the files that become the channels, in order; empty for one file of any name."""
        return ()

    @property
    def nan(self) -> float | None:
        """Value in physical units that replaces voxels that are NaN or infinite; None: they stay."""
        return None

    @abstractmethod
    def orientation(self, geometry: Geometry) -> Orientation:
        """Orientation in which later transforms see a volume of this stored geometry."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        source = fields[field].source
        recipe.before, recipe.writes = ClampedAffine(source.slope, source.inter), True


class Metadata(Transform):
    """Changes what is known of fields, and no voxel."""

    touches_voxels = False
    keeps_label_numbers = True

    @abstractmethod
    def update(self, fields: dict[str, FieldState]) -> None:
        """Change the states in `fields` in place."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        self.update(fields)


class Pointwise(Transform):
    """A clamped affine function of one voxel's value, the same for every voxel: a chain of them folds into one.

    Any other function of a value (a logarithm, a power) is a `Barrier`.
    """

    scales_values = True
    is_fusable = True

    @abstractmethod
    def function(self, field: FieldState) -> ClampedAffine:
        """The function to apply."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        recipe.apply(self.function(fields[field]))


class Measured(Pointwise):
    """A pointwise function with constants that come from the whole array (its mean, …): it begins a pass."""

    @property
    def needs_array(self) -> bool:
        """False if the arguments give every constant: it is then like any other pointwise function."""
        return True

    @property
    def begins_pass(self) -> bool:
        return self.needs_array

    def function(self, field: FieldState) -> ClampedAffine:
        """The function if `needs_array` is False."""
        raise TypeError(f"{self.label} has to measure its array first")

    @abstractmethod
    def measure(self, array: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        """The function for the values in `array` [C, X, Y, Z]."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        if not self.needs_array:
            super().add_to_pass(recipe, fields, field, backend)
        elif backend is None:
            recipe.writes = True  # nothing is measured in a dry run; the function is rarely the identity
        else:
            recipe.apply(self.measure(fields[field].array, fields[field], backend))


class Regrid(Transform):
    """A change of sampling of the whole extent, separable per axis."""

    changes_grid = True
    is_fusable = True
    keeps_label_numbers = True

    @property
    @abstractmethod
    def interpolation(self) -> RegridInterpolation:
        """ "nearest" copies values (labels); "linear" mixes two neighbours per axis. "cubic" is that of our own
        transforms that take it: their tables have more neighbours, or differ from axis to axis."""

    @property
    def align_corners(self) -> bool:
        """True: centres of the first and the last voxel stay; False: the outer faces stay (half-pixel
        centres)."""
        return True

    @property
    def mixes_voxels(self) -> bool:
        return self.interpolation != "nearest"

    @property
    def copies_voxels(self) -> bool:
        return self.interpolation == "nearest"

    @abstractmethod
    def tables(self, field: FieldState) -> tuple[Shape3, Tables | TapTables]:
        """(X', Y', Z') and a table per axis from `field.shape` to it."""

    def sample_steps(self, field: FieldState) -> Steps | None:
        """Where the samples of the new grid are on the current one, per axis, if the tables follow these steps; None:
        `align_corners` decides."""
        return None

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        state = fields[field]
        shape, tables = self.tables(state)
        steps = self.sample_steps(state)
        # a grid of the same size is the same grid under either corner convention
        changes = shape != state.shape or steps not in (None, UNCHANGED)
        recipe.tables, recipe.resampled = tables if changes else None, True
        state.resampled(shape, self.align_corners, steps)


class Crop(Transform):
    """Crops a box that depends on the size of the grid alone: a view before a resampling, fewer table entries after
    one, so that no voxel outside of it is computed."""

    changes_grid = True
    is_fusable = True
    keeps_label_numbers = True

    @abstractmethod
    def box(self, field: FieldState) -> tuple[Start, Shape3]:
        """First index (X, Y, Z) in the field's current grid, and (X', Y', Z'); inside the grid."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        state = fields[field]
        start, shape = self.box(state)
        recipe.crop(start, shape)
        if shape != state.shape:
            state.windowed(start, shape)


class Restore(Transform):
    """Undoes every change of grid of its field, back to the grid on which the source was loaded."""

    restores_grid = True
    keeps_label_numbers = True

    @property
    @abstractmethod
    def interpolation(self) -> Interpolation: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Its own field's; of the source, only the grid."""
        return self.fields

    @property
    def mixes_voxels(self) -> bool:
        return self.interpolation == "linear"

    @property
    def copies_voxels(self) -> bool:
        return self.interpolation == "nearest"


class Barrier(Transform):
    """Needs the whole array (statistics, components, crops around an object), or changes values by a function that is
    not clamped affine. It is a stage of its own."""

    def trace(self, field: FieldState) -> None:
        """Record on `field` what `apply` will change, without voxels: `channels`, `dtype`, `kind`, and the grid by
        `resampled` or `windowed`. If the result depends on voxels, record an upper bound. Nothing by default."""

    def scratch_bytes(self, field: FieldState) -> int:
        """Bytes that `apply` allocates in addition to its result while it works; for the memory plan."""
        return 0

    def filter_bytes(self, field: FieldState, places: FilterPlaces) -> FilterBytes:
        """Bytes that the filters of libraries allocate in addition to that, here and on a GPU's host."""
        return FilterBytes()

    @abstractmethod
    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        """New [C, X, Y, Z] array of the backend, or a view of `array`; never write into it, fields may share it.

        Record a changed grid on `field` (`resampled`, `windowed`), so that it can be undone. Channels, dtype and shape
        are then read from the returned array.
        """


class ChannelReduction(Barrier):
    """[K, X, Y, Z] scores to a [1, X, Y, Z] label map. If `finalizer` is "argmax", a linear restore right before it
    runs in one pass with it."""

    makes_labels = True
    counts_ties = True

    def check_classes(self, classes: int) -> None:
        """ConfigError if `classes` channels cannot be reduced; by default any number can."""


class ChannelMask(Barrier):
    """[K, X, Y, Z] scores to K masks: 1 if a channel exceeds its threshold, else 0."""

    finalizer = "masks"

    @property
    @abstractmethod
    def thresholds(self) -> tuple[float, ...]:
        """One for all channels, or one per channel; scores are compared in float32."""

    @property
    def takes_sigmoid(self) -> bool:
        """True if the configured threshold is one for the sigmoid of the scores."""
        return False

    def after_sigmoid(self) -> ChannelMask | None:
        """A transform whose masks of scores are those that this one makes of their sigmoids; None if there is none."""
        return None


class Activation(Barrier):
    """[K, X, Y, Z] scores to probabilities. If it is the first post-transform on the scores, the accumulator does it
    row by row."""

    needs_scores = True
    scales_values = True
    activation: ClassVar[ScoresActivation]

    def check_classes(self, classes: int) -> None:
        """ConfigError if `classes` channels have no such probabilities; by default any number has."""

    def trace(self, field: FieldState) -> None:
        self.check_classes(field.channels)
        field.dtype = np.dtype(np.float32)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        self.check_classes(field.channels)
        out = backend.empty(array.shape, np.float32)
        backend.resample(array, out, None, ClampedAffine(), ClampedAffine())
        backend.probabilities(out, self.activation)
        return out


class Branch(Transform):
    """Works on several fields at once, on whole arrays: makes new fields out of one (`creates` names them), or
    changes some by another."""

    @abstractmethod
    def trace(self, fields: dict[str, FieldState]) -> None:
        """Change the states in `fields`, or add new ones, without arrays. Record grids as in a `Barrier`."""

    @abstractmethod
    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        """The same, with arrays. Several fields can share an array: make a new one, never write into it."""


KINDS = (Load, Metadata, Pointwise, Regrid, Crop, Restore, Barrier, Branch)


def is_transform(candidate: object) -> bool:
    """True for a concrete class of one of the kinds."""
    return inspect.isclass(candidate) and issubclass(candidate, KINDS) and not inspect.isabstract(candidate)
