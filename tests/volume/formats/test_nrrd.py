"""NRRD grids, encodings and detached data against ITK, and headers with contradictions."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import InputError
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.read import read_header, read_volume

VOXELS = np.random.default_rng(4).integers(-900, 900, (4, 3, 2)).astype("<i2")  # [k, j, i]
BASE = "type: short\ndimension: 3\nsizes: 2 3 4\nendian: little\n"
DIRECTIONS = "space directions: (1,0,0.25) (0,2,0) (-0.75,0,3)\nspace origin: (10,20,30)\n"
SPACED = BASE + "space: left-posterior-superior\n" + DIRECTIONS
FOUR = BASE.replace("dimension: 3", "dimension: 4") + "space: LPS\n"


def write(folder: Path, lines: str, voxels: bytes | None = None, encoding: str = "raw") -> Path:
    path = folder / "v.nrrd"
    head = f"NRRD0005\n{lines}encoding: {encoding}\n\n"
    path.write_bytes(head.encode() + (VOXELS.tobytes() if voxels is None else voxels))
    return path


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def assert_as_itk(path: Path) -> None:
    image, volume = sitk.ReadImage(path), read_volume(path)
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    np.testing.assert_array_equal(volume.data, array.reshape(-1, *array.shape[-3:]).transpose(0, 3, 2, 1))
    i, j, k = volume.geometry.shape
    for index in ((0, 0, 0), (i - 1, 0, 0), (0, j - 1, 0), (0, 0, k - 1)):
        itk_index = (*index, 0)[: image.GetDimension()]
        x, y, z = image.TransformIndexToPhysicalPoint(itk_index)[:3]
        np.testing.assert_allclose(volume.geometry.affine @ (*index, 1), (-x, -y, z, 1), atol=1e-12)


@pytest.mark.parametrize(
    "lines",
    [
        SPACED,
        SPACED.replace("left-posterior-superior", "RAS"),
        SPACED.replace("left-posterior-superior", "left-anterior-superior"),
        SPACED.replace("left-posterior-superior", "scanner-xyz"),
        SPACED.replace("space: left-posterior-superior", "space dimension: 3"),
        SPACED.replace("space directions", "spacedirections").replace("space origin", "Space Origin"),
        BASE + "spacings: 1 2 3\n",
        BASE + "spacings: 1 2 3\naxis mins: 10 20 30\n",
        BASE + "spacings: 1 2 3\naxismins: 10 20 30\ncenters: cell cell cell\n",
        BASE + "spacings: 1 2 3\naxis mins: 10 20 30\ncenterings: node node node\n",
        BASE,
    ],
)
def test_grids_as_itk_reads_them(tmp_path: Path, lines: str) -> None:
    assert_as_itk(write(tmp_path, lines))


@pytest.mark.parametrize(
    ("sizes", "lines"),
    [
        ("5 2 3 4", "space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: list domain domain domain\n"),
        ("5 2 3 4", "space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: vector domain domain domain\n"),
        ("2 5 3 4", "space directions: (1,0,0) none (0,2,0) (0,0,3)\nkinds: domain list domain domain\n"),
        ("2 3 4 5", "space directions: (1,0,0) (0,2,0) (0,0,3) none\nkinds: domain domain domain list\n"),
    ],
)
def test_channels_as_itk_reads_them(tmp_path: Path, sizes: str, lines: str) -> None:
    voxels = np.arange(120, dtype="<i2").tobytes()
    assert_as_itk(write(tmp_path, FOUR.replace("2 3 4", sizes) + lines, voxels))


@pytest.mark.parametrize(
    "lines",
    [
        "spacings: 1 2 3 nan\n",
        "spacings: 1 2 3 4\nkinds: domain domain domain domain\n",
        "space: LPST\nspace directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,4)\nspace origin: (1,2,3,4)\n",
    ],
)
def test_a_fourth_axis_is_channels(tmp_path: Path, lines: str) -> None:
    head = FOUR.replace("2 3 4", "2 3 4 5").replace("space: LPS\n", "")
    path = write(tmp_path, head + lines, np.arange(120, dtype="<i2").tobytes())
    volume = read_volume(path)
    assert volume.channels == 5
    assert volume.geometry.spacing == (1, 2, 3)
    np.testing.assert_array_equal(volume.data[4, :, 0, 0], [96, 97])


@pytest.mark.parametrize(("unit", "mm"), [("um", 1e-3), ("µm", 1e-3), ("mm", 1.0), ("m", 1e3), ("cm", 10.0)])
def test_space_units(tmp_path: Path, unit: str, mm: float) -> None:
    volume = read_volume(write(tmp_path, SPACED + f'space units: "{unit}" "{unit}" "{unit}"\n'))
    plain = read_volume(write(tmp_path, SPACED))
    np.testing.assert_allclose(volume.geometry.affine[:3], plain.geometry.affine[:3] * mm)
    assert any("turned into millimetres" in w for w in volume.warnings) == (mm != 1.0)


def test_units_of_spacings_and_units_that_differ(tmp_path: Path) -> None:
    path = write(tmp_path, BASE + 'spacings: 1000 2 3\naxis mins: 500 0 0\nunits: "um" "mm" "mm"\n')
    geometry = read_volume(path).geometry
    np.testing.assert_allclose(geometry.spacing, (1, 2, 3))
    np.testing.assert_allclose(geometry.affine[:3, 3], (-1.0, -1, 1.5))  # half a voxel in front of the centre
    assert any(
        "'furlong' is not known" in w
        for w in read_volume(write(tmp_path, SPACED + 'space units: "furlong" "mm" "mm"\n')).warnings
    )


@pytest.mark.parametrize("encoding", ["raw", "gz", "gzip", "txt", "text", "ascii", "hex"])
def test_encodings_as_itk_reads_them(tmp_path: Path, encoding: str) -> None:
    raw = VOXELS.tobytes()
    voxels = {
        "raw": raw,
        "gz": gzip.compress(raw),
        "gzip": gzip.compress(raw),
        "hex": raw.hex("\n", 16).encode() + b"\n",
    }.get(encoding, "\n".join(map(str, VOXELS.ravel())).encode() + b"\n")
    assert_as_itk(write(tmp_path, SPACED, voxels, encoding))


def test_a_mapping_to_values_is_a_warning(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path, SPACED + "oldmin: -1\nold max: 1\n"))
    np.testing.assert_array_equal(volume.data[0], VOXELS.T)
    assert "old min and old max are ignored: voxels are read as stored" in volume.warnings


def test_big_endian(tmp_path: Path) -> None:
    assert_as_itk(write(tmp_path, SPACED.replace("little", "big"), VOXELS.astype(">i2").tobytes()))


@pytest.mark.parametrize(
    ("lines", "before"),
    [
        ("byte skip: 7\n", b"x" * 7),
        ("line skip: 2\n", b"one\ntwo\n"),
        ("lineskip: 1\nbyteskip: 3\n", b"one\nxyz"),
        ("byte skip: -1\n", b"x" * 100),
    ],
)
def test_skips_as_itk_reads_them(tmp_path: Path, lines: str, before: bytes) -> None:
    assert_as_itk(write(tmp_path, SPACED + lines, before + VOXELS.tobytes()))
    (tmp_path / "v.raw").write_bytes(before + VOXELS.tobytes())
    assert_as_itk(write(tmp_path, SPACED + lines + "data file: v.raw\n", b""))


def test_a_byte_skip_counts_inflated_bytes(tmp_path: Path) -> None:
    assert_as_itk(write(tmp_path, SPACED + "byte skip: 7\n", gzip.compress(b"x" * 7 + VOXELS.tobytes()), "gzip"))


TEXT = " ".join(map(str, VOXELS.ravel())).encode()
HEX = VOXELS.tobytes().hex("\n", 16).encode()


@pytest.mark.parametrize(
    ("lines", "encoding", "voxels"),
    [
        ("byte skip: 3\n", "text", b"99 " + TEXT),
        ("byte skip: 4\n", "text", b"99\n " + TEXT),
        ("line skip: 1\nbyte skip: 3\n", "text", b"55\n99 " + TEXT),
        ("byte skip: 5\n", "hex", b"0f0f\n" + HEX),
        ("line skip: 1\nbyte skip: 2\n", "hex", b"0f0f\nff" + HEX),
    ],
    ids=["text", "text over lines", "text after a line", "hex", "hex after a line"],
)
def test_skips_before_text_as_itk_reads_them(tmp_path: Path, lines: str, encoding: str, voxels: bytes) -> None:
    assert_as_itk(write(tmp_path, SPACED + lines, voxels, encoding))
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nrrd").data[0], VOXELS.T)
    (tmp_path / "v.txt").write_bytes(voxels)
    assert_as_itk(write(tmp_path, SPACED + lines + "data file: v.txt\n", b"", encoding))


@pytest.mark.parametrize(("encoding", "voxels"), [("text", TEXT), ("hex", HEX)], ids=["text", "hex"])
def test_a_skip_beyond_the_text(tmp_path: Path, encoding: str, voxels: bytes) -> None:
    refused(write(tmp_path, SPACED + "byte skip: 9999\n", voxels, encoding), "truncated: found at most 0 bytes")
    refused(write(tmp_path, SPACED + "byte skip: 70\n", voxels, encoding), "truncated: found at most [1-4][0-9] bytes")


@pytest.mark.parametrize("comma", [b", ", b" , ", b",\n"])
def test_commas_between_numbers_as_itk_reads_them(tmp_path: Path, comma: bytes) -> None:
    for end in (b"", b",", comma):
        assert_as_itk(write(tmp_path, SPACED, TEXT.replace(b" ", comma) + end, "text"))


@pytest.mark.parametrize(
    ("voxels", "text"),
    [
        (b"1,5 " + TEXT, "'1,5'.*, expected numbers as voxels"),
        (b",5 " + TEXT, "',5'.*, expected numbers as voxels"),
        (TEXT.replace(b" ", b","), "among the voxels, expected numbers"),
        (TEXT + b" 9", "more than 24 numbers among the voxels, expected 24"),
        (TEXT + b"\n" * 3_000_000 + b"9", "more than 24 numbers among the voxels, expected 24"),
        (TEXT + b" end", "'end'.*, expected numbers as voxels"),
    ],
    ids=["decimal comma", "comma first", "commas alone", "surplus", "surplus far behind", "word behind"],
)
def test_text_that_is_not_one_number_for_each_voxel(tmp_path: Path, voxels: bytes, text: str) -> None:
    refused(write(tmp_path, SPACED, voxels, "text"), text)


def test_white_space_after_the_numbers(tmp_path: Path) -> None:
    assert_as_itk(write(tmp_path, SPACED, TEXT + b" \n" * 1_000_000, "text"))


@pytest.mark.parametrize("name", ["list.raw", "List", "listing"])
def test_a_data_file_with_a_name_like_a_list(tmp_path: Path, name: str) -> None:
    """Lines after it are fields; its name is no list for ITK either."""
    (tmp_path / name).write_bytes(b"abcd" + VOXELS.tobytes())
    origin = "space origin: (10,20,30)\n"
    assert origin in SPACED
    head = SPACED.replace(origin, "") + f"encoding: raw\ndata file: {name}\nbyte skip: 4\n"
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{head}space origin: (40,50,60)\n")
    assert_as_itk(path)
    np.testing.assert_array_equal(read_volume(path).geometry.affine[:3, 3], (-40, -50, 60))


@pytest.mark.parametrize("name", ["LISTING.raw", "LIST.raw", "LIST x", "LIST 0", "LIST9"])
def test_names_that_start_with_list(tmp_path: Path, name: str) -> None:
    """ITK refuses them too."""
    (tmp_path / name).write_bytes(VOXELS.tobytes())
    path = write(tmp_path, SPACED + f"data file: {name}\n", b"")
    with pytest.raises(RuntimeError):
        sitk.ReadImage(path)
    refused(path, f"data file: {name}, expected LIST with or without a number of axes")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("space origin: (1,2,3)\n", r"space origin is given twice: \(10,20,30\) and \(1,2,3\), expected one line"),
        ("byteskip: 0\nbyte skip: 4\n", "byte skip is given twice: 0 and 4"),
        ("Type: short\n", "type is given twice: short and short"),
        ("content: a\ncontent: b\n", "content is given twice: a and b"),
        (f"content: {'a' * 4000}\ncontent: {'b' * 4000}\n", "content is given twice"),
    ],
    ids=["origin", "skip in two spellings", "type in two cases", "content", "long values"],
)
def test_fields_that_occur_twice(tmp_path: Path, lines: str, text: str) -> None:
    """ITK refuses them too."""
    path = write(tmp_path, SPACED + lines)
    with pytest.raises(RuntimeError):
        sitk.ReadImage(path)
    refused(path, text)


def test_key_value_pairs_may_repeat(tmp_path: Path) -> None:
    assert_as_itk(write(tmp_path, SPACED + "name:=a\nname:=b\n"))


@pytest.mark.parametrize("data", ["LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw", "s%d.raw 0 3 1", "s%d.raw 0 3 1 2"])
def test_detached_slices_as_itk_reads_them(tmp_path: Path, data: str) -> None:
    for k, part in enumerate(VOXELS):
        (tmp_path / f"s{k}.raw").write_bytes(part.tobytes())
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: {data}\n")
    assert_as_itk(path)
    assert [f.name for f in read_header([path]).files] == ["v.nrrd", "s0.raw", "s1.raw", "s2.raw", "s3.raw"]
    (tmp_path / "s2.raw").write_bytes(bytes(5))
    refused(path, r"s2\.raw: truncated: found 5 bytes of voxels, expected 12")


@pytest.mark.parametrize("name", ["v.nhdr", "V.NHDR"])
def test_detached_headers_of_their_own_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = tmp_path / name
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: v.raw\n")
    plain = tmp_path / "plain.nrrd"
    plain.write_text(path.read_text())
    assert_as_itk(plain)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, read_volume(plain).data)
    np.testing.assert_array_equal(volume.geometry.affine, read_volume(plain).geometry.affine)
    assert [f.name for f in read_header([path]).files] == [name, "v.raw"]
    assert base_name(path) == path.stem


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("LIST\ns0.raw\ns1.raw", "names 2 files, expected 4 for sizes: 2 3 4"),
        ("s%d.raw 0 2 1", "names 3 files, expected 4"),
        ("s%d.raw 0 3 0", "a step of at least 1"),
        ("s%d.raw 0 3", "a pattern with first, last and step"),
        ("%s%s%n 0 3 1", "one %d or %03d"),
        ("s%1000000000d.raw 0 3 1", "one %d or %03d"),
        ("s%d.raw 0 999999999 1", "data file s4.raw not found"),
        ("gone.raw", "data file gone.raw not found"),
    ],
)
def test_detached_slices_that_are_wrong(tmp_path: Path, data: str, text: str) -> None:
    for k, part in enumerate(VOXELS):
        (tmp_path / f"s{k}.raw").write_bytes(part.tobytes())
    path = tmp_path / "v.nrrd"
    path.write_text(f"NRRD0005\n{SPACED}encoding: raw\ndata file: {data}\n")
    refused(path, text)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("x" * 3000 + "\n", "'x*' is no field of a NRRD header"),
        (f"unknown: {'x' * 3000}\n", "'unknown: x*' is no field"),
        (f"content: {'x' * 5000}\n", "content has 5001 characters, expected at most 4096"),
        ("space direction: (1,0,0) (0,1,0) (0,0,1)\n", "is no field"),
        ("spacings: 1 1 1\n", "spacings: 1 1 1, expected none together with space directions"),
        ("byte skip: -2\n", "byte skip: -2, expected 0 or more, or -1"),
        (f"byte skip: {'9' * 40}\n", "byte skip: 9*, expected a whole number"),
        ("line skip: -1\n", "line skip: -1, expected 0 or more"),
        ("line skip: 999999999\n", "fewer than 999999999 lines"),
        ("space units: mm mm\n", "space units: mm mm, expected 3 words"),
        ("kinds: complex domain domain\n", "complex voxels"),
    ],
)
def test_lines_that_are_wrong(tmp_path: Path, lines: str, text: str) -> None:
    refused(write(tmp_path, SPACED + lines), text)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("dimension", "3" * 5000, "dimension has 5001 characters"),
        ("dimension", "5", "dimension: '5', expected 3"),
        ("dimension", "²", "expected 3"),
        ("sizes", "2 3", "sizes: 2 3, expected 3 positive whole numbers"),
        ("sizes", "2 3 0", "positive whole numbers"),
        ("sizes", "2 3 99999999999", "positive whole numbers"),
        ("sizes", "2147483647 2147483647 2147483647", "truncated: found 48 bytes"),
        ("type", "string", "voxel type string is not supported"),
        ("endian", "middle", "endian: middle, expected little or big"),
        ("space directions", "(1e200,0,0) (0,1e200,0) (0,0,1e200)", "space directions: .* in millimetres"),
        ("space directions", "(1e20,0,0) (0,1e20,0) (0,0,1e20)", "affine"),
        ("space directions", "(1e-200,0,0) (0,1,0) (0,0,1)", "space directions|spacing|singular"),
        ("space directions", "(1,0,0) (0,1,0) none", "expected three vectors of three numbers"),
        ("space directions", "(1,0) (0,1) (1,1)", "expected three vectors of three numbers"),
        ("space directions", "(1,0,0) (0,1) (0,0,1)", "expected three vectors of three numbers"),
        ("space directions", "(1,0,0) (0,1,0)", "expected 3 vectors"),
        ("space directions", "(1,0,0) (0,1,0) (0,0,1) x", "expected 3 vectors"),
        ("space directions", "(a,0,0) (0,1,0) (0,0,1)", "expected vectors of numbers"),
        ("space origin", "(1,2)", "expected one vector of 3 numbers"),
        ("space origin", "(1e300,0,0)", "affine"),
        ("encoding", "zrl", "encoding: zrl, expected one of raw"),
    ],
)
def test_values_that_are_wrong(tmp_path: Path, field: str, value: str, text: str) -> None:
    path = write(tmp_path, SPACED)
    lines = path.read_bytes().split(b"\n", 9)
    lines = [f"{field}: {value}".encode() if line.startswith(field.encode() + b":") else line for line in lines]
    path.write_bytes(b"\n".join(lines))
    refused(path, text)


@pytest.mark.parametrize("field", ["type", "sizes", "encoding", "endian", "dimension"])
def test_fields_that_are_missing(tmp_path: Path, field: str) -> None:
    path = write(tmp_path, SPACED)
    path.write_bytes(b"\n".join(x for x in path.read_bytes().split(b"\n") if not x.startswith(field.encode() + b":")))
    refused(path, f"no {field} in the header|dimension: 'none'")


def test_long_headers_with_key_value_pairs(tmp_path: Path) -> None:
    """Segmentations carry long lines of this kind."""
    assert_as_itk(write(tmp_path, SPACED + f"# a comment: with a colon\nSegment0_Name:={'x' * 200_000}\n"))


def test_a_header_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "v.nrrd").write_bytes(b"NRRD0004\n#" + b"x" * (20 << 20))
    refused(tmp_path / "v.nrrd", "no blank line after the header")


@pytest.mark.parametrize(("encoding", "voxels"), [("hex", b"zz" * 48), ("text", b"1 x " * 24), ("gzip", b"no" * 24)])
def test_damaged_voxels(tmp_path: Path, encoding: str, voxels: bytes) -> None:
    refused(write(tmp_path, SPACED, voxels, encoding), "damaged|expected numbers")
