"""The operator on irregular DICOM series: the labels are those of the stacked slices as a NIfTI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_source import OBLIQUE, SPACING, irregular_places, values, write_enhanced_study, write_study
from operator_helpers import config, operate, write_nifti
from pydicom import dcmread

from gpu_infer.errors import ConfigError, InputError

SHAPE = (24, 20, 12)

pytestmark = pytest.mark.slow


def content() -> dict[str, Any]:
    """Resampling makes the labels depend on the distance of the slices."""
    return config("classes5", resolution=(0.6, 0.6, 1.0), roi_size=[12, 10, 8])


def stacked(path: Path, kind: str) -> Path:
    """The slices as a NIfTI with the spacing of index space, and its axes in the directions of the slices."""
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    places = irregular_places(kind, SHAPE[2])
    step = float(np.median(np.diff(places @ normal)))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(
        [SPACING[1] * np.array(OBLIQUE[:3]), SPACING[0] * np.array(OBLIQUE[3:]), step * normal]
    )
    affine[:3, 3] = places[0]
    return write_nifti(path, values(SHAPE).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


@pytest.mark.parametrize("kind", ["tilted", "gap", "uneven"])
def test_labels_of_each_source_image_are_those_of_the_stacked_slices(
    tmp_path: Path, triton_server: Any, kind: str
) -> None:
    stacked(tmp_path / "nifti/input/stacked.nii", kind)
    nifti = operate(tmp_path / "nifti", triton_server, content(), device="cpu")
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(nifti.output)))
    places = irregular_places(kind, SHAPE[2])
    series = write_study(tmp_path / "dicom/input/ct", SHAPE, places=places)
    options = {"tilt": "index", "dicom_seg": "auto", "dicom_sc": True}
    result = operate(tmp_path / "dicom", triton_server, content(), device="cpu", **options)

    images = sorted((dcmread(path) for path in series.iterdir()), key=lambda image: int(image.InstanceNumber))
    seg = hd.seg.segread(result.dicom[0])
    read = seg.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    present = [int(value) for value in np.unique(expected) if value]
    assert len(present) > 1
    np.testing.assert_array_equal(np.array([0, *present])[read], expected)
    for k, capture in enumerate(map(dcmread, result.dicom[1:])):
        coloured = (capture.pixel_array != capture.pixel_array[..., :1]).any(axis=-1)
        np.testing.assert_array_equal(coloured, expected[k] != 0)
        np.testing.assert_allclose(np.array(capture.ImagePositionPatient, float), places[k], atol=1e-5)

    assert (result.output, result.raw, result.label_maps) == (result.dicom[0], None, [])
    assert sorted(path.name for path in (tmp_path / "dicom/output").iterdir()) == ["ct.sc", "ct.seg.dcm"]
    data = result.data
    assert data["input"]["index_space"] in data["warnings"][0]
    voxels = {label: entry["voxels"] for label, entry in data["labels"].items()}
    assert voxels == {label: entry["voxels"] for label, entry in nifti.data["labels"].items()}
    assert {entry["ml"] for entry in data["labels"].values()} == {None}


def test_an_enhanced_series_and_points(tmp_path: Path, triton_server: Any) -> None:
    stacked(tmp_path / "nifti/input/stacked.nii", "tilted")
    points = {"name": "FetchExtremePoints", "args": {"image_field": "image", "label_field": "model"}}
    with_points = content()
    with_points["post_transforms"].append(points)
    nifti = operate(tmp_path / "nifti", triton_server, with_points, device="cpu")
    places, order = irregular_places("tilted", SHAPE[2]), [3, 2, 1, 0, *range(4, 12)]
    write_enhanced_study(tmp_path / "dicom/input", SHAPE, order, places)
    options = {"tilt": "index", "dicom_seg": "labelmap"}
    result = operate(tmp_path / "dicom", triton_server, with_points, device="cpu", **options)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(nifti.output)))
    labels, seg = np.zeros_like(expected), dcmread(result.dicom[0])
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        labels[int(np.argmin(np.linalg.norm(places - place, axis=1)))] = frame
    np.testing.assert_array_equal(labels, expected)
    ours, theirs = (run.data["points"]["points"] for run in (result, nifti))
    assert [point["index"] for point in ours] == [point["index"] for point in theirs]
    assert {point["ras_mm"] for point in ours} == {None}


def test_a_result_without_labels_has_no_files(tmp_path: Path, triton_server: Any) -> None:
    zeros = np.zeros((SHAPE[1], SHAPE[0]), np.int16).tobytes()
    write_study(tmp_path / "input/ct", SHAPE, places=irregular_places("gap", SHAPE[2]), PixelData=zeros)
    options = {"tilt": "index", "dicom_seg": "auto", "dicom_sc": True}
    result = operate(tmp_path, triton_server, config("threshold_half", roi_size=[4, 4, 4]), device="cpu", **options)
    assert result.dicom == []
    assert result.output == tmp_path / "output"
    assert result.data["dicom"] == {"files": [], "empty": ["model"]}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dicom_seg": "auto"}, InputError, "gantry tilt .*add --tilt index"),
        ({"tilt": "index"}, ConfigError, "add --dicom-seg auto or --dicom-sc"),
        ({"tilt": "index", "dicom_seg": "auto", "formats": ("nrrd",)}, ConfigError, "found --format, expected"),
    ],
)
def test_refusals_come_before_the_server(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    from types import SimpleNamespace

    write_study(tmp_path / "input/ct", SHAPE, places=irregular_places("tilted", SHAPE[2]))
    nobody = SimpleNamespace(grpc="127.0.0.1:1", http="127.0.0.1:1")
    with pytest.raises(error, match=message):
        operate(tmp_path, nobody, content(), device="cpu", **options)
