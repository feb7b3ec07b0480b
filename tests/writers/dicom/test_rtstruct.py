"""Contours of an RTSTRUCT, rasterised by scikit-image, are the labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from dicom_source import FRAME, LUNG, OBLIQUE, PLAIN, SERIES, SPACING, blobs, write, write_enhanced_study, write_study
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from skimage.draw import polygon2mask

SHAPE = (24, 20, 12)


def rasterise(structures: Dataset, images: dict[str, tuple[int, NDArray[np.float64]]], shape: tuple[int, int]) -> Any:
    """Labels by region: {ROI number: [slice, row, column]}; `images`: slice and position by UID."""
    cosines = np.array(OBLIQUE)
    masks = {}
    for region in structures.ROIContourSequence:
        mask = np.zeros((len(images), *shape), bool)
        for contour in region.get("ContourSequence", []):
            k, origin = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            points = np.array(contour.ContourData, float).reshape(-1, 3) - origin
            assert len(points) == contour.NumberOfContourPoints
            assert np.abs(points @ np.cross(cosines[:3], cosines[3:])).max() < 1e-3  # planar, in the image's plane
            rows, columns = points @ cosines[3:] / SPACING[0], points @ cosines[:3] / SPACING[1]
            mask[k] |= polygon2mask(shape, np.column_stack([rows, columns]))
        masks[int(region.ReferencedROINumber)] = mask
    return masks


def _images(series: Path) -> dict[str, tuple[int, NDArray[np.float64]]]:
    read = [dcmread(file) for file in series.iterdir()]
    return {
        image.SOPInstanceUID: (image.InstanceNumber - 1, np.array(image.ImagePositionPatient, float)) for image in read
    }


def test_rasterised_contours_are_the_labels(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", rtstruct=True)["rtstruct"]
    masks = rasterise(dcmread(path), _images(series), (SHAPE[1], SHAPE[0]))
    for number, label in ((1, 1), (2, 5)):
        np.testing.assert_array_equal(masks[number], voxels.transpose(2, 1, 0) == label)


def test_a_box_is_a_rectangle_in_every_slice(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), np.zeros(SHAPE, np.uint8)
    voxels[4:10, 6:9, 2:7] = 1
    path = write(series, voxels, [LUNG], tmp_path / "out", rtstruct=True)["rtstruct"]
    (region,) = dcmread(path).ROIContourSequence
    images = _images(series)
    cosines = np.array(OBLIQUE)
    assert len(region.ContourSequence) == 5
    for contour in region.ContourSequence:
        _, origin = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        expected = [
            origin + SPACING[1] * column * cosines[:3] + SPACING[0] * row * cosines[3:]
            for row, column in ((5.5, 3.5), (5.5, 9.5), (8.5, 9.5), (8.5, 3.5))
        ]
        np.testing.assert_allclose(np.array(contour.ContourData, float).reshape(-1, 3), expected, atol=1e-4)


def test_numbers_fit_their_representation_and_names_are_those_of_the_labels(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    path = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", rtstruct=True)["rtstruct"]
    structures = dcmread(path)
    for region in structures.ROIContourSequence:
        for contour in region.ContourSequence:
            raw = contour.get_item("ContourData").value.decode("ascii").rstrip(" ").split("\\")
            assert all(re.fullmatch(r"-?\d+(\.\d+)?", text) and len(text) <= 16 for text in raw)
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
    assert [roi.ROIName for roi in structures.StructureSetROISequence] == ["right lung", "label 5"]
    assert {roi.ReferencedFrameOfReferenceUID for roi in structures.StructureSetROISequence} == {FRAME}
    assert [list(roi.ROIDisplayColor) for roi in structures.ROIContourSequence] == [[255, 159, 28], [86, 197, 244]]
    (frame,) = structures.ReferencedFrameOfReferenceSequence
    (referenced,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert (frame.FrameOfReferenceUID, referenced.SeriesInstanceUID) == (FRAME, SERIES)
    assert {image.ReferencedSOPInstanceUID for image in referenced.ContourImageSequence} == set(_images(series))


def test_contours_of_an_enhanced_file_name_its_frames(tmp_path: Path) -> None:
    order = [2, 1, 0, *range(3, 12)]
    series, voxels = write_enhanced_study(tmp_path / "ct", SHAPE, order), np.zeros(SHAPE, np.uint8)
    voxels[4:10, 6:9, 2] = 1
    path = write(series, voxels, [LUNG], tmp_path / "out", rtstruct=True)["rtstruct"]
    (contour,) = dcmread(path).ROIContourSequence[0].ContourSequence
    assert contour.ContourImageSequence[0].ReferencedFrameNumber == 1


def test_a_long_contour_is_not_cut(tmp_path: Path) -> None:
    """Its numbers take more than the 64 KiB that an element of explicit VR can have."""
    shape = (110, 110, 2)
    series, voxels = write_study(tmp_path / "ct", shape), np.zeros(shape, np.uint8)
    voxels[::2, :, 1] = voxels[:, 0, 1] = 1
    voxels[1::2, ::9, 1] = 1
    path = write(series, voxels, [LUNG], tmp_path / "out", rtstruct=True)["rtstruct"]
    structures = dcmread(path)
    assert max(len(c.get_item("ContourData").value) for c in structures.ROIContourSequence[0].ContourSequence) > 65536
    masks = rasterise(structures, _images(series), shape[:2])
    np.testing.assert_array_equal(masks[1], voxels.transpose(2, 1, 0) == 1)
