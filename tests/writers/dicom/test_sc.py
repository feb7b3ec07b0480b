"""Secondary captures show the slices in grey and the labels in colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_source import LUNG, ORIGIN, PLAIN, STEP, blobs, source_of, values, write, write_study
from pydicom import dcmread

from gpu_infer.writers.dicom.sc import draw, window

SHAPE = (23, 19, 12)


def test_pixels_are_the_window_and_the_colours(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    folder = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", dicom_sc=True)["sc"]
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{n:04d}.dcm" for n in range(1, 13)]
    colours = {1: np.array(LUNG.colour), 5: np.array(PLAIN.colour)}
    for k, file in enumerate(files):
        picture = dcmread(file).pixel_array.astype(float)
        grey = np.clip((values(SHAPE)[k] + 160) / 400 * 255, 0, 255)  # window 40 ± 200
        plane = voxels[:, :, k].T
        np.testing.assert_allclose(picture[plane == 0], grey[plane == 0][:, None].repeat(3, 1), atol=0.51)
        padded = np.pad(plane, 1, mode="edge")
        neighbours = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
        edge = (neighbours != plane).any(axis=0)
        for label, colour in colours.items():
            inside, outline = (plane == label) & ~edge, (plane == label) & edge
            np.testing.assert_array_equal(picture[outline], np.broadcast_to(colour, (outline.sum(), 3)))
            expected = 0.65 * grey[inside][:, None] + 0.35 * colour
            np.testing.assert_allclose(picture[inside], expected, atol=0.51)


def test_the_files_are_one_series_in_the_order_of_the_slices(tmp_path: Path) -> None:
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1])
    folder = write(series, voxels, [LUNG], tmp_path / "out", dicom_sc=True)["sc"]
    captures = [dcmread(file) for file in sorted(folder.iterdir())]
    assert len({capture.SeriesInstanceUID for capture in captures}) == 1
    assert len({capture.SOPInstanceUID for capture in captures}) == 12
    images = {dcmread(file).InstanceNumber: dcmread(file) for file in series.iterdir()}
    for n, capture in enumerate(captures, 1):
        assert capture.InstanceNumber == n
        assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == images[n].SOPInstanceUID
        np.testing.assert_allclose(
            np.array(capture.ImagePositionPatient, float), np.array(images[n].ImagePositionPatient, float), atol=1e-5
        )
    distance_mm = np.linalg.norm(np.array(captures[3].ImagePositionPatient, float) - ORIGIN)
    np.testing.assert_allclose(distance_mm, 3 * STEP, atol=1e-5)


def test_without_a_window_percentiles_are_black_and_white(tmp_path: Path) -> None:
    series = write_study(tmp_path / "ct", SHAPE, WindowCenter=None, WindowWidth=None)
    volume, source = source_of(series)
    np.testing.assert_allclose(window(volume, source), np.percentile(values(SHAPE), (1, 99)))


def test_values_that_are_no_numbers_are_black() -> None:
    grey = np.array([[np.nan, np.inf, -np.inf, 5.0]], np.float32)
    picture = draw(grey, np.zeros((1, 4), np.uint8), np.zeros((1, 3), np.float32), (0.0, 10.0))
    assert picture[0, :, 0].tolist() == [0, 255, 0, 128]
