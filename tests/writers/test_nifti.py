"""NIfTI as nibabel reads it back."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.nifti import write_nifti

AFFINE = np.array([[0.0, -1.5, 0.0, 10.25], [0.8, 0.0, 0.0, -7.5], [0.0, 0.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz"])
@pytest.mark.parametrize("channels", [1, 2])
def test_stored_values_scaling_and_affine(tmp_path: Path, name: str, channels: int) -> None:
    data = np.random.default_rng(1).integers(0, 3000, (channels, 5, 4, 3)).astype(">i2")
    volume = Volume(data, Geometry((5, 4, 3), AFFINE), tmp_path, "nrrd", slope=0.5, inter=-1024.0)
    image = nib.load(write_nifti(volume, tmp_path / "new", name))
    expected = data[0] if channels == 1 else data.transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(image.dataobj.get_unscaled(), expected)
    np.testing.assert_array_equal(image.get_fdata(), expected * 0.5 - 1024)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)
    np.testing.assert_allclose(image.header.get_qform(), AFFINE, atol=1e-5)
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == [name]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    volume = Volume(np.zeros((1, 2, 2, 2), np.uint8), Geometry((2, 2, 2), np.eye(4)), tmp_path, "nrrd")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_nifti(volume, tmp_path / "file" / "x", "case.nii")
