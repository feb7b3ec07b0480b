"""The memory plan: sums by hand, and the steps down in their order."""

from __future__ import annotations

import pytest

from gpu_infer.errors import ResourceError
from gpu_infer.memory import Load, degrade

LOAD = Load(
    stored=100,
    prepared=200,
    tile=30,
    accumulator=400,
    full_accumulator=1000,
    result=50,
    output=60,
    slots=3,
    batch=4,
    slab=False,
)


def test_peak_by_hand() -> None:
    assert LOAD.arena == 3 * 4 * 30
    assert LOAD.peak == 100 + 200 + 360 + 1000 + 50
    assert LOAD.lines()[-1].startswith("peak")
    wide = Load(**{**LOAD.__dict__, "output": 100_000})
    assert wide.peak == 100 + 50 + 100_000


def test_voxels_in_requests_count() -> None:
    """Without shared memory a slot's bytes lie in messages and buffers as well."""
    inline = Load(**{**LOAD.__dict__, "copies": 3})
    assert inline.peak == LOAD.peak + 3 * LOAD.arena
    assert [line for line in inline.lines() if line.startswith("requests with voxels in them")]
    assert not [line for line in LOAD.lines() if line.startswith("requests")]


def test_enough_memory_changes_nothing() -> None:
    assert degrade(LOAD, LOAD.peak) == (LOAD, [])


def test_steps_are_named_and_ordered() -> None:
    load, steps = degrade(LOAD, 100 + 200 + 400 + 50 + 30)
    assert (load.slab, load.slots, load.batch) == (True, 1, 1)
    assert [step.split(": ")[-1] for step in steps] == [
        "slab accumulator switched on",
        "slots 3 → 2",
        "slots 2 → 1",
        "batch 4 → 2",
        "batch 2 → 1",
    ]


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(ResourceError, match=r"need .* GiB at the peak"):
        degrade(LOAD, 100)
