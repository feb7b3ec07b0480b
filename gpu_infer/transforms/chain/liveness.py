"""Which fields' voxels later stages still read; the arrays of all other fields are dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gpu_infer.transforms.chain.stage import Stage
from gpu_infer.transforms.field import Fields


def live_after(stages: Sequence[Stage], last: Iterable[str]) -> list[set[str]]:
    """Per stage, the fields that later stages read or that `last` names."""
    live = [set(last)]
    for stage in reversed(stages[1:]):
        live.append(live[-1] | stage.reads)
    return live[::-1][: len(stages)]


def drop_others(fields: Fields, live: Collection[str]) -> None:
    """Drop the arrays of all fields but `live`; their states remain."""
    for name, state in fields.items():
        if name not in live:
            state.array = None
