"""Floating-point files strip by strip: voxels that are not finite are counted, replaced and explained as in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strip_runs import Observer, Transport, inputs_of_file, plans_of, rings_in_this_process, run_strips, write_volume

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import InputError
from gpu_infer.planning import strips
from gpu_infer.segment import segment
from gpu_infer.volume.read import read_voxels

SHAPE, WINDOW = (14, 12, 17), (6, 5, 7)


@pytest.fixture(autouse=True)
def every_volume_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)


def write_case(folder: Path, ending: str) -> Path:
    voxels = np.random.default_rng(6).uniform(0, 200, SHAPE).astype(np.float32)
    voxels[3, 4, 5] = voxels[13, 11, 16] = np.nan
    voxels[0, 0, 9] = np.inf
    return write_volume(folder / f"case{ending}", voxels, np.eye(4))


@pytest.mark.parametrize("ending", [".mhd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("nan", [None, -7.5])
def test_labels_and_warnings_are_those_of_the_whole_volume(tmp_path: Path, ending: str, nan: float | None) -> None:
    inputs = inputs_of_file(write_case(tmp_path, ending), load={} if nan is None else {"nan": nan})
    whole, in_strips = plans_of(inputs, WINDOW)
    first, second, transport = Observer(), Observer(), Transport()
    volume = read_voxels(inputs.header, nan=nan)
    any_transport: Any = transport
    with rings_in_this_process() as rings:
        expected = segment(whole, volume, any_transport, CpuBackend(), first, rings)
    labels, _ = run_strips(inputs, in_strips, CpuBackend(), second)
    np.testing.assert_array_equal(labels, expected.labels["model"])
    assert second.warnings == [*volume.warnings[len(inputs.header.warnings) :], *first.warnings]
    assert second.warnings[0].startswith(f"3 of {14 * 12 * 17} voxels are NaN or infinite")
    assert len(second.warnings) == (2 if nan is None else 1)


def test_nan_that_spreads_is_refused(tmp_path: Path) -> None:
    scale = {"name": "ScaleByFactor", "args": {"fields": "image", "factor": [1.5, 1.2, 1.4]}}
    inputs = inputs_of_file(write_case(tmp_path, ".mhd"), pre=[scale])
    _, plan = plans_of(inputs, WINDOW)
    with pytest.raises(InputError, match="3 voxels are NaN or infinite"):
        run_strips(inputs, plan, CpuBackend())
