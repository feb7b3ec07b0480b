"""Folding a chain into stages: neighbours that one pass over the voxels can do become one `FusedPass`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gpu_infer.transforms.base import (
    Branch,
    ChannelReduction,
    Crop,
    Load,
    Measured,
    Metadata,
    Pointwise,
    Regrid,
    Restore,
    Transform,
)


@dataclass(frozen=True)
class FusedPass:
    """`load? pointwise* regrid? pointwise*` of one field, as one `Backend.prepare` call.

    Crops may stand anywhere, members that touch no voxel (layout, …) too. A `Measured` that needs the array is the
    first member.
    """

    field: str
    members: tuple[Transform, ...]

    touches_voxels: ClassVar[bool] = True

    @property
    def regrid(self) -> Regrid | None:
        return next((t for t in self.members if isinstance(t, Regrid)), None)

    @property
    def load(self) -> Load | None:
        return next((t for t in self.members if isinstance(t, Load)), None)


@dataclass(frozen=True)
class Single:
    """A transform on its own: metadata, restore, barrier (`field` is the one it runs on), branch (`field`
    is None, it knows its fields)."""

    transform: Transform
    field: str | None

    @property
    def touches_voxels(self) -> bool:
        return self.transform.touches_voxels


@dataclass(frozen=True)
class RestoredArgmax:
    """A linear restore of one field and the argmax directly behind it, as one `Backend.restore_argmax` call."""

    field: str
    restore: Restore
    argmax: ChannelReduction

    touches_voxels: ClassVar[bool] = True

    @property
    def members(self) -> tuple[Transform, ...]:
        return (self.restore, self.argmax)


Stage = FusedPass | Single | RestoredArgmax


@dataclass
class _Open:
    field: str
    members: list[Transform]

    def takes(self, transform: Transform) -> bool:
        """Two changes of sampling do not fit into one pass; a load begins one, and so does what must measure."""
        if isinstance(transform, Load) or (isinstance(transform, Measured) and transform.needs_array):
            return False
        return not (isinstance(transform, Regrid) and any(isinstance(t, Regrid) for t in self.members))


def fold(transforms: Iterable[Transform]) -> tuple[Stage, ...]:
    """Stages in the order in which they run.

    A pass stands where its first member stood; later members of the same field join it until a second
    regrid, a restore, a barrier or a branch of that field ends it. Passes of different fields do not depend
    on each other. An argmax joins the linear restore of its field where nothing in between works on that
    field's voxels.
    """
    stages: list[_Open | Single | RestoredArgmax] = []
    current: dict[str, _Open] = {}
    restored: dict[str, tuple[int, Restore]] = {}  # linear restores with no other work on their field since, and where
    for transform in transforms:
        joins = isinstance(transform, ChannelReduction) and transform.finalizer == "argmax"
        if transform.touches_voxels:
            for field in (*(() if joins else transform.fields), *transform.references):
                restored.pop(field, None)
        if isinstance(transform, (Load, Pointwise, Regrid, Crop)):
            for field in transform.fields:
                group = current.get(field)
                if group is None or not group.takes(transform):
                    group = current[field] = _Open(field, [])
                    stages.append(group)
                group.members.append(transform)
        elif isinstance(transform, Metadata):
            alone = current.get(transform.fields[0]) if len(transform.fields) == 1 else None
            if alone is not None and not transform.references:
                alone.members.append(transform)
            else:
                stages.append(Single(transform, None))
        else:
            for field in (*transform.fields, *transform.references):
                current.pop(field, None)
            if isinstance(transform, Branch):
                stages.append(Single(transform, None))
                continue
            for field in transform.fields:
                before = restored.pop(field, None)
                if before is not None and isinstance(transform, ChannelReduction):
                    at, restore = before
                    stages[at] = RestoredArgmax(field, restore, transform)
                    continue
                if isinstance(transform, Restore) and transform.interpolation == "linear":
                    restored[field] = (len(stages), transform)
                stages.append(Single(transform, field))
    return tuple(FusedPass(s.field, tuple(s.members)) if isinstance(s, _Open) else s for s in stages)
