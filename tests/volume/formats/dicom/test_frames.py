"""Enhanced multi-frame files: places and values of every frame, and what is not one volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_series import STEP, hounsfield, pixels, refused, write_enhanced, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gpu_infer.volume.read import read_volume

COSINES = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


def frames(ds: Dataset) -> Sequence:
    sequence: Sequence = ds.PerFrameFunctionalGroupsSequence
    return sequence


def shared(ds: Dataset) -> Dataset:
    group: Dataset = ds.SharedFunctionalGroupsSequence[0]
    return group


def place(ds: Dataset, positions: list[tuple[float, float, float]]) -> None:
    for frame, position in zip(frames(ds), positions, strict=True):
        frame.PlanePositionSequence[0].ImagePositionPatient = list(position)


def content(ds: Dataset, **values: list[object]) -> None:
    """FrameContentSequence of every frame: a list of values for each keyword."""
    for n, frame in enumerate(frames(ds)):
        item = Dataset()
        for keyword, column in values.items():
            setattr(item, keyword, column[n])
        frame.FrameContentSequence = Sequence([item])


def dimensions(ds: Dataset, *pointers: int) -> None:
    sequence = []
    for pointer in pointers:
        item = Dataset()
        item.DimensionIndexPointer = pointer
        sequence.append(item)
    ds.DimensionIndexSequence = Sequence(sequence)


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3]])
def test_values_and_places(tmp_path: Path, numbers: list[int]) -> None:
    write_enhanced(tmp_path / "e.dcm", numbers)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.data, hounsfield(range(4)))
    places = volume.geometry.affine @ np.array([[0, 0, k, 1] for k in range(4)]).T
    np.testing.assert_allclose(places[:3].T, [(-10, -20, 30 + STEP * n) for n in range(4)], atol=1e-6)
    assert volume.files == (tmp_path / "e.dcm",)
    assert volume.warnings == ()


def test_cube_of_one_millimetre(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        shared(ds).PixelMeasuresSequence[0].PixelSpacing = [1, 1]
        shared(ds).PixelMeasuresSequence[0].SpacingBetweenSlices = 0
        place(ds, [(0, 0, n) for n in range(4)])

    write_enhanced(tmp_path / "e.dcm", [0, 1, 2, 3], edit)
    assert read_volume(tmp_path).geometry.spacing == (1.0, 1.0, 1.0)


def test_one_frame(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", [2])
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.data, hounsfield([2]))
    assert volume.geometry.spacing == pytest.approx((0.8, 0.7, 3.0))


def test_rescale_of_every_frame(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        del shared(ds).PixelValueTransformationSequence
        for n, frame in enumerate(frames(ds)):
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1 + 0.25 * n, -n, "US"
            frame.PixelValueTransformationSequence = Sequence([values])

    write_enhanced(tmp_path / "e.dcm", [0, 1, 2], edit)
    expected = np.stack([pixels(n) * (1 + 0.25 * n) - n for n in range(3)]).transpose(2, 1, 0)
    np.testing.assert_allclose(read_volume(tmp_path).data[0], expected, rtol=1e-6)


def test_frames_own_orientation(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        group = shared(ds).PlaneOrientationSequence
        del shared(ds).PlaneOrientationSequence
        group[0].ImageOrientationPatient = COSINES
        for frame in frames(ds):
            frame.PlaneOrientationSequence = group
        place(ds, [(STEP * -n, 0, 0) for n in range(3)])  # the normal is (−1, 0, 0)

    write_enhanced(tmp_path / "e.dcm", [0, 1, 2], edit)
    np.testing.assert_array_equal(read_volume(tmp_path).data, hounsfield(range(3)))


def test_dimensions_of_one_volume(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        dimensions(ds, 0x00209056, 0x00209057, 0x00189074)  # stack, place in it, each frame's own time
        content(ds, StackID=["1"] * 3, DimensionIndexValues=[[1, n, n] for n in (1, 2, 3)])

    write_enhanced(tmp_path / "e.dcm", [0, 1, 2], edit)
    np.testing.assert_array_equal(read_volume(tmp_path).data, hounsfield(range(3)))


def tilted(ds: Dataset) -> None:
    place(ds, [(0, 0.5 * n, STEP * n) for n in range(4)])


def turned(ds: Dataset) -> None:
    group = Dataset()
    group.ImageOrientationPatient = COSINES
    frames(ds)[2].PlaneOrientationSequence = Sequence([group])


def two_spacings(ds: Dataset) -> None:
    place(ds, [(0, 0, z) for z in (0, 2, 4, 9)])


def zigzag(ds: Dataset) -> None:
    place(ds, [(n % 2, 0, STEP * n) for n in range(4)])


def own_measures(ds: Dataset) -> None:
    group = Dataset()
    group.PixelSpacing = [0.7, 0.9]
    frames(ds)[1].PixelMeasuresSequence = Sequence([group])


def two_times(ds: Dataset) -> None:
    place(ds, [(0, 0, z) for z in (0, 1, 0, 1)])
    content(ds, TemporalPositionIndex=[1, 1, 2, 2])


def two_times_end_to_end(ds: Dataset) -> None:
    content(ds, TemporalPositionIndex=[1, 1, 2, 2])


def two_stacks(ds: Dataset) -> None:
    content(ds, StackID=["1", "1", "2", "2"])


def two_echoes(ds: Dataset) -> None:
    dimensions(ds, 0x00209057, 0x00189082)
    content(ds, DimensionIndexValues=[[1, 1], [2, 2], [3, 1], [4, 2]])


def doubled(ds: Dataset) -> None:
    place(ds, [(0, 0, z) for z in (0, 1, 1, 2)])


def one_group_missing(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames(ds)[:3])


def no_position(ds: Dataset) -> None:
    del frames(ds)[3].PlanePositionSequence


def rescale_in_some(ds: Dataset) -> None:
    group = shared(ds).PixelValueTransformationSequence
    del shared(ds).PixelValueTransformationSequence
    for frame in frames(ds)[:3]:
        frame.PixelValueTransformationSequence = group


def rescale_of_the_file(ds: Dataset) -> None:
    ds.RescaleSlope, ds.RescaleIntercept = 2, 0


def last_frame_cut(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:-20]


def frames_not_counted(ds: Dataset) -> None:
    ds.NumberOfFrames = 3


def other_class(ds: Dataset) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.20"


def concatenated(ds: Dataset) -> None:
    ds.InConcatenationNumber, ds.InConcatenationTotalNumber = 2, 3


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (concatenated, "part 2 of a concatenation of 3 files, expected a whole volume"),
        (tilted, r"gantry tilt of 11\.31°"),
        (turned, "frame 3: orientation differs from frame 1"),
        (two_spacings, "slices missing|uneven slice distance: .* between frame 3 and frame 4"),
        (zigzag, "gantry tilt"),
        (own_measures, "frame 2: PixelSpacing differs from frame 1"),
        (two_times, "2 volumes in one file, they differ in TemporalPositionIndex"),
        (two_times_end_to_end, "2 volumes in one file, they differ in TemporalPositionIndex"),
        (two_stacks, "2 volumes in one file, they differ in StackID"),
        (two_echoes, "2 volumes in one file, they differ in EffectiveEchoTime"),
        (doubled, "two slices at one position: frame 2, frame 3"),
        (one_group_missing, "functional groups of 3 frames, expected 4"),
        (no_position, "frame 4: ImagePositionPatient has 0 values, expected 3 numbers"),
        (rescale_in_some, r"no RescaleSlope and RescaleIntercept in 1 of 4 \(frame 4\)"),
        (rescale_of_the_file, "rescale of the whole file differs"),
        (last_frame_cut, "truncated or damaged slice: found 140 bytes of pixels, expected 160"),
        (frames_not_counted, "functional groups of 4 frames, expected 3"),
        (other_class, "4 frames of class Nuclear Medicine Image Storage, expected enhanced CT, MR or PET"),
    ],
)
def test_what_is_no_volume(tmp_path: Path, edit: Callable[[Dataset], None], text: str) -> None:
    write_enhanced(tmp_path / "e.dcm", [0, 1, 2, 3], edit)
    refused(tmp_path, text)


def test_file_cut_in_its_last_frame(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", [0, 1, 2, 3])
    data = (tmp_path / "e.dcm").read_bytes()
    (tmp_path / "e.dcm").write_bytes(data[:-10])
    refused(tmp_path, "truncated or damaged slice: found 150 bytes of pixels, expected 160")


def test_multi_frame_and_slices(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2), series="1.2.826.0.1.7")
    write_enhanced(folder / "e.dcm", [0, 1])
    refused(folder, "e.dcm: multi-frame file and 2 other images")
