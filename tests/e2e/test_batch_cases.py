"""Cases of a batch through the operator: channels in files of their own, and series of one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_series import hounsfield, write_series
from label_files import labels_in
from operator_helpers import config, write_config, write_nifti

from gpu_infer.app import RunResult, run
from gpu_infer.batch.cases.find import find_cases
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import InputError
from gpu_infer.settings import Settings

pytestmark = pytest.mark.slow

AFFINE = np.diag([-0.9, 1.3, 2.5, 1.0])


def run_cases(root: Path, server: Any, content: dict[str, Any], **options: Any) -> dict[str, RunResult]:
    """Run every case below root/input one after the other."""
    settings = Settings(
        root / "input",
        root / "output",
        config=write_config(root / "config", content),
        triton_grpc=server.grpc,
        wait_s=30.0,
        deadline_s=60.0,
        **options,
    )
    job = BatchJob(settings)
    return {case.id: run(job.case_settings(case)) for case in find_cases(settings.input, settings)}


def thresholds(model: str, values: list[float], names: list[str]) -> dict[str, Any]:
    content = config(model, roi_size=[8, 8, 8])
    content["post_transforms"] = [
        {"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": values}},
        {"name": "SplitAcrossChannels", "args": {"field": "model", "channel_names": ["a", "b", "c"]}},
    ]
    content["writers"] = [{"name": "WriteNifti", "args": {"field": name, "dtype": "uint8"}} for name in names]
    return content


def test_channels_in_files_of_their_own(tmp_path: Path, triton_server: Any) -> None:
    rng = np.random.default_rng(5)
    cases = {f"p{n}": [rng.random((9, 10, 11), dtype=np.float32) for _ in range(3)] for n in range(2)}
    for name, channels in cases.items():
        for number, data in enumerate(channels):
            write_nifti(tmp_path / f"input/{name}_{number:04d}.nii.gz", data, AFFINE)
    results = run_cases(tmp_path, triton_server, thresholds("three_channels", [0.2, 0.5, 0.8], ["c", "a"]))
    assert list(results) == ["p0", "p1"]
    for name, channels in cases.items():
        folder = tmp_path / "output" / name
        written = {path.name for path in folder.iterdir()}
        assert written == {f"{name}.{f}.{e}" for f in "ac" for e in ("mhd", "raw")} | {"report.json"}
        np.testing.assert_array_equal(labels_in(folder / f"{name}.a.mhd"), channels[0] > np.float32(0.2))
        np.testing.assert_array_equal(labels_in(folder / f"{name}.c.mhd"), channels[2] > np.float32(0.8))
        files = [str(tmp_path / f"input/{name}_{number:04d}.nii.gz") for number in range(3)]
        assert results[name].data["input"]["files"] == files
        assert results[name].data["input"]["channels"] == 3


def test_channels_of_another_grid_are_refused(tmp_path: Path, triton_server: Any) -> None:
    for number in range(3):
        write_nifti(tmp_path / f"input/p_{number:04d}.nii.gz", np.zeros((9, 10, 11 + number // 2), np.float32), AFFINE)
    with pytest.raises(InputError, match=r"p_0002.nii.gz: shape \(9, 10, 12\), expected \(9, 10, 11\)"):
        run_cases(tmp_path, triton_server, thresholds("three_channels", [0.2, 0.5, 0.8], ["c", "a"]))


def test_series_of_one_folder(tmp_path: Path, triton_server: Any) -> None:
    (tmp_path / "input").mkdir()
    slices = {"s1": range(5), "s2": range(20, 26)}
    for number, numbers in enumerate(slices.values(), 1):
        write_series(tmp_path / "input", numbers, series=f"1.2.{number}", SeriesNumber=number)
    content = config("one_channel", roi_size=[8, 8, 8])
    content["post_transforms"] = [{"name": "ThresholdValues", "args": {"fields": "model", "threshold": 0.5}}]
    content["writers"] = [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}]
    results = run_cases(tmp_path, triton_server, content, name="s{SeriesNumber}", series="slices>2")
    for name, numbers in slices.items():
        expected = hounsfield(numbers)[0] > 0.5
        np.testing.assert_array_equal(labels_in(tmp_path / "output" / name / f"{name}.mhd"), expected)
        assert len(results[name].data["input"]["files"]) == len(numbers)
        assert "1.2." not in (tmp_path / "output" / name / "report.json").read_text().split('"versions"')[0]
