"""nnU-Net's side of bench.batch: its predictor for many files with the minimal plans labels what exceeds 0.5."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bench.sides.batch_nnunet import predict
from bench.sides.nnunet_side import missing_note


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1])
def test_labels_of_two_volumes(tmp_path: Path, processes: int) -> None:
    generator = np.random.default_rng(3)
    paths = [tmp_path / f"case_{n}.nii" for n in range(2)]
    volumes = [generator.integers(-1, 3, (40, 36, 34)).astype(np.int16) for _ in paths]
    for path, voxels in zip(paths, volumes, strict=True):
        nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 1.0, 1.0])), path)
    output = tmp_path / "out"
    output.mkdir()
    predict(paths, output, (32, 32, 32), processes)
    for path, voxels in zip(paths, volumes, strict=True):
        labels = nib.load(output / path.name)
        assert labels.header.get_zooms() == pytest.approx((0.8, 0.8, 1.0))
        np.testing.assert_array_equal(np.asarray(labels.dataobj), voxels > 0.5)
    # steps of 28 voxels at most: 0 and the end of each axis
    assert json.loads((output / "facts.json").read_text(encoding="utf-8")) == {"windows": 8.0}


def test_environment_has_all_that_the_predictor_needs() -> None:
    assert missing_note() is None
