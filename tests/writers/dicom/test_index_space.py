"""SEG and secondary captures of a series in index space: each slice has the place of its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from dicom_source import (
    ALGORITHM,
    HAS_DCIODVFY,
    LUNG,
    OBLIQUE,
    PLAIN,
    Kinds,
    blobs,
    complaints,
    irregular_places,
    label_map_of,
    write_enhanced_study,
    write_study,
)
from pydicom import dcmread

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Orientation
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.volume.read import read_voxels
from gpu_infer.writers.dicom.series_files import write_files
from gpu_infer.writers.dicom.source import Source, read_source

SHAPE = (23, 19, 12)
KINDS = ["tilted", "gap", "uneven"]


def header_of(folder: Path) -> VolumeHeader:
    with open_input(folder, InputOptions(tilt="index")) as header:
        return header


def source_of(header: VolumeHeader) -> Source:
    return read_source(
        header.files, header.geometry, header.path, Orientation.identity(), index_space=header.index_space
    )


def write(folder: Path, voxels: Any, output: Path, **kinds: Any) -> list[Path]:
    output.mkdir()
    header = header_of(folder)
    volume = read_voxels(header)
    label_map = label_map_of(voxels, volume, [LUNG, PLAIN])
    return write_files(label_map, volume, source_of(header), ALGORITHM, Kinds(output, **kinds), 0)


@pytest.mark.parametrize("form", ["binary", "labelmap"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_seg_has_the_labels_of_each_source_image_at_its_place(tmp_path: Path, kind: str, form: str) -> None:
    series = write_study(tmp_path / "ct", SHAPE, places=irregular_places(kind, SHAPE[2]))
    voxels = blobs(SHAPE, [1, 5])
    (path,) = write(series, voxels, tmp_path / "out", dicom_seg=form)
    images = sorted((dcmread(file) for file in series.iterdir()), key=lambda image: int(image.InstanceNumber))
    by_uid = {image.SOPInstanceUID: image for image in images}
    seg = hd.seg.segread(path)
    numbers = [s for s in seg.segment_numbers if s]
    read = seg.get_pixels_by_source_instance(
        list(by_uid), segment_numbers=numbers, assert_missing_frames_are_empty=True
    )
    for n, label in enumerate((1, 5)):
        np.testing.assert_array_equal(read[..., n], voxels.transpose(2, 1, 0) == label)
    plain = dcmread(path)
    shared = plain.SharedFunctionalGroupsSequence[0]
    assert "SpacingBetweenSlices" not in shared.PixelMeasuresSequence[0]
    assert plain.get("DimensionOrganizationType", "") != "3D"
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    np.testing.assert_allclose(cosines, OBLIQUE, atol=1e-9)
    for groups in plain.PerFrameFunctionalGroupsSequence:
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = by_uid[reference.ReferencedSOPInstanceUID]
        np.testing.assert_allclose(
            np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float),
            np.array(image.ImagePositionPatient, float),
            atol=1e-6,
        )


@pytest.mark.parametrize("form", ["binary", "labelmap"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_seg_of_an_enhanced_file_in_any_order(tmp_path: Path, kind: str, form: str) -> None:
    order = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10, 11]
    places = irregular_places(kind, SHAPE[2])
    series, voxels = write_enhanced_study(tmp_path / "ct", SHAPE, order, places), blobs(SHAPE, [1, 5])
    (path,) = write(series, voxels, tmp_path / "out", dicom_seg=form)
    seg = dcmread(path)
    labels = np.zeros(SHAPE[::-1], np.uint8)
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        distances = np.linalg.norm(places - place, axis=1)
        k = int(np.argmin(distances))
        assert distances[k] < 1e-6
        if form == "labelmap":
            labels[k] = frame
        else:
            labels[k][frame == 1] = (1, 5)[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
    np.testing.assert_array_equal(labels, voxels.transpose(2, 1, 0))


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_have_the_places_of_their_slices(tmp_path: Path, kind: str, enhanced: bool) -> None:
    places, order = irregular_places(kind, SHAPE[2]), [1, 0, *range(2, 12)]
    series = (
        write_enhanced_study(tmp_path / "ct", SHAPE, order, places)
        if enhanced
        else write_study(tmp_path / "ct", SHAPE, places=places, SliceThickness=0.9)
    )
    voxels = blobs(SHAPE, [1, 5])
    files = write(series, voxels, tmp_path / "out", dicom_sc=True)
    images = {image.InstanceNumber: image for image in map(dcmread, series.iterdir())}
    for k, capture in enumerate(map(dcmread, files)):
        coloured = (capture.pixel_array != capture.pixel_array[..., :1]).any(axis=-1)
        np.testing.assert_array_equal(coloured, voxels[:, :, k].T != 0)
        np.testing.assert_allclose(np.array(capture.ImagePositionPatient, float), places[k], atol=1e-5)
        np.testing.assert_allclose(np.array(capture.ImageOrientationPatient, float), OBLIQUE, atol=1e-9)
        reference = capture.SourceImageSequence[0]
        if enhanced:
            assert reference.ReferencedFrameNumber == order.index(k) + 1
        else:
            assert reference.ReferencedSOPInstanceUID == images[k + 1].SOPInstanceUID
        assert capture.SliceThickness == (1.25 if enhanced else 0.9)  # of the header, not a distance


def test_a_picture_has_no_thickness_if_the_slice_has_none(tmp_path: Path) -> None:
    places = irregular_places("gap", SHAPE[2])
    series = write_study(tmp_path / "ct", SHAPE, places=places, SliceThickness=None)
    files = write(series, blobs(SHAPE, [1, 5]), tmp_path / "out", dicom_sc=True)
    assert not any("SliceThickness" in dcmread(file) for file in files)


@pytest.mark.skipif(not HAS_DCIODVFY, reason="needs dciodvfy (dicom3tools)")
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    series = write_study(tmp_path / "ct", SHAPE, places=irregular_places(kind, SHAPE[2]))
    files = write(series, blobs(SHAPE, [1, 5]), tmp_path / "out", dicom_seg="binary", dicom_sc=True)
    assert not [complaint for file in files[:3] for complaint in complaints(file)]


def test_a_series_that_changes_during_the_run_is_refused(tmp_path: Path) -> None:
    places = irregular_places("uneven", SHAPE[2])
    series = write_study(tmp_path / "ct", SHAPE, places=places)
    header = header_of(series)
    write_study(series, SHAPE, places=places + np.array([0.0, 0.0, 0.2]))
    with pytest.raises(InputError, match=r"CT\d+\.dcm is 0\.2 mm from its place on the grid"):
        source_of(header)
