"""A SEG read back by pydicom and highdicom has the labels, in their places."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicom_source import (
    FRAME,
    HAS_DCIODVFY,
    LUNG,
    ORIGIN,
    PLAIN,
    SERIES,
    STEP,
    STUDY,
    blobs,
    complaints,
    source_of,
    values,
    write,
    write_enhanced_study,
    write_study,
)
from numpy.typing import NDArray
from pydicom import dcmread

from gpu_infer.label_table.palette import palette_colour
from gpu_infer.label_table.table import Label
from gpu_infer.volume.formats.dicom.file import quiet
from gpu_infer.writers.dicom.seg import kind_of

SHAPE = (24, 20, 12)


def planes_of(path: Path) -> NDArray[np.int64]:
    """Labels [slice, row, column] of a SEG by the positions of its frames; empty slices have no frame."""
    seg = dcmread(path)
    frames = seg.pixel_array if seg.NumberOfFrames > 1 else seg.pixel_array[None]
    labels = np.zeros((SHAPE[2], seg.Rows, seg.Columns), np.int64)
    cosines = np.array(seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    value = {
        item.SegmentNumber: int(item.TrackingID.split()[1]) for item in seg.SegmentSequence if "TrackingID" in item
    }
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        k = round(float((place - ORIGIN) @ normal) / STEP)
        np.testing.assert_allclose(place, ORIGIN + STEP * k * normal, atol=1e-6)
        if seg.SegmentationType == "LABELMAP":
            labels[k] = frame
        else:
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            labels[k][frame == 1] = value[number]
    return labels


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_labels_of_an_oblique_series_come_back(tmp_path: Path, kind: str) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_seg=kind)["seg"]
    np.testing.assert_array_equal(planes_of(path), voxels.transpose(2, 1, 0))


def test_classic_slices_that_count_their_frame(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE, NumberOfFrames=1), blobs(SHAPE, [1, 5])
    files = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_seg="binary", rtstruct=True)
    np.testing.assert_array_equal(planes_of(files["seg"]), voxels.transpose(2, 1, 0))
    contour = dcmread(files["rtstruct"]).ROIContourSequence[0].ContourSequence[0]
    assert "ReferencedFrameNumber" not in contour.ContourImageSequence[0]


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_every_frame_refers_to_the_image_below_it(tmp_path: Path, kind: str) -> None:
    """highdicom finds the frames by the UIDs of the source images."""
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_seg=kind)["seg"]
    seg = hd.seg.segread(path)
    images = sorted((dcmread(file) for file in series.iterdir()), key=lambda image: int(image.InstanceNumber))
    numbers = [s for s in seg.segment_numbers if s]
    read = seg.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], segment_numbers=numbers, assert_missing_frames_are_empty=True
    )
    for n, label in enumerate((1, 5)):
        np.testing.assert_array_equal(read[..., n], voxels.transpose(2, 1, 0) == label)
    referenced = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == {image.SOPInstanceUID for image in images}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_an_enhanced_file_with_frames_in_any_order(tmp_path: Path, kind: str) -> None:
    order = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10, 11]
    series, voxels = write_enhanced_study(tmp_path / "ct", SHAPE, order), blobs(SHAPE, [1, 5])
    volume, source = source_of(series)
    np.testing.assert_array_equal(source.slices(volume.data[0]), values(SHAPE))
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_seg=kind)["seg"]
    np.testing.assert_array_equal(planes_of(path), voxels.transpose(2, 1, 0))


def test_names_codes_colours_and_the_model(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_seg="binary")["seg"]
    seg = dcmread(path)
    first, second = seg.SegmentSequence
    assert (first.SegmentNumber, first.SegmentLabel, first.SegmentAlgorithmType) == (1, "right lung", "AUTOMATIC")
    assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung"
    modifier = first.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert modifier.CodeMeaning == "Right"
    assert hd.color.CIELabColor.from_dicom_value(first.RecommendedDisplayCIELabValue).to_rgb() == pytest.approx(
        (255, 159, 28), abs=1
    )
    assert second.SegmentedPropertyTypeCodeSequence[0].CodeValue == "LABEL_5"
    assert second.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99GPU_INFER"
    algorithm = first.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("segmentation_ct_lung", "3")
    assert algorithm.AlgorithmSource.startswith("gpu_infer ")
    assert (seg.SeriesNumber, seg.SeriesDescription) == (300, "segmentation_ct_lung segmentation")


def test_patient_and_study_are_those_of_the_source(tmp_path: Path) -> None:
    """Also values that the standard does not allow: they are as they are in the archive."""
    with quiet():
        series = write_study(tmp_path / "ct", SHAPE, PatientSex="unknown sex", PatientID="x" * 70)
    path = write(series, blobs(SHAPE, [1]), [LUNG], tmp_path / "out", dicom_seg="binary")["seg"]
    with quiet():
        seg = dcmread(path)
        assert (seg.PatientID, seg.PatientSex, seg.AccessionNumber) == ("x" * 70, "unknown sex", "ACC9")
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (STUDY, FRAME)
    assert str(seg.PatientName) == "Müller^Zoë"
    assert (seg.StudyDescription, seg.PatientAge, str(seg.ReferringPhysicianName)) == ("Thorax", "075Y", "Weiß")
    assert seg.SeriesInstanceUID != SERIES


def test_auto_changes_to_labelmap_above_sixteen_labels() -> None:
    assert [kind_of("auto", n) for n in (1, 16, 17)] == ["binary", "binary", "labelmap"]
    assert (kind_of("labelmap", 1), kind_of("binary", 99)) == ("labelmap", "binary")


def test_many_labels_keep_their_numbers_in_a_labelmap(tmp_path: Path) -> None:
    numbers = [*range(3, 40), 300]
    series = write_study(tmp_path / "ct", SHAPE)
    voxels = np.random.default_rng(1).choice([0, *numbers], SHAPE).astype(np.int32)
    labels = [Label(n, f"label {n}", palette_colour(n)) for n in numbers]
    path = write(series, voxels, labels, tmp_path / "out", dicom_seg="auto")["seg"]
    seg = dcmread(path)
    assert seg.SegmentationType == "LABELMAP"
    assert [item.SegmentNumber for item in seg.SegmentSequence if item.SegmentNumber] == numbers
    np.testing.assert_array_equal(planes_of(path), voxels.transpose(2, 1, 0))


@pytest.mark.skipif(not HAS_DCIODVFY, reason="needs dciodvfy (Debian: dicom3tools)")
@pytest.mark.parametrize("labels", [[LUNG], [LUNG, PLAIN]])
def test_dciodvfy_has_no_complaint(tmp_path: Path, labels: list[Label]) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [label.value for label in labels])
    files = write(
        series, voxels, labels, tmp_path / "out", dicom_seg="binary", dicom_sr=True, dicom_sc=True, rtstruct=True
    )
    paths = [files["seg"], files["sr"], files["rtstruct"], *sorted(files["sc"].iterdir())]
    assert [line for path in paths for line in complaints(path)] == []
