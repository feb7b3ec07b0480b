"""Stored bits to physical values: every slice with its format and rescale, against values computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import COLUMNS, ROWS, pixels, refused, write_series, write_slice
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gpu_infer.volume.read import read_volume

UNSIGNED_16 = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0}
SIGNED_16 = {**UNSIGNED_16, "PixelRepresentation": 1}
RAW = {"RescaleSlope": None, "RescaleIntercept": None}


def write(folder: Path, slices: list[tuple[np.ndarray, dict[str, object]]]) -> Path:
    """Write a series whose slice n has the pixels [row, column] and the tags number n."""
    folder.mkdir(exist_ok=True)
    for n, (data, tags) in enumerate(slices):
        write_slice(folder / f"IM{n:03d}", n, PixelData=data.tobytes(), **tags)  # type: ignore[arg-type]
    return folder


def values(folder: Path) -> np.ndarray:
    """[slice, row, column] as read."""
    return read_volume(folder).data[0].transpose(2, 1, 0)


def test_fractional_and_varying_rescale(tmp_path: Path) -> None:
    for n in range(3):
        write_slice(tmp_path / f"p{n}.dcm", n, RescaleSlope=1 + 0.5 * n, RescaleIntercept=0)
    volume = read_volume(tmp_path)
    expected = np.stack([pixels(n) * (1 + 0.5 * n) for n in range(3)]).transpose(2, 1, 0)
    np.testing.assert_allclose(volume.data[0], expected, rtol=1e-6)
    assert volume.data.dtype == np.float32
    assert volume.warnings == ("rescale slope or intercept differ between slices: kept as float32",)


def test_intercepts_that_differ(tmp_path: Path) -> None:
    for n in range(3):
        write_slice(tmp_path / f"IM{n}", n, RescaleIntercept=-1000 * n)
    np.testing.assert_array_equal(values(tmp_path), [pixels(n).astype(float) - 1000 * n for n in range(3)])


def test_signed_and_unsigned_slices(tmp_path: Path) -> None:
    bits = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS) + 65_526  # wraps: 65526 … 65535, 0 …
    folder = write(tmp_path / "s", [(bits, {**UNSIGNED_16, **RAW}), (bits, {**SIGNED_16, **RAW})])
    np.testing.assert_array_equal(values(folder), [bits.astype(int), bits.view(np.int16).astype(int)])
    assert read_volume(folder).data.dtype == np.int32  # −32768 … 65535


def test_bits_stored_differ(tmp_path: Path) -> None:
    low = pixels(1)
    high = low + np.uint16(60_000)
    folder = write(tmp_path / "s", [(low, {}), (high, UNSIGNED_16), (low, {})])
    np.testing.assert_array_equal(values(folder), [a.astype(int) - 1024 for a in (low, high, low)])


def test_bits_allocated_differ(tmp_path: Path) -> None:
    wide, small = pixels(1), pixels(2).astype(np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    folder = write(tmp_path / "s", [(wide, {}), (small, eight)])
    np.testing.assert_array_equal(values(folder), [wide.astype(int) - 1024, small.astype(int) - 1024])


def test_high_bit_differs(tmp_path: Path) -> None:
    data = pixels(3)
    shifted = {"HighBit": 15}  # 12 bits in use, the upper ones
    folder = write(tmp_path / "s", [(data, {}), (data << 4, shifted)])
    np.testing.assert_array_equal(values(folder), [data.astype(int) - 1024] * 2)
    assert read_volume(folder).warnings == ()


def test_bits_outside_those_in_use(tmp_path: Path) -> None:
    data = pixels(4)
    folder = write(tmp_path / "s", [(data, {}), (data | np.uint16(0x8000), {})])
    np.testing.assert_array_equal(values(folder), [data.astype(int) - 1024] * 2)
    assert read_volume(folder).warnings == (
        "bits outside those in use (BitsStored, HighBit) are set in 1 slices: not part of values",
    )


def test_twelve_signed_bits(tmp_path: Path) -> None:
    data = np.array([[-2048, -1, 0, 1, 2047]] * ROWS, np.int16)
    folder = write(tmp_path / "s", [(data, {"PixelRepresentation": 1}), (data & 0xFFF, {"PixelRepresentation": 1})])
    np.testing.assert_array_equal(values(folder), [data - 1024] * 2)
    assert read_volume(folder).warnings == ()


@pytest.mark.parametrize(
    ("dtype", "intercept", "expected"),
    [
        ("u1", 0, "uint8"),
        ("i1", 0, "int8"),
        ("u1", -1, "int16"),
        ("u2", 0, "uint16"),
        ("i2", 0, "int16"),
        ("i2", -1024, "int32"),
        ("u4", 0, "uint32"),
        ("i4", 0, "int32"),
        ("u4", -1, "float64"),
        ("u2", -0.5, "float32"),
    ],
)
def test_smallest_type(tmp_path: Path, dtype: str, intercept: float, expected: str) -> None:
    limits = np.iinfo(dtype)
    data = np.array([[limits.min, limits.max, 0, 1, 2]] * ROWS, dtype)
    bits = {"BitsAllocated": limits.bits, "BitsStored": limits.bits, "HighBit": limits.bits - 1}
    tags = {**bits, "PixelRepresentation": int(dtype[0] == "i"), "RescaleIntercept": intercept}
    folder = write(tmp_path / "s", [(data, tags)] * 2)
    assert values(folder).dtype == expected
    np.testing.assert_array_equal(values(folder), [data.astype(float) + intercept] * 2)


def test_negative_slope(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2), RescaleSlope=-2, RescaleIntercept=8190)
    np.testing.assert_array_equal(values(folder), [8190 - 2 * pixels(n).astype(int) for n in range(2)])
    assert values(folder).dtype == np.int16  # 0 … 8190


def test_monochrome1_keeps_values(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3), PhotometricInterpretation="MONOCHROME1", RescaleSlope=0.5)
    np.testing.assert_allclose(values(folder), [pixels(n) * 0.5 - 1024 for n in range(3)])


def test_rescale_missing_in_some_slices(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(4))
    write_slice(folder / "IM014", 2, **RAW)  # type: ignore[arg-type]
    refused(folder, r"no RescaleSlope and RescaleIntercept in 1 of 4 \(IM014\), expected them in all or none")


def test_rescale_missing_changes_nothing_if_the_others_are_the_identity(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(3), RescaleIntercept=0)
    write_slice(folder / "IM014", 2, **RAW)  # type: ignore[arg-type]
    np.testing.assert_array_equal(values(folder), [pixels(n) for n in range(3)])


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope 0 and RescaleIntercept -1024, expected a slope that is not 0"),
        ({"RescaleSlope": "1e30"}, "RescaleSlope 1e"),
        ({"BitsStored": 17}, "BitsAllocated 16, BitsStored 17"),
        ({"HighBit": 10}, "BitsStored 12, HighBit 10"),
        ({"BitsAllocated": 12}, "BitsAllocated 12, .* expected 8, 16 or 32 bits"),
        ({"BitsStored": None}, "BitsStored is missing, expected a whole number"),
        ({"PixelRepresentation": 2}, "PixelRepresentation 2"),
        ({"SamplesPerPixel": 2}, "SamplesPerPixel 2"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour images, .* PALETTE COLOR"),
        ({"PhotometricInterpretation": "DOE JOHN"}, "PhotometricInterpretation unknown, expected"),
        ({"DoseGridScaling": 0.001}, "doses scaled by DoseGridScaling"),
        ({"Rows": 0}, "0 rows and 5 columns"),
        ({"Rows": 5}, "truncated or damaged slice: found 40 bytes of pixels, expected 50"),
        ({"Rows": 2}, "found 40 bytes of pixels, expected 20 for 1 frames"),
    ],
)
def test_what_is_no_value(tmp_path: Path, tags: dict[str, object], text: str) -> None:
    folder = write_series(tmp_path / "s", range(3), **tags)
    refused(folder, text)


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "PhotometricInterpretation differs between IM007 and IM014"),
        ({"RescaleType": "US"}, "units of values differ between IM007 and IM014"),
        ({"FrameOfReferenceUID": "1.2.9"}, "FrameOfReferenceUID differs between IM007 and IM014"),
    ],
)
def test_slices_that_are_not_alike(tmp_path: Path, tags: dict[str, object], text: str) -> None:
    folder = write_series(tmp_path / "s", range(2), RescaleType="HU", FrameOfReferenceUID="1.2.8")
    write_slice(folder / "IM014", 2, **{"RescaleType": "HU", **tags})  # type: ignore[arg-type]
    refused(folder, text)


def table(entries: list[int], first: int = 0, bits: int = 16) -> dict[str, object]:
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [len(entries), first, bits], "HU"
    item.LUTData = np.array(entries, "<u2").tobytes()
    return {**RAW, "ModalityLUTSequence": Sequence([item])}


def test_linear_modality_lut(tmp_path: Path) -> None:
    """Entries 3·(i − 10) + 100 for stored values 10 to 1009; values outside take the first or the last entry."""
    folder = write_series(tmp_path / "s", range(3), **table([3 * i + 100 for i in range(1000)], first=10))
    expected = [3 * (np.clip(pixels(n).astype(int), 10, 1009) - 10) + 100 for n in range(3)]
    np.testing.assert_array_equal(values(folder), expected)


def test_modality_lut_of_one_slice_differs(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", range(2), **table(list(range(4096))))
    write_slice(folder / "IM014", 2, **table(list(range(1, 4097))))  # type: ignore[arg-type]
    np.testing.assert_array_equal(values(folder), [pixels(0), pixels(1), pixels(2) + 1])


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        (table([1, 0, 1, 0]), "Modality LUT that is no straight line"),
        (table([7, 7, 7]), "Modality LUT that is no straight line"),
        (table([1, 2, 3], first=5000), "Modality LUT from 5000 on"),
        ({**table([1, 2, 3]), "RescaleSlope": 2, "RescaleIntercept": 0}, "both a Modality LUT and a rescale"),
    ],
)
def test_modality_lut_that_is_no_rescale(tmp_path: Path, tags: dict[str, object], text: str) -> None:
    refused(write_series(tmp_path / "s", range(2), **tags), text)


@pytest.mark.parametrize(("vr", "count"), [("US", 16), ("IS", "16"), ("LO", "16")])
def test_mosaics_without_their_image_type(tmp_path: Path, vr: str, count: object) -> None:
    folder = write_series(tmp_path / "s", [0])
    ds = dcmread(folder / "IM000")
    ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    ds.add_new(0x0019100A, vr, count)
    ds.save_as(folder / "IM000")
    refused(folder, "IM000: mosaic")


def test_mosaics(tmp_path: Path) -> None:
    refused(write_series(tmp_path / "s", [0], ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "IM000: mosaic")
