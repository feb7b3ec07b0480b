"""Fallbacks of a memory plan: their order, their words, and the refusal after the last one."""

from __future__ import annotations

import pytest
from memory_plans import GPU_PLAN, HOST_PLAN, changed

from gpu_infer.errors import ResourceError
from gpu_infer.planning.fallbacks import fallbacks, fit_memory
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.memory_plan import TABLES, MemoryPlan


def fit(plan: MemoryPlan, host: int | None = None, device: int | None = None) -> tuple[MemoryPlan, list[str]]:
    return fit_memory(plan, FreeMemory(host, device))


def words(lines: list[str]) -> list[str]:
    return [line.split(": ")[-1] for line in lines]


def test_enough_memory_changes_nothing() -> None:
    assert fit(HOST_PLAN, HOST_PLAN.host_peak) == (HOST_PLAN, [])


def test_fallbacks_are_named_and_ordered() -> None:
    plan, lines = fit(HOST_PLAN, 100 + 200 + 400 + 50 + 30)
    assert (plan.knobs.slab, plan.knobs.slots, plan.knobs.batch) == (True, 1, 1)
    assert words(lines) == [
        "slab accumulator switched on",
        "slots 3 → 2",
        "slots 2 → 1",
        "batch 4 → 2",
        "batch 2 → 1",
    ]


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(ResourceError, match=r"need .* GiB at the peak"):
        fit(HOST_PLAN, 100)


def test_a_fallback_that_lowers_nothing_is_skipped() -> None:
    """The labels on the file's grid are too much: fewer slots would not change that."""
    with pytest.raises(ResourceError, match="3 slots and batch 4"):
        fit(changed(HOST_PLAN, slab=True, output=5000), 4000)


def test_a_fixed_batch_axis_reduces_slots_alone() -> None:
    fixed = changed(HOST_PLAN, slab=True, fixed_batch=8)
    _, lines = fit(fixed, fixed.host_peak - 2 * 8 * 30)
    assert words(lines) == ["slots 3 → 2", "slots 2 → 1"]
    with pytest.raises(ResourceError, match="1 slot and batch 4"):
        fit(fixed, fixed.host_peak - 2 * 8 * 30 - 1)


@pytest.mark.parametrize("gpu", [False, True])
def test_spare_slots_go_before_slots(gpu: bool) -> None:
    plan = changed(GPU_PLAN if gpu else HOST_PLAN, slab=True, spare=True, stored=10)
    free = (plan.device_peak if gpu else plan.host_peak) - 1
    lighter, lines = fit(plan, None if gpu else free, free if gpu else None)
    assert lighter == changed(plan, spare=False)
    assert words(lines) == ["no spare slots, so that a lost connection ends the run"]
    name = "spare slots, after a lost connection"
    assert [(name in line, "GPU: " in line) for line in plan.lines() if name in line] == [(True, gpu)]
    assert not any(name in line for line in lighter.lines())


def test_fallbacks_of_a_gpu_in_their_order() -> None:
    names = ["slots 3 → 2", "slots 2 → 1", "batch 4 → 2", "batch 2 → 1", "slab accumulator switched on"]
    names.append("accumulator on the host")
    tight = changed(GPU_PLAN, stored=10)  # its upload is no peak
    plan, lines = fit(tight, 1 << 40, TABLES + 200 + 30 + 50)
    assert (plan.knobs.slots, plan.knobs.batch, plan.knobs.slab, plan.knobs.host_sums) == (1, 1, True, True)
    assert words(lines) == names
    assert all(line.startswith("memory: GPU ") for line in lines)
    peaks = [tight.device_peak]
    for count in range(1, len(names) + 1):  # with memory for as many fallbacks, no more are taken
        lighter, lines = fit(tight, None, peaks[-1] - 1)
        assert words(lines) == names[:count]
        peaks.append(lighter.device_peak)
    with pytest.raises(ResourceError, match="of the GPU's memory at the peak with 1 slot and batch 1") as refused:
        fit(tight, None, peaks[-1] - 1)
    assert "--device cpu" in str(refused.value)


def test_a_host_that_is_short_with_a_gpu() -> None:
    """Without CUDA shared memory fewer slots help the host; with it no fallback does."""
    shared = changed(GPU_PLAN, device_slots=False)
    plan, lines = fit(shared, shared.host_peak - 1, None)
    assert (plan.knobs.slots, plan.knobs.slab, plan.knobs.host_sums) == (2, False, False)
    assert lines[0].startswith("memory: host ")
    with pytest.raises(ResourceError, match="of the host's memory"):
        fit(GPU_PLAN, GPU_PLAN.host_peak - 1, None)
    with pytest.raises(ResourceError, match="of the host's memory"):  # the sums fit on neither side
        fit(GPU_PLAN, GPU_PLAN.host_peak, TABLES + 300)


def test_a_custom_inferer_stays_on_the_gpu() -> None:
    words = [words for words, _ in fallbacks(changed(GPU_PLAN, own=3000))]
    assert "accumulator on the host" not in words
    assert "accumulator on the host" in [words for words, _ in fallbacks(GPU_PLAN)]
