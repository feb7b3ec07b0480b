"""MetaImages whose voxels are in several files or are text, and headers with contradictions."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_header, read_volume

SHAPE = (5, 4, 6)  # i, j, k
VOXELS = np.random.default_rng(3).integers(-900, 900, SHAPE[::-1]).astype("<i2")  # [k, j, i]
HEAD = "ObjectType = Image\nNDims = 3\nDimSize = 5 4 6\nElementSpacing = 1 2 3\nElementType = MET_SHORT\n"


def write(folder: Path, data: str, head: str = HEAD, names: str = "s{:02d}.raw", first: int = 0, step: int = 1) -> Path:
    """A header and one file for each slice, numbered from `first`."""
    for k, part in enumerate(VOXELS):
        (folder / names.format(first + k * step)).write_bytes(part.tobytes())
    path = folder / "v.mhd"
    path.write_text(f"{head}ElementDataFile = {data}\n")
    return path


def listed(count: int = 6) -> str:
    return "LIST\n" + "\n".join(f"s{k:02d}.raw" for k in range(count))


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def assert_voxels(path: Path) -> None:
    np.testing.assert_array_equal(read_volume(path).data[0], VOXELS.T)


@pytest.mark.parametrize("data", [listed(), listed().replace("LIST", "LIST 2"), listed().replace("LIST", "LIST 2D")])
def test_lists_as_itk_reads_them(tmp_path: Path, data: str) -> None:
    path = write(tmp_path, data)
    assert_voxels(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), VOXELS)


@pytest.mark.parametrize(
    ("pattern", "names", "first", "step"),
    [
        ("s%02d.raw 0 5 1", "s{:02d}.raw", 0, 1),
        ("s%d.raw 1 6 1", "s{}.raw", 1, 1),
        ("s%03d.raw 10 20 2", "s{:03d}.raw", 10, 2),
        ("s%d.raw", "s{}.raw", 1, 1),
        ("s%d.raw 4", "s{}.raw", 4, 1),
        ("s%4d.raw 4 9", "s{:4d}.raw", 4, 1),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, names: str, first: int, step: int) -> None:
    assert_voxels(write(tmp_path, pattern, names=names, first=first, step=step))


def test_a_list_of_volumes_and_one_of_rows(tmp_path: Path) -> None:
    four = HEAD.replace("NDims = 3", "NDims = 4").replace("5 4 6", "5 4 3 2").replace("1 2 3", "1 2 3 1")
    for n, part in enumerate(np.split(VOXELS, 2)):
        (tmp_path / f"v{n}.raw").write_bytes(part.tobytes())
    path = write(tmp_path, "LIST\nv0.raw\nv1.raw", four)
    np.testing.assert_array_equal(read_volume(path).data, VOXELS.reshape(2, 3, 4, 5).transpose(0, 3, 2, 1))
    for n, row in enumerate(VOXELS.reshape(24, 5)):
        (tmp_path / f"r{n}.raw").write_bytes(row.tobytes())
    assert_voxels(write(tmp_path, "LIST 1\n" + "\n".join(f"r{n}.raw" for n in range(24))))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (listed(5), "names 5 files, expected 6 for DimSize = 5 4 6"),
        (listed() + "\ns00.raw", "names 7 files, expected 6"),
        ("LIST", "names 0 files, expected 6"),
        (listed().replace("LIST", "LIST 3"), "names 6 files, expected 1"),
        (listed().replace("LIST", "LIST 4"), "at most 3 axes"),
        (listed().replace("s05.raw", "s99.raw"), "data file s99.raw not found"),
        ("s%02d.raw 0 5 0", "a step of at least 1"),
        ("s%02d.raw 0 4 1", "expected 6 numbers"),
        ("s%02d.raw 0 9 1", "expected 6 numbers"),
        ("s%02d.raw 5 0 1", "expected 6 numbers"),
        ("s%02d.raw 0 -5 1", "at most three whole numbers"),
        ("s%02d.raw 1 6 1 1", "at most three whole numbers"),
        ("s%02d.raw 0 5 x", "at most three whole numbers"),
        ("s%02d.raw 0 5 1.5", "at most three whole numbers"),
        ("s%02d.raw 1 6 1", "data file s06.raw not found"),
        ("%s%s%s%n 0 5 1", "one %d or %03d in the pattern"),
        ("%n.raw", "one %d or %03d in the pattern"),
        ("s%1000000000d.raw 0 5 1", "one %d or %03d in the pattern"),
        ("s%*d.raw 0 5 1", "one %d or %03d in the pattern"),
        ("s%d%d.raw 0 5 1", "one %d or %03d in the pattern"),
        ("s%%d.raw 0 5 1", "one %d or %03d in the pattern"),
        ("s%x.raw 0 5 1", "one %d or %03d in the pattern"),
    ],
)
def test_lists_and_patterns_that_are_wrong(tmp_path: Path, data: str, text: str) -> None:
    refused(write(tmp_path, data), text)


@pytest.mark.parametrize("size", [0, 20, 39])
def test_a_short_slice(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, listed())
    (tmp_path / "s03.raw").write_bytes(bytes(size))
    refused(path, rf"s03\.raw: truncated: found {size} bytes of voxels, expected 40")


def test_an_absurd_number_of_files_is_not_listed(tmp_path: Path) -> None:
    head = HEAD.replace("5 4 6", "5 4 999999999")
    refused(write(tmp_path, "s%02d.raw 0 999999998 1", head), "data file s06.raw not found")


def test_compressed_slices(tmp_path: Path) -> None:
    path = write(tmp_path, listed(), HEAD + "CompressedData = True\n")
    for part in tmp_path.glob("*.raw"):
        part.write_bytes(zlib.compress(part.read_bytes()))
    assert_voxels(path)


def test_a_name_with_a_percent_sign_that_exists(tmp_path: Path) -> None:
    path = write(tmp_path, "100%s.raw")
    (tmp_path / "100%s.raw").write_bytes(VOXELS.tobytes())
    assert_voxels(path)


def test_a_header_beyond_64_kib(tmp_path: Path) -> None:
    """Ultrasound sequences have a line of tracking for every frame."""
    frames = "".join(f"Seq_Frame{n:04d}_ProbeToTrackerTransform = {'0.123456789 ' * 16}\n" for n in range(900))
    path = write(tmp_path, "LOCAL", HEAD + frames)
    with path.open("ab") as file:
        file.write(VOXELS.tobytes())
    assert path.stat().st_size > 3 << 16
    assert_voxels(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), VOXELS)


def test_a_header_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "v.mhd").write_bytes(b"Comment = " + b"x" * (20 << 20))
    refused(tmp_path / "v.mhd", "no NDims in the header")


@pytest.mark.parametrize("kind", ["MET_SHORT", "MET_FLOAT", "MET_UCHAR"])
def test_text_voxels_as_itk_reads_them(tmp_path: Path, kind: str) -> None:
    values = VOXELS.ravel() if kind != "MET_UCHAR" else VOXELS.ravel() % 256
    values = values / 8 if kind == "MET_FLOAT" else values
    head = HEAD.replace("MET_SHORT", kind) + "BinaryData = False\n"
    (tmp_path / "t.raw").write_text("\n".join(f"{v:g}" for v in values) + "\n")
    path = write(tmp_path, "t.raw", head)
    np.testing.assert_array_equal(read_volume(path).data[0].T, sitk.GetArrayFromImage(sitk.ReadImage(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "truncated: found at most 6 bytes of voxels, expected 240"),
        ("1 " * 119 + "  ", "truncated: found 238 bytes of voxels, expected 240"),
        ("1 " * 119 + "x", "expected numbers as voxels"),
        ("1 " * 119 + "40000", "int16 cannot hold"),
        ("1 " * 119 + "1.5", "int16 cannot hold"),
        ("1 " * 119 + "nan", "int16 cannot hold"),
        ("1 " * 120 + "1", "more than 120 numbers among the voxels, expected 120"),
        ("1 " * 119 + "1,5", "'1,5'.*, expected numbers as voxels"),
        ("1 " * 119 + "1" * 2_000_000, "among the voxels, expected numbers"),
    ],
)
def test_text_voxels_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.raw").write_text(text)
    refused(write(tmp_path, "t.raw", HEAD + "BinaryData = False\n"), message)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("TransformMatrix = 1 0 0 0 1 0 1e308 0 1", "TransformMatrix = .*, expected an invertible 3×3 matrix"),
        ("TransformMatrix = 1e-300 0 0 0 1 0 0 0 1", "expected an invertible 3×3 matrix"),
        (f"TransformMatrix = {'1 ' * 3000}", "TransformMatrix has 5999 characters, expected at most 4096"),
        ("Offset = 1e300 0 0", "affine"),
        ("ElementSpacing = 1e300 1 1", "affine"),
        ("DimSize = 1e300 4 6", "DimSize = 1e300 4 6, expected 3 positive whole numbers"),
        ("DimSize = 2147483647 2147483647 2147483647", "truncated: found 240 bytes of voxels"),
        (f"DimSize = {'9' * 5000} 4 6", "DimSize has 5004 characters"),
        ("HeaderSize = 99999999999999999999999", "HeaderSize = 9*, expected a smaller number"),
        (f"HeaderSize = {'9' * 4096}", "HeaderSize = 9*, expected"),
        ("HeaderSize = 1000", "truncated: found 0 bytes of voxels"),
        ("ElementNumberOfChannels = 99999999", "truncated"),
        ("NDims = 1e400", "NDims = 1e400, expected finite numbers"),
    ],
)
def test_headers_that_would_crash_or_hang_a_reader(tmp_path: Path, line: str, text: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    refused(write(tmp_path, "v.raw", HEAD + line + "\n"), text)


@pytest.mark.parametrize(("key", "plain"), [("Slope", 1), ("Offset", 0)])
def test_a_mapping_to_values_is_refused(tmp_path: Path, key: str, plain: int) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    key = f"ElementToIntensityFunction{key}"
    refused(write(tmp_path, "v.raw", HEAD + f"{key} = 0.5\n"), f"{key} = 0.5, expected {plain}")
    refused(write(tmp_path, "v.raw", HEAD + f"{key} = nan\n"), f"{key} = nan, expected finite")
    assert_voxels(write(tmp_path, "v.raw", HEAD + f"{key} = {plain}\n"))


@pytest.mark.parametrize(("unit", "factor"), [("um", 1e-3), ("mm", 1.0), ("cm", 10.0), ("?", 1.0)])
def test_units(tmp_path: Path, unit: str, factor: float) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    header = read_header([write(tmp_path, "v.raw", HEAD + f"DistanceUnits = {unit}\nOffset = 10 20 30\n")])
    np.testing.assert_allclose(header.geometry.spacing, np.array([1, 2, 3]) * factor)
    np.testing.assert_allclose(header.geometry.affine[:3, 3], np.array([-10, -20, 30]) * factor)
    assert any("turned into millimetres" in w for w in header.warnings) == (factor != 1.0)


def test_an_unknown_unit_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    header = read_header([write(tmp_path, "v.raw", HEAD + "DistanceUnits = furlong\n")])
    assert any("furlong is not known" in w for w in header.warnings)


def test_a_matrix_with_lengths_is_read_as_itk_does(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = write(tmp_path, "v.raw", HEAD + "TransformMatrix = 0 2 0 1 0 0 0 0 1\nOffset = 1 2 3\n")
    image, volume = sitk.ReadImage(path), read_volume(path)
    for index in ((0, 0, 0), (4, 3, 5)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(volume.geometry.affine @ (*index, 1), (-x, -y, z, 1))
    assert any("rows have lengths 2, 1, 1" in w for w in volume.warnings)


@pytest.mark.parametrize("size", ["1", "-1", "-2", "400"])
def test_a_header_size_with_voxels_in_the_header_file(tmp_path: Path, size: str) -> None:
    path = write(tmp_path, "LOCAL", HEAD + f"HeaderSize = {size}\n")
    with path.open("ab") as file:
        file.write(VOXELS.tobytes())
    refused(path, f"HeaderSize = {size}, expected 0")


@pytest.mark.parametrize(
    ("size", "lines"), [(-2, ""), (-1, "CompressedData = True\n"), (-1, "BinaryData = False\n"), (-9, "")]
)
def test_a_header_size_that_counts_no_bytes(tmp_path: Path, size: int, lines: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = write(tmp_path, "v.raw", HEAD + f"{lines}HeaderSize = {size}\n")
    refused(path, f"HeaderSize = {size}, expected 0 or more, or -1 with binary voxels that are not compressed")


BYTE_ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("one", "two"), [BYTE_ORDERS, BYTE_ORDERS[::-1]])
def test_byte_orders_that_contradict_each_other(tmp_path: Path, one: str, two: str, first: bool) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    lines = f"{one} = {first}\n{two} = {not first}\n"
    path = write(tmp_path, "v.raw", HEAD + lines)
    refused(path, "ElementByteOrderMSB = (True|False), expected the same as BinaryDataByteOrderMSB = (True|False)")


@pytest.mark.parametrize("keys", [BYTE_ORDERS, BYTE_ORDERS[:1], BYTE_ORDERS[1:]])
@pytest.mark.parametrize("big", [True, False])
def test_byte_orders_as_itk_reads_them(tmp_path: Path, keys: tuple[str, ...], big: bool) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.astype(">i2" if big else "<i2").tobytes())
    path = write(tmp_path, "v.raw", HEAD + "".join(f"{key} = {big}\n" for key in keys))
    assert_voxels(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), VOXELS)


def test_the_order_of_single_bytes_is_no_contradiction(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.astype("u1").tobytes())
    lines = "BinaryDataByteOrderMSB = False\nElementByteOrderMSB = True\n"
    path = write(tmp_path, "v.raw", HEAD.replace("MET_SHORT", "MET_UCHAR") + lines)
    np.testing.assert_array_equal(read_volume(path).data[0].T, sitk.GetArrayFromImage(sitk.ReadImage(path)))


PERMUTED, IDENTITY = "0 1 0 1 0 0 0 0 1", "1 0 0 0 1 0 0 0 1"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("Offset = 1 2 3\nPosition = 4 5 6\n", "Position = 4 5 6, expected the same as Offset = 1 2 3"),
        ("Origin = 4 5 6\nOffset = 1 2 3\n", "Origin = 4 5 6, expected the same as Offset = 1 2 3"),
        ("Origin = 4 5 6\nPosition = 1 2 3\n", "Origin = 4 5 6, expected the same as Position = 1 2 3"),
        ("Origin = 1 2\nPosition = 1 2 3\n", "Origin = 1 2, expected the same as Position = 1 2 3"),
        (
            f"Rotation = {IDENTITY}\nTransformMatrix = {PERMUTED}\n",
            f"Rotation = {IDENTITY}, expected the same as TransformMatrix = {PERMUTED}",
        ),
        (f"Orientation = {PERMUTED}\nRotation = {IDENTITY}\n", "Orientation = .*, expected the same as Rotation"),
    ],
)
def test_origins_and_matrices_that_contradict_each_other(tmp_path: Path, lines: str, text: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    refused(write(tmp_path, "v.raw", HEAD + lines), text)


@pytest.mark.parametrize("lines", ["Offset = 1 2 3\nPosition = 1.0 2 3e0\nOrigin = 1 2 3\n", "Origin = 1 2 3\n"])
def test_origins_that_agree(tmp_path: Path, lines: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = write(tmp_path, "v.raw", HEAD + lines)
    assert sitk.ReadImage(path).GetOrigin() == (1, 2, 3)
    np.testing.assert_array_equal(read_volume(path).geometry.affine[:3, 3], (-1, -2, 3))


@pytest.mark.parametrize("size", ["1 2 3", "1 2 5"])
def test_slices_thicker_than_their_distance_as_itk_reads_them(tmp_path: Path, size: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = write(tmp_path, "v.raw", HEAD + f"ElementSize = {size}\n")
    volume = read_volume(path)
    assert volume.geometry.spacing == sitk.ReadImage(path).GetSpacing() == (1, 2, 3)
    assert any("ElementSize differs" in w for w in volume.warnings) == (size != "1 2 3")
