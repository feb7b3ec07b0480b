"""Folding a chain into stages: neighbours that one pass over the voxels can do become one `FusedPass`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .base import Branch, Crop, Load, Measured, Metadata, Pointwise, Regrid, Transform


@dataclass(frozen=True)
class FusedPass:
    """`load? pointwise* regrid? pointwise*` of one field, as one `Backend.prepare` call.

    Crops may stand anywhere, members that touch no voxel (layout, …) too. A `Measured` that needs the array is the
    first member.
    """

    field: str
    members: tuple[Transform, ...]

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


Stage = FusedPass | Single


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
    on each other.
    """
    stages: list[_Open | Single] = []
    current: dict[str, _Open] = {}
    for transform in transforms:
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
            several = (None,) if isinstance(transform, Branch) else transform.fields
            stages.extend(Single(transform, field) for field in several)
    return tuple(FusedPass(s.field, tuple(s.members)) if isinstance(s, _Open) else s for s in stages)
