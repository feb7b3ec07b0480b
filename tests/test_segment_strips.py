"""Strip by strip, from file to file: bit by bit the labels of the whole volume in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from hypothesis import given, settings
from hypothesis import strategies as st
from real_device import real_gpu
from strip_runs import ORIENTATIONS, affine_of, inputs_of_file, plans_of, run_both, run_strips, write_volume

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError
from gpu_infer.planning import strips
from gpu_infer.planning.memory_plan import TABLES, Placement

RANGE = {"name": "ScaleIntensityRange", "args": {"fields": "image", "a_min": 10, "a_max": 900, "b_min": -1, "b_max": 3}}
CHAINS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "range": [RANGE],
    "resolution": [
        {"name": "ScaleByResolution", "args": {"fields": "image", "target_resolution": [1.1, 0.8, 1.7]}},
        RANGE,
    ],
    "monai": [
        RANGE,
        {
            "name": "ScaleByResolution",
            "args": {"fields": "image", "target_resolution": [0.9, 1.3, 1.0], "placement": "monai"},
        },
    ],
    "nearest": [
        {"name": "ScaleByFactor", "args": {"fields": "image", "factor": [1.4, 0.6, 0.8], "interpolation": "nearest"}}
    ],
    "half pixels": [
        {"name": "ScaleToShape", "args": {"fields": "image", "target_shape": [9, 14, 12], "align_corners": False}}
    ],
}
MODES: list[dict[str, Any]] = [
    {},
    {"mode": "monai", "overlap": 0.5, "blend": "gaussian"},
    {"mode": "monai", "overlap": 0.25, "padding_mode": "replicate"},
    {"mode": "monai", "overlap": 0.25, "cval": -3},
    {"mode": "nnunet", "mirror_axes": [0, 2]},
]


@pytest.fixture(autouse=True)
def every_volume_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Backend]:
    with simulated_cupy() as gpu:
        yield gpu.GpuBackend()


def check(
    backend: Backend,
    shape: Any,
    window: Any,
    orientation: Any,
    chain: str,
    mode: dict[str, Any],
    seed: int,
    ending: str,
) -> None:
    rng = np.random.default_rng(seed)
    dtype = [np.uint16, np.int16, np.uint8, np.float32, np.float64][seed % 5]
    with tempfile.TemporaryDirectory() as folder:
        affine = affine_of(*orientation, rng.uniform(0.7, 2.1, 3))
        path = write_volume(Path(folder) / f"case{ending}", rng.integers(0, 250, shape).astype(dtype), affine)
        inputs = inputs_of_file(path, pre=CHAINS[chain], **mode)
        if ending.endswith(".gz") and (refusal := strips.strips_refusal(inputs)):
            assert refusal == "its slices run against the loaded axis, and a compressed file is read forwards"
            return
        whole, labels, counts = run_both(inputs, window, backend)
    np.testing.assert_array_equal(labels, whole.labels["model"])
    expected = np.bincount(labels.ravel())
    assert counts == expected.tolist()


runs = given(
    st.tuples(*[st.integers(2, 16)] * 3),
    st.tuples(*[st.integers(2, 12)] * 3),
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(sorted(CHAINS)),
    st.sampled_from(MODES),
    st.integers(0, 99),
    st.sampled_from([".mhd", ".nii", ".nii.gz"]),
)


@runs
def test_labels_on_the_cpu(
    shape: Any, window: Any, orientation: Any, chain: str, mode: Any, seed: int, ending: str
) -> None:
    check(CpuBackend(), shape, window, orientation, chain, mode, seed, ending)


@settings(max_examples=25)
@runs
def test_labels_on_the_simulator(
    simulated: Backend, shape: Any, window: Any, orientation: Any, chain: str, mode: Any, seed: int, ending: str
) -> None:
    check(simulated, shape, window, orientation, chain, mode, seed, ending)


def test_labels_without_a_restore_have_the_warning_of_the_whole_volume(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voxels = np.random.default_rng(3).integers(0, 250, (9, 8, 7)).astype(np.uint16)
    path = write_volume(tmp_path / "case.mhd", voxels, np.eye(4))
    post = [{"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}]
    whole, labels, _ = run_both(inputs_of_file(path, pre=CHAINS["half pixels"], post=post), (5, 4, 3), CpuBackend())
    np.testing.assert_array_equal(labels, whole.labels["model"])
    first, second = (r.getMessage() for r in caplog.records if r.getMessage().startswith("no RestoreOriginalShape"))
    assert first == second
    assert "'model' back to the file's grid (9, 8, 7)" in first


def test_masks_of_several_classes_are_refused_as_for_the_whole_volume(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "case.mhd", np.zeros((9, 8, 7), np.uint16), np.eye(4))
    post = [{"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": 0.5}}]
    with pytest.raises(ConfigError, match="leave 3 channels in 'model', expected 1"):
        plans_of(inputs_of_file(path, post=post), (5, 4, 3))


@pytest.mark.parametrize("chain", ["range", "resolution"])
def test_the_simulated_gpu_holds_what_the_plan_says(simulated: Any, tmp_path: Path, chain: str) -> None:
    """Without what the plan counts for kernels and tables, which the simulator has not."""
    shape, window = (150, 140, 130), (64, 48, 40)
    voxels = np.random.default_rng(3).integers(0, 250, shape).astype(np.uint16)
    path = write_volume(tmp_path / "case.mhd", voxels, affine_of((0, 1, 2), (-1, -1, 1), (1.0, 1.0, 2.0)))
    inputs = inputs_of_file(path, pre=CHAINS[chain])
    _, plan = plans_of(inputs, window)
    memory = replace(plan.memory, placement=Placement(gpu=True))  # the slots of the test are on the host
    simulated.start_run()
    before = simulated.counters()["peak_device_bytes"]
    run_strips(inputs, plan, simulated)
    peak = simulated.counters()["peak_device_bytes"] - before
    assert 0.7 * (memory.device_peak - TABLES) < peak <= memory.device_peak


@pytest.mark.gpu
@pytest.mark.parametrize(("chain", "ending", "seed"), [("resolution", ".mhd", 3), ("range", ".nii.gz", 1)])
def test_labels_on_a_gpu(chain: str, ending: str, seed: int) -> None:
    with real_gpu() as module:
        check(module.GpuBackend(), (40, 33, 29), (16, 12, 10), ((1, 0, 2), (-1, 1, 1)), chain, MODES[1], seed, ending)
