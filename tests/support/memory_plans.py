"""Two memory plans of small numbers, one for each side, for sums by hand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from gpu_infer.planning.memory_plan import ON_HOST, Knobs, MemoryPlan
from gpu_infer.planning.sizes import Sizes


def changed(plan: MemoryPlan, **changes: Any) -> MemoryPlan:
    """`plan` with other sizes, another placement or other knobs, by field name."""
    parts = {}
    for name in ("sizes", "placement", "knobs"):
        part = getattr(plan, name)
        parts[name] = replace(part, **{f.name: changes.pop(f.name) for f in fields(part) if f.name in changes})
    assert not changes
    return replace(plan, **parts)


HOST_PLAN = MemoryPlan(
    Sizes(
        stored=100,
        prepared=200,
        window=30,
        slab_accumulator=400,
        full_accumulator=1000,
        result=50,
        output=60,
    ),
    ON_HOST,
    Knobs(slots=3, batch=4, slab=False),
)

GPU_PLAN = changed(HOST_PLAN, program=11, importance=7, computed=20, gpu=True, device_slots=True)
