"""The base class of all kinds of transform: arguments, and the attributes that chains read. `base` has the kinds."""

from __future__ import annotations

from typing import ClassVar, Literal

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import FilterName
from gpu_infer.transforms.arguments import Arguments, Names
from gpu_infer.transforms.component import ConfiguredComponent
from gpu_infer.transforms.field import Fields, Kind
from gpu_infer.transforms.recipe import Recipe


class FieldsArguments(Arguments):
    """Arguments of a transform that works on one field or several."""

    fields: Names


class Transform(ConfiguredComponent):
    """Base of every kind.

    Args:
        arguments: By name, as `Args` declares them.

    Raises:
        pydantic.ValidationError: An argument is wrong or unknown.
    """

    Args: ClassVar[type[Arguments]] = FieldsArguments
    makes_labels: ClassVar[bool] = False
    """True if the result is a label map (argmax, masks)."""
    needs_labels: ClassVar[bool] = False
    """True if it works on label maps only."""
    needs_scores: ClassVar[bool] = False
    """True if it works on a model's scores only."""
    scales_values: ClassVar[bool] = False
    """True if it would change label ids."""
    library_filters: ClassVar[tuple[FilterName, ...]] = ()
    """The filters of libraries that it applies."""
    touches_voxels: ClassVar[bool] = True
    """False if it only changes what is known of a field."""
    changes_grid: ClassVar[bool] = False
    """True if RestoreOriginalShape has to undo it."""
    restores_grid: ClassVar[bool] = False
    """True if it brings a field back to the loaded grid."""
    makes_views: ClassVar[bool] = False
    """True if its results are views of what it reads: the plan then counts no new array."""
    keeps_label_numbers: ClassVar[bool] = False
    """True if a label that remains in a label map has the same number after it, so that scores still belong to it."""
    decided_by_voxels: ClassVar[bool] = False
    """True if the new grid depends on voxel values: `trace` then gives an upper bound."""
    counts_ties: ClassVar[bool] = False
    """True if it makes labels by an operation that counts ties between scores."""
    finalizer: ClassVar[Literal["argmax", "masks"] | None] = None
    """What the accumulator can do in its place, row by row, if it is the first post-transform on the scores."""
    is_fusable: ClassVar[bool] = False
    """True if it can run in one pass over the voxels together with its neighbours, by `add_to_pass`."""

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
