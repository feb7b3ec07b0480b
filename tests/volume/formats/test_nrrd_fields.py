"""Fields of NRRD headers: repeated, wrong or missing ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
from nrrd_files import SPACED, assert_as_itk, refused, write


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
