"""Channels in files of their own, as nnU-Net names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from case_files import ids, inputs, options, refused, touch

from gpu_infer.batch.cases.find import find


def test_files_with_channel_numbers_are_grouped(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", *(f"{case}_{n:04d}.nii.gz" for case in ("b", "a") for n in (1, 0, 2)))
    assert inputs(find(root, options(root)), root) == {
        "a": ["a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz"],
        "b": ["b_0000.nii.gz", "b_0001.nii.gz", "b_0002.nii.gz"],
    }


def test_one_channel_alone_gives_the_identifier_without_its_number(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "BRATS_0001_0000.nii.gz", "BRATS_0002_0000.nii.gz")
    assert ids(root, options(root)) == ["BRATS_0001", "BRATS_0002"]


def test_numbers_without_channel_0000_are_part_of_the_name(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "ct_2019.nii", "ct_2020.nii", "scan_0001.nii")
    assert ids(root, options(root)) == ["ct_2019", "ct_2020", "scan_0001"]


def test_files_with_and_without_channel_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a_0000.nii", "a_0001.nii", "b.nii", "c.nii")
    message = refused(root, options(root))
    assert f"{root}/a_0000.nii: is named like channel 0000 of a case, but b.nii, c.nii are without a channel" in message


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (["a_0000", "a_0001", "b_0000"], "b: channel 0001 is missing, expected b_0000 to b_0001"),
        (["a_0000", "a_0001", "b_0001"], "b: channel 0000 is missing, expected b_0000 to b_0001"),
        (["a_0000", "a_0002"], "a: channel 0001 is missing, expected a_0000 to a_0002"),
    ],
)
def test_a_missing_channel_is_refused(tmp_path: Path, files: list[str], missing: str) -> None:
    root = touch(tmp_path / "in", *(f"{file}.nii" for file in files))
    assert f"{root}/{missing}" in refused(root, options(root))


def test_a_doubled_channel_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a_0000.nii", "a_0000.nii.gz")
    assert f"{root}/a_0000.nii.gz: channel 0000 of a is a_0000.nii too" in refused(root, options(root))


def test_numbered_cases_are_not_taken_for_channels(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", *(f"scan_{n:04d}.nii" for n in range(40)))
    message = refused(root, options(root))
    assert f"{root}/scan: 40 files from scan_0000 on, expected at most 32 channels of one case" in message
    assert "a .csv with the columns id,input" in message


def test_a_sub_folder_may_have_the_channels_of_one_case(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p1/x_0000.nii", "p1/x_0001.nii", "p2/y_0000.nii", "p2/y_0001.nii")
    assert inputs(find(root, options(root)), root) == {
        "p1": ["p1/x_0000.nii", "p1/x_0001.nii"],
        "p2": ["p2/y_0000.nii", "p2/y_0001.nii"],
    }
    touch(root, "p2/z_0000.nii", "p2/z_0001.nii")
    assert f"{root}/p2: 4 volumes in a sub-folder, expected one" in refused(root, options(root))


def test_cases_with_different_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "p1/x_0000.nii", "p1/x_0001.nii", "p2/y.nii")
    assert "case p2 has 1 inputs and case p1 2, expected the same channels" in refused(root, options(root))


def test_a_pattern_groups_channels_of_each_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", *(f"{site}/a_{n:04d}.nii" for site in "xy" for n in range(2)))
    assert inputs(find(f"{root}/**/*.nii", options(root)), root) == {
        "x_a": ["x/a_0000.nii", "x/a_0001.nii"],
        "y_a": ["y/a_0000.nii", "y/a_0001.nii"],
    }


def test_the_name_of_a_case_of_channels_is_without_number(tmp_path: Path) -> None:
    root = touch(tmp_path / "in", "a_0000.nii", "a_0001.nii")
    assert ids(root, options(root, name="lung-{name}")) == ["lung-a"]
