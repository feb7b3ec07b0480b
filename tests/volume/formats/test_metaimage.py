"""MetaImage, and NRRD with the same contents, against SimpleITK; and faults that ITK does not report."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from gpu_infer.errors import InputError
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume

SHAPE = (5, 4, 3)
DTYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
NAMES = ["v.mhd", "v.mha", "v.nrrd"]


def image(dtype: str = "int16", components: int = 1, frames: int = 1) -> sitk.Image:
    shape = ((frames,) if frames > 1 else ()) + SHAPE[::-1] + ((components,) if components > 1 else ())
    data = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    itk_image = sitk.GetImageFromArray(data, isVector=components > 1)
    if frames == 1:
        itk_image.SetSpacing((0.627, 1 / 3, 2.5))
        itk_image.SetOrigin((1 / 3, -2 / 7, 1e3 / 7))
        itk_image.SetDirection(Rotation.from_rotvec([0.3, -0.2, 0.1]).as_matrix().ravel())
    return itk_image


def write(folder: Path, name: str, itk_image: sitk.Image | None = None, compress: bool = False) -> Path:
    path = folder / name
    sitk.WriteImage(image() if itk_image is None else itk_image, path, compress)
    return path


def edit(path: Path, pattern: str, text: str) -> Path:
    """Replace a header line of a text header or of a file that starts with one."""
    raw = path.read_bytes().decode("latin-1")
    changed, count = re.subn(pattern, lambda _: text, raw, count=1, flags=re.M)
    assert count == 1, pattern
    path.write_bytes(changed.encode("latin-1"))
    return path


def assert_same(volume: Volume, expected: sitk.Image) -> None:
    array = sitk.GetArrayFromImage(expected)
    if expected.GetNumberOfComponentsPerPixel() > 1:
        array = array.transpose(3, 2, 1, 0)
    else:
        array = array.reshape(-1, *array.shape[-3:]).transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(volume.data, array)
    assert volume.data.dtype == array.dtype
    assert volume.data.dtype.isnative
    assert volume.data.flags.writeable
    size = volume.geometry.shape
    corners = [
        np.array(expected.TransformContinuousIndexToPhysicalPoint((i, j, k)))[:3] * (-1, -1, 1)
        for i in (-0.5, size[0] - 0.5)
        for j in (-0.5, size[1] - 0.5)
        for k in (-0.5, size[2] - 0.5)
    ]
    np.testing.assert_allclose(volume.geometry.corners(), corners, atol=1e-9)


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    message = str(caught.value)
    assert message.startswith(f"{path.parent}/")
    assert "\n" not in message
    assert "0x" not in message
    assert caught.value.remedy


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(tmp_path: Path, name: str, compress: bool, dtype: str) -> None:
    itk_image = image(dtype)
    volume = read_volume(write(tmp_path, name, itk_image, compress))
    assert_same(volume, itk_image)
    assert volume.warnings == ()
    assert volume.format == ("nrrd" if name.endswith("nrrd") else "metaimage")
    step = np.dtype(dtype).itemsize
    assert volume.data.strides[1:] == (step, 5 * step, 20 * step)
    assert len(volume.files) == (2 if name == "v.mhd" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compress", [False, True])
def test_components_are_channels(tmp_path: Path, name: str, compress: bool) -> None:
    itk_image = image(components=2)
    volume = read_volume(write(tmp_path, name, itk_image, compress))
    assert volume.channels == 2
    assert_same(volume, itk_image)


@pytest.mark.parametrize("name", NAMES)
def test_fourth_axis_is_channels(tmp_path: Path, name: str) -> None:
    itk_image = image(frames=3)
    volume = read_volume(write(tmp_path, name, itk_image))
    assert volume.channels == 3
    np.testing.assert_array_equal(volume.data, sitk.GetArrayFromImage(itk_image).transpose(0, 3, 2, 1))


@pytest.mark.parametrize("kinds", ["list domain domain domain", "domain domain domain list"])
def test_nrrd_list_axis_is_channels(tmp_path: Path, kinds: str) -> None:
    data = np.random.default_rng(0).integers(0, 99, (2, *SHAPE[::-1])).astype(np.int16)  # [C, K, J, I]
    first = kinds.startswith("list")
    stored = np.moveaxis(data, 0, -1) if first else data
    axes = "(1,0,0) (0,1,0) (0,0,2)"
    header = (
        f"NRRD0004\ntype: short\ndimension: 4\nspace: LPS\nsizes: {'2 5 4 3' if first else '5 4 3 2'}\n"
        f"space directions: {'none ' + axes if first else axes + ' none'}\nkinds: {kinds}\n"
        "endian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "l.nrrd").write_bytes(header.encode() + stored.tobytes())
    volume = read_volume(tmp_path / "l.nrrd")
    np.testing.assert_array_equal(volume.data, data.transpose(0, 3, 2, 1))
    assert volume.geometry.spacing == (1, 1, 2)


@pytest.mark.parametrize("space", ["right-anterior-superior", "left-anterior-superior", "RAS"])
def test_nrrd_spaces(tmp_path: Path, space: str) -> None:
    path = edit(write(tmp_path, "s.nrrd"), "^space: .*$", f"space: {space}")
    volume = read_volume(path)
    assert_same(volume, sitk.ReadImage(path))
    assert volume.warnings == ()


def test_big_endian_metaimage(tmp_path: Path) -> None:
    path = write(tmp_path, "b.mhd")
    edit(path, "^BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True")
    raw = np.fromfile(tmp_path / "b.raw", "<i2")
    raw.astype(">i2").tofile(tmp_path / "b.raw")
    assert_same(read_volume(path), image())


@pytest.mark.parametrize("size", [100, -1])
def test_header_size(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "h.mhd")
    edit(path, "^ElementDataFile", f"HeaderSize = {size}\nElementDataFile")
    raw = (tmp_path / "h.raw").read_bytes()
    (tmp_path / "h.raw").write_bytes(b"x" * 100 + raw)
    assert_same(read_volume(path), image())


def test_text_voxels_and_slices_in_files(tmp_path: Path) -> None:
    path = write(tmp_path, "t.mhd")
    values = np.fromfile(tmp_path / "t.raw", "<i2")
    edit(path, "^BinaryData = True", "BinaryData = False")
    (tmp_path / "t.raw").write_text(" ".join(map(str, values)) + "\n")
    np.testing.assert_array_equal(read_volume(path).data, image_data())
    path = write(tmp_path, "l.mhd")
    for k, part in enumerate(np.split(values, 3)):
        part.tofile(tmp_path / f"l{k}.raw")
    edit(path, "^ElementDataFile = .*$", "ElementDataFile = LIST\nl0.raw\nl1.raw\nl2.raw")
    np.testing.assert_array_equal(read_volume(path).data, image_data())


def image_data() -> np.ndarray:
    return sitk.GetArrayFromImage(image()).transpose(2, 1, 0)[None]


def test_the_array_outlives_the_image(tmp_path: Path) -> None:
    itk_image = sitk.GetImageFromArray(np.full((64, 64, 64), 7, np.int32))
    data = read_volume(write(tmp_path, "o.nrrd", itk_image)).data
    for _ in range(20):
        sitk.Image([64, 64, 64], sitk.sitkInt32)
    assert (data == 7).all()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ElementSpacing = nan 1 1", "ElementSpacing = nan 1 1, expected finite numbers"),
        ("ElementSpacing = 0 1 1", "ElementSpacing = 0 1 1, expected spacing of 3 positive numbers"),
        ("ElementSpacing = -1 1 1", "ElementSpacing = -1 1 1, expected spacing of 3 positive"),
        ("ElementSpacing = 1 1", "expected spacing of 3 positive numbers"),
        ("ElementSpacing = a b c", "ElementSpacing = a b c, expected numbers"),
        ("Offset = nan 0 0", "Offset = nan 0 0, expected finite numbers"),
        ("TransformMatrix = nan 0 0 0 1 0 0 0 1", "TransformMatrix = .*, expected finite numbers"),
        ("TransformMatrix = 1 0 0 1 0 0 0 0 1", "expected an invertible 3×3 matrix"),
        ("DimSize = 5 4 0", "DimSize = 5 4 0, expected 3 positive whole numbers"),
        ("DimSize = 5 4 9", "truncated: found 120 bytes of voxels, expected 360"),
        ("NDims = 2", "2-D file: NDims = 2, expected 3"),
        ("ElementType = MET_FOO", "ElementType = MET_FOO, expected one of MET_CHAR"),
        ("ElementDataFile = lost.raw", "data file lost.raw not found"),
    ],
)
def test_bad_metaimage_headers(tmp_path: Path, line: str, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = edit(write(tmp_path, "b.mhd"), f"^{line.split()[0]} = .*$", line)
    refused(path, text)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_2d_files(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, sitk.GetImageFromArray(np.zeros((4, 5), np.int16)))
    refused(path, "2-D file")


@pytest.mark.parametrize("name", NAMES)
def test_complex_voxels(tmp_path: Path, name: str) -> None:
    itk_image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64))
    path = write(tmp_path, name, itk_image)
    if name == "v.nrrd":
        refused(path, "complex")
    else:  # MetaImage stores two components without saying what they mean
        assert read_volume(path).channels == 2


@pytest.mark.parametrize("name", ["t.mha", "t.nrrd"])
@pytest.mark.parametrize("compress", [False, True])
def test_truncated_files(tmp_path: Path, name: str, compress: bool, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, name, compress=compress)
    path.write_bytes(path.read_bytes()[:-20])
    refused(path, r"truncated: found \d+ bytes of voxels, expected 120|truncated: the compressed stream")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["raw", "zraw"])
def test_truncated_data_file(tmp_path: Path, suffix: str) -> None:
    itk_image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 60000, (20, 20, 20)).astype(np.uint16))
    path = write(tmp_path, "t.mhd", itk_image, compress=suffix == "zraw")
    data = tmp_path / f"t.{suffix}"
    data.write_bytes(data.read_bytes()[:9000])
    refused(path, r"truncated: found \d{4,5} bytes of voxels, expected 16000")


@pytest.mark.parametrize("name", ["d.mhd", "d.nrrd"])
def test_damaged_compressed_voxels(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    itk_image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 60000, (20, 20, 20)).astype(np.uint16))
    path = write(tmp_path, name, itk_image, compress=True)
    data = tmp_path / ("d.zraw" if name == "d.mhd" else "d.nrrd")
    raw = bytearray(data.read_bytes())
    raw[-3000] ^= 0x55
    data.write_bytes(raw)
    refused(path, "damaged compressed data|voxels cannot be read")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pattern", "line", "text"),
    [
        ("^space directions: .*$", "space directions: (nan,0,0) (0,1,0) (0,0,1)", "expected finite numbers"),
        ("^space directions: .*$", "space directions: (1,0,0) (0,0,0) (0,0,1)", "length of each vector"),
        ("^space directions: .*$", "space directions: (1,0,0) (1,0,0) (0,0,1)", "determinant|singular"),
        ("^space origin: .*$", "space origin: (0,inf,0)", "space origin: .*, expected finite numbers"),
        ("^type: .*$", "type: block", "block"),
        ("^NRRD0004", "NOTHING", "not a NRRD header"),
    ],
)
def test_bad_nrrd_headers(tmp_path: Path, pattern: str, line: str, text: str) -> None:
    path = write(tmp_path, "b.nrrd")
    refused(edit(path, pattern, line), text)


@pytest.mark.parametrize("spacings", ["1 0 1", "1 nan 1", "1 -1 1"])
def test_nrrd_spacings(tmp_path: Path, spacings: str) -> None:
    refused(bare_nrrd(tmp_path, f"spacings: {spacings}\n"), f"spacings: {spacings}, expected positive")


def test_nrrd_without_orientation_warns(tmp_path: Path) -> None:
    volume = read_volume(bare_nrrd(tmp_path, "spacings: 1 2 3\n"))
    assert volume.geometry.spacing == (1, 2, 3)
    assert any("no space directions" in w for w in volume.warnings)
    assert any("no spacing" in w for w in read_volume(bare_nrrd(tmp_path, "")).warnings)


def bare_nrrd(folder: Path, extra: str) -> Path:
    path = folder / "bare.nrrd"
    header = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\n{extra}endian: little\nencoding: raw\n\n"
    path.write_bytes(header.encode() + bytes(120))
    return path


def test_metaimage_without_spacing_and_matrix_warns(tmp_path: Path) -> None:
    path = write(tmp_path, "w.mhd")
    edit(edit(path, "^ElementSpacing = .*\n", ""), "^TransformMatrix = .*\n", "")
    volume = read_volume(path)
    assert volume.geometry.spacing == (1, 1, 1)
    assert [w.split(":")[0] for w in volume.warnings] == ["no ElementSpacing", "no TransformMatrix"]


@pytest.mark.parametrize("text", [b"", b"hello\n", bytes(3000)])
@pytest.mark.parametrize("name", NAMES)
def test_no_image_at_all(tmp_path: Path, name: str, text: bytes) -> None:
    (tmp_path / name).write_bytes(text)
    refused(tmp_path / name, "not a NRRD header|expected a MetaImage header")
