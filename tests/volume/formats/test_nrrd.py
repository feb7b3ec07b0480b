"""NRRD grids, units, encodings and skips against ITK."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from nrrd_files import BASE, FOUR, SPACED, VOXELS, assert_as_itk, refused, write

from gpu_infer.volume.read import read_volume


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


@pytest.mark.parametrize(("encoding", "voxels"), [("hex", b"zz" * 48), ("text", b"1 x " * 24), ("gzip", b"no" * 24)])
def test_damaged_voxels(tmp_path: Path, encoding: str, voxels: bytes) -> None:
    refused(write(tmp_path, SPACED, voxels, encoding), "damaged|expected numbers")
