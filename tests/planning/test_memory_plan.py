"""The memory plan: peaks of both sides as sums by hand, and its lines."""

from __future__ import annotations

from typing import Any

import pytest
from memory_plans import GPU_PLAN, HOST_PLAN, changed

from gpu_infer.planning.memory_plan import STAGING, TABLES, MemoryPlan, placement_of


def test_peak_by_hand() -> None:
    assert HOST_PLAN.arena_bytes == 3 * 4 * 30
    assert HOST_PLAN.host_peak == 100 + 200 + 360 + 1000 + 50
    assert HOST_PLAN.lines()[-1].startswith("peak")
    assert changed(HOST_PLAN, output=100_000).host_peak == 100 + 50 + 100_000


def test_slots_fit_beside_the_transforms_up_to_the_peak() -> None:
    most = HOST_PLAN.host_peak - 100 - 3 * 4 * 30  # less the volume and the slots
    assert changed(HOST_PLAN, transforms=most).slots_fit_early
    assert not changed(HOST_PLAN, transforms=most + 1).slots_fit_early
    assert not GPU_PLAN.slots_fit_early


def test_the_importance_map_counts_while_windows_are_in_memory() -> None:
    assert changed(HOST_PLAN, importance=77).host_peak == HOST_PLAN.host_peak + 77


def test_voxels_in_requests_count() -> None:
    """Without shared memory a slot's bytes are in messages and buffers as well."""
    inline = changed(HOST_PLAN, message_copies=3)
    assert inline.host_peak == HOST_PLAN.host_peak + 3 * HOST_PLAN.arena_bytes
    assert [line for line in inline.lines() if line.startswith("requests with voxels in them")]
    assert not [line for line in HOST_PLAN.lines() if line.startswith("requests")]


def test_both_sides_of_a_gpu_by_hand() -> None:
    assert GPU_PLAN.device_peak == TABLES + 200 + 3 * 4 * 30 + 7 + 1000 + 50
    assert GPU_PLAN.device_arena_bytes == 3 * 4 * 30
    assert GPU_PLAN.host_peak == 11 + STAGING + 100 + 60
    assert changed(GPU_PLAN, slab=True).device_peak == TABLES + 200 + 360 + 7 + 400 + 50
    assert changed(GPU_PLAN, transforms=9000).device_peak == TABLES + 9000
    assert changed(GPU_PLAN, transforms=9000).host_peak == GPU_PLAN.host_peak
    assert changed(GPU_PLAN, stored=9000).device_peak == TABLES + 9000 + 200
    assert changed(GPU_PLAN, computed=9000).device_peak == TABLES + 50 + 9000
    assert changed(HOST_PLAN, program=11, importance=7).device_peak == 0


def test_statistics_follow_the_restored_labels() -> None:
    on_cpu = changed(HOST_PLAN, computed=20, statistics=9000, table_copies=500)
    assert on_cpu.host_peak == 100 + 20 + 9000 + 500
    on_gpu = changed(GPU_PLAN, statistics=9000, table_copies=500)
    assert on_gpu.device_peak == TABLES + 20 + 9000
    assert on_gpu.host_peak == 11 + STAGING + 100 + 20 + 9000
    for plan in (on_cpu, on_gpu):
        assert any("statistics of labels" in line for line in plan.lines())
    assert not any("statistics" in line for plan in (HOST_PLAN, GPU_PLAN) for line in plan.lines())


def test_slots_outside_of_the_gpu() -> None:
    """They are on the host; one of them at a time is copied to and from the device."""
    shared = changed(GPU_PLAN, device_slots=False)
    assert shared.device_peak == TABLES + 200 + 4 * 30 + 7 + 1000 + 50
    assert (shared.host_peak, shared.device_arena_bytes) == (11 + STAGING + 100 + 360 + 7, 0)
    assert changed(shared, message_copies=3).host_peak == 11 + STAGING + 100 + 360 + 7 + 3 * 360


def test_sums_on_the_host() -> None:
    moved = changed(GPU_PLAN, slab=True, host_sums=True)
    assert moved.device_peak == TABLES + 200 + 360 + 50  # the result is uploaded while slots and input are there
    assert moved.host_peak == 11 + STAGING + 100 + 7 + 400 + 50 + 4 * 30  # a slot's scores come down
    assert changed(moved, device_slots=False).host_peak == 11 + STAGING + 100 + 7 + 400 + 50 + 360
    assert changed(moved, output=5000).host_peak == 11 + STAGING + 100 + 50 + 5000


def test_spare_slots_by_hand() -> None:
    """A second arena, on the same side as the first one; none with inline data."""
    spare = changed(HOST_PLAN, spare=True)
    assert spare.spare_bytes == spare.arena_bytes == 360
    assert spare.host_peak == HOST_PLAN.host_peak + 360
    assert changed(spare, message_copies=3).host_peak == HOST_PLAN.host_peak + 3 * 360
    gpu = changed(GPU_PLAN, spare=True)
    assert (gpu.device_peak, gpu.host_peak) == (GPU_PLAN.device_peak + 360, GPU_PLAN.host_peak)
    assert gpu.device_arena_bytes == 2 * 360
    shared = changed(gpu, device_slots=False)
    assert shared.host_peak == 11 + STAGING + 100 + 2 * 360 + 7
    assert shared.device_peak == changed(GPU_PLAN, device_slots=False).device_peak


def test_a_fixed_batch_axis_fills_every_slot() -> None:
    fixed = changed(HOST_PLAN, slab=True, fixed_batch=8)
    assert fixed.arena_bytes == 3 * 8 * 30
    assert any(line.startswith("slots (3 × 8 tiles)") for line in fixed.lines())


def test_lines_name_both_sides() -> None:
    def names(plan: MemoryPlan) -> list[str]:
        return [line.rsplit(maxsplit=2)[0].strip() for line in plan.lines()]

    assert names(GPU_PLAN) == [
        *("program and libraries", "stored volume", "importance map", "labels on the file's grid", "host peak"),
        *("GPU: kernels and tables", "GPU: uploaded volume", "GPU: prepared volume", "GPU: slots (3 × 4 tiles)"),
        *("GPU: accumulator (whole grid)", "GPU: importance map", "GPU: result on the model grid"),
        *("GPU: labels on the file's grid", "GPU: largest transform", "GPU peak"),
    ]
    moved = names(changed(GPU_PLAN, host_sums=True))
    assert "accumulator (whole grid)" in moved
    assert "a slot's scores on the host" in moved
    assert not any(line.startswith("GPU: accumulator") for line in moved)


@pytest.mark.parametrize("gpu", [False, True])
def test_the_line_of_the_pinned_buffer_is_the_programs(gpu: bool) -> None:
    plan = changed(HOST_PLAN, gpu=gpu, program=1 << 20)
    (line,) = (line for line in plan.lines() if line.startswith("program and libraries"))
    assert line.split()[-2:] == ["33.0" if gpu else "1.0", "MiB"]


class _Backend:
    def __init__(self, name: str) -> None:
        self.name = name


def test_placement_by_backend_and_transport() -> None:
    gpu: Any = _Backend("gpu")
    cpu: Any = _Backend("cpu")
    best = placement_of(gpu, "grpc", "cuda_shm")
    assert (best.gpu, best.device_slots, best.message_copies) == (True, True, 0)
    assert placement_of(gpu) == best
    assert not placement_of(gpu, "grpc", "system_shm").device_slots
    assert placement_of(gpu, "http", "inline").message_copies == 3
    assert placement_of(cpu, "grpc", "inline").message_copies == 5
    assert not placement_of(cpu, "grpc", "cuda_shm").device_slots


def test_a_custom_inferer_has_no_accumulator() -> None:
    own = changed(HOST_PLAN, own=3000)
    assert own.host_peak == 100 + 200 + 360 + 3000 + 50
    assert changed(own, slab=True).host_peak == own.host_peak
    assert [line.split()[-2:] for line in own.lines() if line.startswith("custom inferer")] == [["0.0", "MiB"]]
    assert not any("accumulator" in line for line in own.lines())
    assert changed(GPU_PLAN, own=3000).device_peak == TABLES + 200 + 3 * 4 * 30 + 7 + 3000 + 50


def test_what_custom_writers_take() -> None:
    own = changed(HOST_PLAN, own_files=70_000)
    assert own.host_peak == 100 + HOST_PLAN.sizes.output + 70_000
    assert own.volume_bytes == HOST_PLAN.volume_bytes + 70_000
    assert changed(own, dicom=80_000).volume_bytes == HOST_PLAN.volume_bytes + 80_000  # one after the other
    assert any(line.startswith("custom writers") for line in own.lines())
