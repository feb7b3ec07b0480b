"""Which fields' voxels are still read at a point of a chain; the others' arrays are dropped there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpu_infer.transforms.chain.stages import FusedPass, RestoredArgmax, Stage
from gpu_infer.transforms.field import FieldState


def read_by(stage: Stage) -> set[str]:
    """Fields whose voxels the stage reads or changes."""
    if isinstance(stage, (FusedPass, RestoredArgmax)):
        return {stage.field}
    return {*stage.transform.reads, *([stage.field] if stage.field and stage.touches_voxels else [])}


def needed_after(stages: Sequence[Stage], last: Iterable[str]) -> list[set[str]]:
    """Per stage, the fields that later ones read, or that `last` names."""
    needed = [set(last)]
    for stage in reversed(stages[1:]):
        needed.append(needed[-1] | read_by(stage))
    return needed[::-1][: len(stages)]


def drop(fields: dict[str, FieldState], needed: Collection[str]) -> None:
    """Let go of the arrays of all other fields; what is known of them stays."""
    for name, state in fields.items():
        if name not in needed:
            state.array = None
