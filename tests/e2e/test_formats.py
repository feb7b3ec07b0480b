"""Label maps in every format from the command's options and from the configuration; a file as the output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from label_files import labels_in
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import ConfigError
from gpu_infer.writers.formats.registry import FORMATS

pytestmark = pytest.mark.slow

AFFINE = np.array([[-0.9, 0.1, 0, 12.5], [0.09, 1.3, 0, -7.25], [0, 0, 2.5, 3], [0, 0, 0, 1.0]])
LPS = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    voxels = np.random.default_rng(3).integers(-1, 6, (13, 11, 9)).astype(np.int16)
    straight = AFFINE * np.eye(4) + np.pad(AFFINE[:3, 3:], ((0, 1), (3, 0)))
    straight[3, 3] = 1
    write_nifti(tmp_path / "input/case.nii.gz", voxels, straight)
    return tmp_path


def chosen(**writer: Any) -> dict[str, Any]:
    content = config("classes5", roi_size=[8, 8, 8])
    content["labels"] = {"1": "one", "2": "two"}
    content["writers"][0]["args"] |= writer
    return content


def test_every_format_has_the_same_labels_on_the_grid_of_the_input(root: Path, triton_server: Any) -> None:
    result = operate(root, triton_server, chosen(), formats=list(FORMATS), publish=root / "publish", preview=True)
    original = nib.load(root / "input/case.nii.gz")
    expected = labels_in(result.output)
    assert len(np.unique(expected)) > 2
    files = {entry["format"]: Path(entry["path"]) for entry in result.data["outputs"][0]["files"]}
    assert list(files) == list(FORMATS)
    assert list(files.values()) == result.label_maps
    for each, path in files.items():
        assert path == root / f"output/case.{each}"
        np.testing.assert_array_equal(labels_in(path), expected)
        np.testing.assert_allclose(sitk.ReadImage(path).GetOrigin(), LPS @ original.affine[:3, 3], atol=1e-5)
    np.testing.assert_array_equal(nib.load(files["nii.gz"]).affine, original.affine)
    assert b">one<" in nib.load(files["nii"]).header.extensions[0].get_content()
    assert sitk.ReadImage(files["seg.nrrd"]).GetMetaData("Segment1_Name") == "two"
    np.testing.assert_array_equal(labels_in(root / "publish/case.out.mhd"), expected)
    again = operate(root, triton_server, chosen(), formats=list(FORMATS), publish=root / "publish", preview=True)
    assert again.data["warnings"] == []


def test_the_configuration_chooses_and_publishing_needs_no_mhd(root: Path, triton_server: Any) -> None:
    content = chosen(format=["nrrd", "seg.nrrd"])
    result = operate(root, triton_server, content, publish=root / "publish")
    assert sorted(path.name for path in (root / "output").iterdir()) == ["case.nrrd", "case.seg.nrrd"]
    assert (result.output, result.raw) == (root / "output/case.nrrd", None)
    assert "mhd" not in result.data["output"]
    np.testing.assert_array_equal(labels_in(root / "publish/case.out.mhd"), labels_in(result.output))
    result = operate(root, triton_server, content, formats=["mha"])
    assert result.output == root / "output/case.mha"


def test_a_file_as_the_output(root: Path, triton_server: Any) -> None:
    result = operate(root, triton_server, chosen(), output=root / "new/lungs.nii.gz", logs=None)
    assert result.output == root / "new/lungs.nii.gz"
    assert sorted(path.name for path in (root / "new").iterdir()) == ["lungs.nii.gz", "report.json"]
    assert json.loads((root / "new/report.json").read_text())["output"]["files"][0]["path"] == str(result.output)


def test_the_input_in_the_output_folder_stays(root: Path, triton_server: Any) -> None:
    before = (root / "input/case.nii.gz").read_bytes()
    with pytest.raises(ConfigError, match=r"case\.nii\.gz: is the input itself"):
        operate(root, triton_server, chosen(), output=root / "input", formats=["nii.gz"])
    with pytest.raises(ConfigError, match=r"case\.nii\.gz: is the input itself"):
        operate(root, triton_server, chosen(), output=root / "input/case.nii.gz")
    operate(root, triton_server, chosen(), output=root / "input", formats=["seg.nrrd"])
    assert (root / "input/case.nii.gz").read_bytes() == before
