"""nnU-Net's sides of bench.batch without nnU-Net: notes of the result, the fastest side, the missing package."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bench.sides.batch_nnunet import make_plans
from bench.sides.nnunet_side import NNUNET, fastest, missing_note, nnunet_notes


def test_fastest_counts_first_runs() -> None:
    three, one, none = NNUNET
    measured = {three: [{"seconds": 5.0}, {"seconds": 1.0}], one: [{"seconds": 4.0}], none: [{"seconds": 6.0}]}
    assert fastest(measured) == one


def test_notes_have_windows_and_smallest_share_of_equal_labels(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 2), np.uint8)
    labels[1, 2, 0] = 1
    ours = tmp_path / "ours"
    (ours / "case").mkdir(parents=True)
    (ours / "case" / "case.raw").write_bytes(labels.tobytes(order="F"))
    (ours / "case" / "report.json").write_text(json.dumps({"tiles": {"windows": 27}}), encoding="utf-8")
    theirs = [tmp_path / "equal", tmp_path / "other"]
    for folder, different in zip(theirs, (0, 10), strict=True):
        folder.mkdir()
        other = labels.copy()
        other.reshape(-1)[:different] ^= 1
        nib.save(nib.Nifti1Image(other, np.eye(4)), folder / "case.nii")
        (folder / "facts.json").write_text(json.dumps({"windows": 8.0}), encoding="utf-8")
    source = tmp_path / "case.nii"
    nib.save(nib.Nifti1Image(labels, np.eye(4)), source)
    windows, _, share = nnunet_notes(ours, theirs, [source])
    assert "27 of gpu_infer, 8 of nnU-Net" in windows
    assert "at least 0.750000" in share  # 10 of 40 voxels differ


def test_axes_of_plans_are_z_y_x() -> None:
    windows = make_plans((0.7, 0.8, 3.0), (64, 48, 32))["configurations"]["windows"]
    assert (windows["spacing"], windows["patch_size"]) == ([3.0, 0.8, 0.7], [32, 48, 64])


@pytest.mark.skipif(find_spec("nnunetv2") is not None, reason="nnU-Net is installed")
def test_missing_package_is_named_in_one_sentence() -> None:
    assert missing_note() == "nnU-Net is skipped (make peers): ModuleNotFoundError: No module named 'torch'."
