"""Sizes of arrays, by hand, for a volume that no machine has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.errors import ConfigError
from gpu_infer.planning.memory_plan import TABLES, MemoryPlan, Placement
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.planning.sizes import DICOM_LIBRARIES
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS


@pytest.mark.parametrize("gpu", [False, True])
def test_105_classes_with_the_slab_do_not_grow_with_depth(tmp_path: Path, gpu: bool) -> None:
    """On 512×512×400, windows of 192×192×32: float32 [105, 512, 512, 32] as the slab, for every depth."""
    shallow, deep = (many_classes(tmp_path, depth, Placement(gpu=gpu, device_slots=gpu)) for depth in (400, 800))
    for plan in (shallow, deep):
        assert plan.sums_bytes == plan.sizes.slab_accumulator == 105 * 512 * 512 * 32 * 4
    assert shallow.sizes.full_accumulator == 105 * 512 * 512 * 400 * 4
    assert deep.sizes.full_accumulator == 2 * shallow.sizes.full_accumulator
    stored, prepared, result = 512 * 512 * 400, 512 * 512 * 400 * 4, 512 * 512 * 400
    peak = shallow.device_peak - TABLES if gpu else shallow.host_peak - shallow.sizes.program - stored
    # a second arena, after a lost connection
    assert peak == prepared + 2 * shallow.arena_bytes + shallow.sums_bytes + result


def test_every_size_of_many_classes(tmp_path: Path) -> None:
    sizes = many_classes(tmp_path, 400, Placement()).sizes
    voxels, window = 512 * 512 * 400, 192 * 192 * 32
    assert sizes.stored == voxels
    assert sizes.prepared == 4 * voxels
    assert sizes.window == (1 + 105) * window * 4
    assert (sizes.result, sizes.computed, sizes.output) == (voxels, voxels, 2 * voxels)
    assert (sizes.importance, sizes.fixed_batch) == (0, 0)


@pytest.mark.parametrize(
    ("dtype", "table"),
    [
        (np.uint8, 105 << 8 + 2),
        (np.int16, 105 << 16 + 2),
        (np.float32, 105 * 2 * 4096 * 4),
        (np.int32, 105 * 2 * 4096 * 4),
    ],
)
def test_tables_of_statistics(tmp_path: Path, dtype: Any, table: int) -> None:
    """Counts of each value by label, or two digits of 12 bits; two slabs of 16 MiB; a copy per thread up to 64 MiB."""
    inputs = inputs_of(tmp_path, (512, 512, 400), dtype=dtype, options={"statistics": True})
    sizes = make_plan(inputs, model_of(105, (192, 192, 32)), placement=Placement()).memory.sizes
    assert sizes.statistics == table + 2 * (16 << 20)
    assert sizes.table_copies == min(64 << 20, 64 * table)


def test_a_volume_of_too_many_voxels_for_statistics_is_refused(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (2048, 2048, 1024), options={"statistics": True})
    with pytest.raises(ConfigError, match=r"--statistics: volume\.nii has 4294967296 voxels, expected fewer than"):
        make_plan(inputs, model_of(2, (192, 192, 32)), placement=Placement())


def many_classes(folder: Path, depth: int, placement: Placement) -> MemoryPlan:
    """The plan for uint8 512×512×depth and a model of 105 classes."""
    inputs = inputs_of(folder, (512, 512, depth))
    return make_plan(inputs, model_of(105, (192, 192, 32)), placement=placement).memory


def test_dicom_files_count_on_the_host(tmp_path: Path) -> None:
    """A SEG takes three times the labels of one byte, and a sixteenth of a byte for each label if it is BINARY."""
    voxels = 40 * 50 * 60

    def dicom(classes: int, **options: object) -> int:
        inputs = inputs_of(tmp_path, (40, 50, 60), options=options)
        return make_plan(inputs, model_of(classes, (16, 16, 16))).memory.sizes.dicom

    assert dicom(2) == 0
    assert dicom(2, rtstruct=True) == DICOM_LIBRARIES
    assert dicom(17, dicom_seg="auto") == DICOM_LIBRARIES + 3 * voxels + 16 * voxels // 16
    assert dicom(18, dicom_seg="auto") == dicom(3, dicom_seg="labelmap") == DICOM_LIBRARIES + 3 * voxels
    assert dicom(33, dicom_seg="binary") == DICOM_LIBRARIES + 3 * voxels + 32 * voxels // 16


def test_dicom_files_can_be_the_peak(tmp_path: Path) -> None:
    plans = [
        make_plan(inputs_of(tmp_path, (40, 50, 60), options=options), model_of(2, (16, 16, 16))).memory
        for options in ({}, {"dicom_seg": "auto"})
    ]
    without, with_seg = (plan.host_peak - plan.sizes.program - plan.sizes.stored for plan in plans)
    assert with_seg == plans[1].sizes.output + plans[1].sizes.dicom > without
    assert any(line.startswith("DICOM files") for line in plans[1].lines())
    assert not any(line.startswith("DICOM files") for line in plans[0].lines())


def test_labels_above_the_number_of_classes_are_counted_in_their_own_dtype(tmp_path: Path) -> None:
    def computed(target: int) -> int:
        inputs = inputs_of(tmp_path, (20, 30, 40))
        relabel = TRANSFORMS["RelabelValues"](fields="model", orig_labels=1, target_labels=target)
        chain = Pipeline(inputs.pipeline.pre, [*inputs.pipeline.post, relabel])
        return make_plan(replace(inputs, pipeline=chain), model_of(3, (16, 16, 16))).memory.sizes.computed

    assert computed(255) == 20 * 30 * 40
    assert computed(256) == 2 * computed(255)
