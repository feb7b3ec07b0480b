"""Names of numbered files, against C's printf as the % operator formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.numbered import name_exists, numbered_names


def wrong(expected: str) -> InputError:
    return InputError(f"expected {expected}")


@pytest.mark.parametrize("pattern", ["s%d.raw", "s%3d.raw", "s%03d.raw", "%09d", "s%1d"])
@pytest.mark.parametrize(
    ("numbers", "expected"), [((0, 4, 2), [0, 2, 4]), ((8, 12, 1), [8, 9, 10, 11, 12]), ((5, 5, 9), [5])]
)
def test_patterns_as_printf(tmp_path: Path, pattern: str, numbers: tuple[int, int, int], expected: list[int]) -> None:
    files = [pattern % number for number in expected]
    for file in files:
        (tmp_path / file).touch()
    assert numbered_names([pattern, *map(str, numbers)], wrong, tmp_path / "a.mhd") == files


def test_defaults_of_first_last_and_step(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"{number}").touch()
    header = tmp_path / "a.mhd"
    assert numbered_names(["%d"], wrong, header, 3) == ["1", "2", "3"]
    assert numbered_names(["%d", "2"], wrong, header, 2) == ["2", "3"]
    assert numbered_names(["%d", "1", "3", "2"], wrong, header, 2) == ["1", "3"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["a.raw", "1", "2", "1"], "one %d or %03d"),
        (["%d%d", "1", "2", "1"], "one %d or %03d"),
        (["%s", "1", "2", "1"], "one %d or %03d"),
        (["%d%%", "1", "2", "1"], "one %d or %03d"),
        (["%d", "1", "2", "0"], "a step of at least 1"),
        (["%d", "1", "2", "-1"], "at most three whole numbers"),
        (["%d", "1", "2", "1", "1"], "at most three whole numbers"),
        (["%d", "1", "2", "1"], "3 numbers, one for each slice"),
    ],
)
def test_patterns_that_are_wrong(tmp_path: Path, words: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        numbered_names(words, wrong, tmp_path / "a.mhd", 3)


def test_the_first_missing_file_ends_the_list(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    with pytest.raises(InputError, match=r"a\.mhd: data file 2 not found"):
        numbered_names(["%d", "1", "999999999", "1"], wrong, tmp_path / "a.mhd")


def test_names_that_no_file_has(tmp_path: Path) -> None:
    assert name_exists(tmp_path)
    assert not name_exists(tmp_path / "a\0b")
    assert not name_exists(tmp_path / ("x" * 300))
