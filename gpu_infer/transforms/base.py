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

from gpu_infer.backends.base import Array, Backend, Tables
from gpu_infer.volume.geometry import Geometry, Orientation, Shape3

from .arguments import Arguments, Names
from .field import FieldState

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
    """True where the outcome is a label map (argmax, thresholds)."""
    touches_voxels: ClassVar[bool] = True

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

    @abstractmethod
    def function(self, field: FieldState) -> Any:
        """The `ClampedAffine` to apply."""


class Regrid(Transform):
    """A change of sampling of the whole extent, separable per axis."""

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


class Restore(Transform):
    """Undoes every change of grid of its field, back to the grid on which the source was loaded."""

    @property
    @abstractmethod
    def interpolation(self) -> Interpolation: ...


class Barrier(Transform):
    """Needs the whole array (statistics, components, crops around an object)."""

    def trace(self, field: FieldState) -> None:
        """Book on `field` what `apply` will change (`channels`, `dtype`, `kind`, grid by `resampled` or
        `windowed`), without voxels; where the outcome depends on them, leave an upper bound. Nothing by
        default."""

    @abstractmethod
    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        """New [C, X, Y, Z] array of the backend (or `array` itself, changed in place).

        A changed grid must be booked on `field` (`resampled`, `windowed`), so that it can be undone;
        channels, dtype and shape are then read from the array that is returned.
        """


class ChannelReduction(Barrier):
    """[K, X, Y, Z] scores to a [1, X, Y, Z] label map. The accumulator does it by itself where `finisher`
    says so and it comes first."""

    makes_labels = True
    finisher: ClassVar[Literal["argmax"] | None] = None


class Branch(Transform):
    """Makes new fields out of one (`creates` names them), which needs the whole array."""

    @abstractmethod
    def trace(self, fields: dict[str, FieldState]) -> None:
        """Add the new fields' states, without arrays."""

    @abstractmethod
    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        """Add the new fields' states, with arrays."""


KINDS = (Load, Metadata, Pointwise, Regrid, Restore, Barrier, Branch)


def is_transform(candidate: object) -> bool:
    """True for a concrete class of one of the kinds."""
    return inspect.isclass(candidate) and issubclass(candidate, KINDS) and not inspect.isabstract(candidate)
