"""The commands of the pages work as they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import SPACING, STEP, hounsfield, write_series
from operator_helpers import write_nifti
from page_blocks import ROOT, marked_blocks, run_blocks

EXAMPLES = ROOT / "examples" / "README.md"
FROM_CLARA = ROOT / "docs" / "from-clara.md"
FROM_MONAI_DEPLOY = ROOT / "docs" / "from-monai-deploy.md"
QUICK_START = ROOT / "docs" / "quick-start.md"


def test_a_failed_command_ends_the_blocks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\necho plain\n```\n\n```sh test\necho first\nfalse\n```\n\n```sh test\necho second\n```\n")
    assert marked_blocks(page) == ["echo first\nfalse\n", "echo second\n"]
    done = run_blocks(page, tmp_path)
    assert (done.returncode, done.stdout) == (1, "first\n")


def test_every_page_with_marked_commands_is_run_here() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    assert {page for page in pages if "```sh test" in page.read_text(encoding="utf-8")} == {
        EXAMPLES,
        FROM_CLARA,
        FROM_MONAI_DEPLOY,
        QUICK_START,
    }


@pytest.mark.parametrize(("page", "count"), [(EXAMPLES, 8), (FROM_CLARA, 1)], ids=["examples", "from-clara"])
def test_configurations_of_a_page_are_valid(page: Path, count: int, tmp_path: Path) -> None:
    done = run_blocks(page, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": valid\n") == count


@pytest.mark.slow
@pytest.mark.usefixtures("no_leftovers")
def test_quick_start(tmp_path: Path) -> None:
    """The demonstration network takes the part of the reader's own model."""
    voxels = np.random.default_rng(5).integers(-1000, 400, (60, 50, 20), np.int16)
    write_nifti(tmp_path / "scan.nii.gz", voxels, np.diag([1.5, 1.5, 3.0, 1.0]))
    (tmp_path / "my_model.onnx").symlink_to(ROOT / "models/segmentation_ct_lung_v1/1/lung_ct_demo.onnx")
    done = run_blocks(QUICK_START, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "my_app/config/config_inference.json: valid" in done.stdout
    for folder in ("out", "out_my_app"):
        labels = sitk.ReadImage(str(tmp_path / folder / "scan.mhd"))
        assert labels.GetSize() == voxels.shape
        assert set(np.unique(sitk.GetArrayFromImage(labels))) <= {0, 1}
    assert (tmp_path / "out" / "scan.preview.png").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("no_leftovers")
def test_from_monai_deploy(tmp_path: Path) -> None:
    """The demonstration network takes the part of the reader's model of the spleen."""
    write_series(tmp_path / "series", range(12))
    version = tmp_path / "model_repository" / "spleen_ct" / "1"
    version.mkdir(parents=True)
    for name in ("model.py", "lung_ct_demo.onnx"):
        (version / name).symlink_to(ROOT / "models/segmentation_ct_lung_v1/1" / name)
    (version.parent / "config.pbtxt").write_text(
        'backend: "python"\nmax_batch_size: 16\n'
        'input [{ name: "NV_MODEL_INPUT" data_type: TYPE_FP32 dims: [ 1, 96, 96, 96 ] }]\n'
        'output [{ name: "NV_MODEL_OUTPUT" data_type: TYPE_FP32 dims: [ 2, 96, 96, 96 ] }]\n'
        "instance_group [{ kind: KIND_CPU count: 1 }]\n"
        'parameters { key: "file" value { string_value: "lung_ct_demo.onnx" } }\n'
    )
    done = run_blocks(FROM_MONAI_DEPLOY, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "windows of 96×96×96 over 3×2×10, mode monai" in done.stdout
    labels = sitk.ReadImage(str(tmp_path / "out" / "series.mhd"))
    assert labels.GetSize() == hounsfield(range(12)).shape[1:]
    np.testing.assert_allclose(labels.GetSpacing(), [*SPACING[::-1], STEP])
