"""Folding a chain into stages: neighbours that fit into one pass over the voxels become one `FusedPass`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpu_infer.transforms.base import Barrier, Branch, ChannelReduction, Metadata, Regrid, Restore, Transform
from gpu_infer.transforms.chain.fused_pass import FusedPass
from gpu_infer.transforms.chain.restore_argmax import RestoredArgmax
from gpu_infer.transforms.chain.single import BarrierStage, BranchStage, MetadataStage, RestoreStage
from gpu_infer.transforms.chain.stage import Stage


@dataclass
class _OpenPass:
    """A pass that can take further members; `at` is its index among the stages."""

    at: int
    members: list[Transform]

    def takes(self, transform: Transform) -> bool:
        """A pass has one change of sampling, and a load or a measuring function can only begin one."""
        if transform.begins_pass:
            return False
        return not (isinstance(transform, Regrid) and any(isinstance(t, Regrid) for t in self.members))


class _Folder:
    """The stages so far, the open pass of each field, and linear restores that an argmax could join."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self._open: dict[str, _OpenPass] = {}
        self._restores: dict[str, tuple[int, Restore]] = {}
        """By field: index and transform of a linear restore since which nothing has worked on the field's voxels."""

    def add(self, transform: Transform) -> None:
        if transform.touches_voxels:
            own = () if transform.finalizer == "argmax" else transform.fields
            for field in (*own, *transform.references):
                self._restores.pop(field, None)
        if transform.is_fusable:
            for field in transform.fields:
                self._join_pass(field, transform)
        elif isinstance(transform, Metadata):
            self._add_metadata(transform)
        else:
            for field in (*transform.fields, *transform.references):
                self._open.pop(field, None)
            if isinstance(transform, Branch):
                self.stages.append(BranchStage(transform, None))
                return
            for field in transform.fields:
                self._add_alone(field, transform)

    def _join_pass(self, field: str, transform: Transform) -> None:
        current = self._open.get(field)
        if current is None or not current.takes(transform):
            current = self._open[field] = _OpenPass(len(self.stages), [])
            self.stages.append(FusedPass(field, ()))
        current.members.append(transform)
        self.stages[current.at] = FusedPass(field, tuple(current.members))

    def _add_metadata(self, transform: Metadata) -> None:
        if len(transform.fields) == 1 and transform.fields[0] in self._open and not transform.references:
            current = self._open[transform.fields[0]]
            current.members.append(transform)
            self.stages[current.at] = FusedPass(transform.fields[0], tuple(current.members))
        else:
            self.stages.append(MetadataStage(transform, None))

    def _add_alone(self, field: str, transform: Transform) -> None:
        earlier = self._restores.pop(field, None)
        if earlier is not None and isinstance(transform, ChannelReduction):
            at, restore = earlier
            self.stages[at] = RestoredArgmax(field, restore, transform)
        elif isinstance(transform, Restore):
            if transform.interpolation == "linear":
                self._restores[field] = (len(self.stages), transform)
            self.stages.append(RestoreStage(transform, field))
        elif isinstance(transform, Barrier):
            self.stages.append(BarrierStage(transform, field))


def fold(transforms: Iterable[Transform]) -> tuple[Stage, ...]:
    """Stages in the order in which they run.

    A pass is at the position of its first member. Later members of the same field join it until a second regrid, a
    restore, a barrier or a branch of that field ends it; passes of different fields do not depend on each other. An
    argmax joins the linear restore of its field if nothing in between works on that field's voxels.
    """
    folder = _Folder()
    for transform in transforms:
        folder.add(transform)
    return tuple(folder.stages)
