"""The kinds of transform. A transform says what it is; `plan.py` decides how few passes over the voxels it
takes.

To bring your own, subclass `Pointwise`, `Regrid` or `Barrier` and name the class in the configuration
(`"path": "package.module.Class"`):

    class Halve(Pointwise):
        name = "Halve"

        def function(self, field):
            return ClampedAffine(scale=0.5)

Arguments are declared in a nested `Args` (a pydantic model that derives from `FieldsArguments`, unknown
arguments are errors); an instance holds them as `self.args`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from gpu_infer.backends.base.backend import Array, Backend, Start, Tables
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Arguments, Names
from gpu_infer.transforms.field import FieldState, Kind
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

Interpolation = Literal["linear", "nearest"]


class FieldsArguments(Arguments):
    """Arguments of a transform that works on one field or several."""

    fields: Names


class Transform(ABC):
    """Base of every kind. Construct with the arguments by name; pydantic's ValidationError says what is
    wrong."""

    name: ClassVar[str]
    Args: ClassVar[type[Arguments]] = FieldsArguments
    makes_labels: ClassVar[bool] = False
    """True where the outcome is a label map (argmax, masks)."""
    needs_labels: ClassVar[bool] = False
    """True where it works on label maps alone."""
    scales_values: ClassVar[bool] = False
    """True where label ids would lose their meaning."""
    touches_voxels: ClassVar[bool] = True
    changes_grid: ClassVar[bool] = False
    """True where RestoreOriginalShape has something to undo after it."""
    makes_views: ClassVar[bool] = False
    """True where what it makes are views of what it reads: the plan then counts no new array."""
    decided_by_voxels: ClassVar[bool] = False
    """True where the grid it makes depends on voxel values: `trace` then books an upper bound."""

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
        """Fields whose voxels it reads: those of its fields and references, where it touches voxels at all."""
        return (*self.fields, *self.references) if self.touches_voxels else ()

    @property
    def channels(self) -> int | None:
        """Channels that its fields must have, None for any number."""
        return None

    def outcome(self, kind: Kind) -> Kind:
        """What its fields (and the ones it creates) hold afterwards, where they hold `kind` before."""
        return "labels" if self.makes_labels else kind

    def summary(self) -> str:
        """Name and the arguments that matter, for a plan's line."""
        shown = {k: v for k, v in self.args.model_dump(exclude_defaults=True).items() if k not in ("fields", "field")}
        return f"{self.label}({', '.join(f'{k}={_plain(v)}' for k, v in shown.items())})" if shown else self.label


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


class Load(Transform):
    """Reads the job's volume into its field; says in which orientation."""

    @property
    def creates(self) -> tuple[str, ...]:
        return self.fields

    @property
    def files(self) -> tuple[str, ...]:
        """Patterns of the files that become the channels, in order; empty for one file of any name."""
        return ()

    @property
    def nan(self) -> float | None:
        """Value in physical units for voxels of the file that are NaN or infinite; None: they stay."""
        return None

    @abstractmethod
    def orientation(self, geometry: Geometry) -> Orientation:
        """Orientation in which a volume of this stored geometry is seen from here on."""


class Metadata(Transform):
    """Changes what is known of fields, and no voxel."""

    touches_voxels = False

    @abstractmethod
    def update(self, fields: dict[str, FieldState]) -> None:
        """Change the states in `fields` in place."""


class Pointwise(Transform):
    """A function of one voxel's value, the same for every voxel: a clamped affine one, so that chains fold
    into one."""

    scales_values = True

    @abstractmethod
    def function(self, field: FieldState) -> ClampedAffine:
        """The function to apply."""


class Measured(Pointwise):
    """A pointwise function with constants that come from the whole array (its mean, …): it begins a pass."""

    @property
    def needs_array(self) -> bool:
        """False where the arguments give every constant: it is then like any other pointwise function."""
        return True

    def function(self, field: FieldState) -> ClampedAffine:
        """The function where `needs_array` is False."""
        raise TypeError(f"{self.label} has to measure its array first")

    @abstractmethod
    def measure(self, array: Array, field: FieldState, backend: Backend) -> ClampedAffine:
        """The function for the values in `array` [C, X, Y, Z]."""


class Regrid(Transform):
    """A change of sampling of the whole extent, separable per axis."""

    changes_grid = True

    @property
    @abstractmethod
    def interpolation(self) -> Interpolation:
        """ "nearest" keeps values (labels); "linear" mixes two neighbours per axis."""

    @property
    def align_corners(self) -> bool:
        """True: centres of the first and the last voxel stay; False: the outer faces stay (half-pixel
        centres)."""
        return True

    @abstractmethod
    def tables(self, field: FieldState) -> tuple[Shape3, Tables]:
        """(X', Y', Z') and a table per axis from `field.shape` to it."""


class Crop(Transform):
    """Cuts a box out of the grid that depends on its size alone: a view before a resampling, fewer table entries
    behind one, so that no voxel outside of it is computed."""

    changes_grid = True

    @abstractmethod
    def box(self, field: FieldState) -> tuple[Start, Shape3]:
        """First index (X, Y, Z) in the field's current grid, and (X', Y', Z'); inside the grid."""


class Restore(Transform):
    """Undoes every change of grid of its field, back to the grid on which the source was loaded."""

    @property
    @abstractmethod
    def interpolation(self) -> Interpolation: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Its own field's; of the source, only the grid."""
        return self.fields


class Barrier(Transform):
    """Needs the whole array (statistics, components, crops around an object)."""

    def trace(self, field: FieldState) -> None:
        """Book on `field` what `apply` will change (`channels`, `dtype`, `kind`, grid by `resampled` or
        `windowed`), without voxels; where the outcome depends on them, leave an upper bound. Nothing by
        default."""

    def scratch_bytes(self, field: FieldState) -> int:
        """Bytes that `apply` holds beside its array and its outcome while it works; for the memory plan."""
        return 0

    @abstractmethod
    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        """New [C, X, Y, Z] array of the backend, or a view of `array`; never write into it, fields may share it.

        A changed grid must be booked on `field` (`resampled`, `windowed`), so that it can be undone;
        channels, dtype and shape are then read from the array that is returned.
        """


class ChannelReduction(Barrier):
    """[K, X, Y, Z] scores to a [1, X, Y, Z] label map. Where `finalizer` says so, the accumulator does it by itself
    if it comes first, and a linear restore right before it takes it along."""

    makes_labels = True
    finalizer: ClassVar[Literal["argmax"] | None] = None

    def check_classes(self, classes: int) -> None:
        """ConfigError where `classes` channels cannot be reduced; by default any number can."""


class ChannelMask(Barrier):
    """[K, X, Y, Z] scores to K masks: 1 where a channel exceeds its cut, else 0. The accumulator does it by itself
    if it comes first."""

    @property
    @abstractmethod
    def cuts(self) -> tuple[float, ...]:
        """One for all channels, or one per channel; scores are compared in float32."""


class Branch(Transform):
    """Works on several fields at once, on whole arrays: makes new fields out of one (`creates` names them), or
    changes some after another."""

    @abstractmethod
    def trace(self, fields: dict[str, FieldState]) -> None:
        """Change the states in `fields`, or add the new ones, without arrays. Grids are booked as in a `Barrier`."""

    @abstractmethod
    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        """The same, with arrays. An array may be shared by several fields: make a new one, never write into it."""


KINDS = (Load, Metadata, Pointwise, Regrid, Crop, Restore, Barrier, Branch)


def is_transform(candidate: object) -> bool:
    """True for a concrete class of one of the kinds."""
    return inspect.isclass(candidate) and issubclass(candidate, KINDS) and not inspect.isabstract(candidate)
