"""From an ONNX file to labels by three commands in a fresh folder; the labels are those of a threshold in NumPy."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from onnx_files import threshold_model

from gpu_infer.cli.main import main

pytestmark = pytest.mark.slow


def test_three_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    threshold_model(tmp_path / "net.onnx")
    voxels = np.random.default_rng(3).integers(-1200, 600, (40, 36, 20)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / "scan.nii")
    for words in (
        "models add net --onnx net.onnx",
        "models check net --roi 16,16,16",
        "init my_app --model net --roi 16,16,16 --intensities=-1000,400",
        "run -i scan.nii -o out_my_app --config my_app/config --triton local --models models",
    ):
        monkeypatch.setattr(sys, "argv", ["gpu-infer", *words.split()])
        assert main() == 0, capsys.readouterr().err
    assert "output  scores FP32 [1, 2, 16, 16, 16]" in capsys.readouterr().out
    (path,) = (tmp_path / "out_my_app").glob("*.mhd")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    scaled = (np.clip(voxels, -1000, 400) + 1000) / 1400
    sure = np.abs(scaled - 0.5) > 1e-5  # −300 HU is a tie
    np.testing.assert_array_equal(labels[sure], scaled[sure] > 0.5)
    assert set(np.unique(labels)) == {0, 1}
