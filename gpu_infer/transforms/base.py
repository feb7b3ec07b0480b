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
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from gpu_infer.backends.base.backend import Array, Backend, Start, Tables
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Arguments, Names
from gpu_infer.transforms.field import Fields, FieldState, Kind
from gpu_infer.transforms.recipe import Recipe
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

Interpolation = Literal["linear", "nearest"]


class FieldsArguments(Arguments):
    """Arguments of a transform that works on one field or several."""

    fields: Names


class Transform(ABC):
    """Base of every kind.

    Args:
        arguments: By name, as `Args` declares them.

    Raises:
        pydantic.ValidationError: An argument is wrong or unknown.
    """

    name: ClassVar[str]
    Args: ClassVar[type[Arguments]] = FieldsArguments
    makes_labels: ClassVar[bool] = False
    """True if the result is a label map (argmax, masks)."""
    needs_labels: ClassVar[bool] = False
    """True if it works on label maps only."""
    scales_values: ClassVar[bool] = False
    """True if it would change label ids."""
    touches_voxels: ClassVar[bool] = True
    """False if it only changes what is known of a field."""
    changes_grid: ClassVar[bool] = False
    """True if RestoreOriginalShape has to undo it."""
    restores_grid: ClassVar[bool] = False
    """True if it brings a field back to the loaded grid."""
    makes_views: ClassVar[bool] = False
    """True if its results are views of what it reads: the plan then counts no new array."""
    decided_by_voxels: ClassVar[bool] = False
    """True if the new grid depends on voxel values: `trace` then gives an upper bound."""
    counts_ties: ClassVar[bool] = False
    """True if it makes labels by an operation that counts ties between scores."""
    finalizer: ClassVar[Literal["argmax", "masks"] | None] = None
    """What the accumulator can do in its place, row by row, if it is the first post-transform on the scores."""
    is_fusable: ClassVar[bool] = False
    """True if it can run in one pass over the voxels together with its neighbours, by `add_to_pass`."""

    def __init__(self, **arguments: Any) -> None:
        self.args: Any = self.Args(**arguments)
        self.where = ""
        """The component's key in the configuration ("pre_transforms[2]"), for errors; the builder sets it."""

    @property
    def label(self) -> str:
        """Name for plans and messages."""
        return getattr(self, "name", type(self).__name__)

    @property
    def place(self) -> str:
        """Key and name, as errors begin."""
        return f"{self.where}: {self.label}" if self.where else self.label

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that it works on."""
        fields: tuple[str, ...] = self.args.fields
        return fields

    @property
    def references(self) -> tuple[str, ...]:
        """Further fields that must exist (a source of properties or of a shape)."""
        return ()

    @property
    def creates(self) -> tuple[str, ...]:
        """Fields that exist only after it."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Fields whose voxels it reads: its fields and references if it touches voxels, else none."""
        return (*self.fields, *self.references) if self.touches_voxels else ()

    @property
    def channels(self) -> int | None:
        """Channels that its fields must have, None for any number."""
        return None

    @property
    def mixes_voxels(self) -> bool:
        """True if a new voxel can be a mean of several, which would mix label ids."""
        return False

    @property
    def copies_voxels(self) -> bool:
        """True if every new voxel is a copy of one voxel, all its channels together."""
        return False

    @property
    def begins_pass(self) -> bool:
        """True if it can only be the first member of a fused pass."""
        return False

    def outcome(self, kind: Kind) -> Kind:
        """What its fields (and the ones it creates) hold after it if they hold `kind` before it."""
        return "labels" if self.makes_labels else kind

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        """Add its work on `field` to a fused pass, and record the changes in `fields`; no backend in a dry run."""
        raise TypeError(f"{self.label} cannot be part of a fused pass")

    def summary(self) -> str:
        """Name and the arguments that differ from their defaults, for a plan's line."""
        values = {k: v for k, v in self.args.model_dump(exclude_defaults=True).items() if k not in ("fields", "field")}
        return f"{self.label}({', '.join(f'{k}={_plain(v)}' for k, v in values.items())})" if values else self.label


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


class Load(Transform):
    """Reads the job's volume into its field and chooses the orientation."""

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

    @abstractmethod
    def update(self, fields: dict[str, FieldState]) -> None:
        """Change the states in `fields` in place."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        self.update(fields)


class Pointwise(Transform):
    """A function of one voxel's value, the same for every voxel. It is a clamped affine one, so that a chain of them
    folds into one."""

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

    @property
    @abstractmethod
    def interpolation(self) -> Interpolation:
        """ "nearest" copies values (labels); "linear" mixes two neighbours per axis."""

    @property
    def align_corners(self) -> bool:
        """True: centres of the first and the last voxel stay; False: the outer faces stay (half-pixel
        centres)."""
        return True

    @property
    def mixes_voxels(self) -> bool:
        return self.interpolation == "linear"

    @property
    def copies_voxels(self) -> bool:
        return self.interpolation == "nearest"

    @abstractmethod
    def tables(self, field: FieldState) -> tuple[Shape3, Tables]:
        """(X', Y', Z') and a table per axis from `field.shape` to it."""

    def add_to_pass(self, recipe: Recipe, fields: Fields, field: str, backend: Backend | None) -> None:
        state = fields[field]
        shape, tables = self.tables(state)
        # a grid of the same size is the same grid under either corner convention
        recipe.tables, recipe.resampled = tables if shape != state.shape else None, True
        state.resampled(shape, self.align_corners)


class Crop(Transform):
    """Crops a box that depends on the size of the grid alone: a view before a resampling, fewer table entries after
    one, so that no voxel outside of it is computed."""

    changes_grid = True
    is_fusable = True

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
    """Needs the whole array (statistics, components, crops around an object)."""

    def trace(self, field: FieldState) -> None:
        """Record on `field` what `apply` will change, without voxels: `channels`, `dtype`, `kind`, and the grid by
        `resampled` or `windowed`. If the result depends on voxels, record an upper bound. Nothing by default."""

    def scratch_bytes(self, field: FieldState) -> int:
        """Bytes that `apply` allocates in addition to its result while it works; for the memory plan."""
        return 0

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
