"""Channels from several files of one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.channels import choose_files
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volumes
from gpu_infer.writers.metaimage import write_metaimage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("case_t1.nii.gz", "case_t1ce.nii.gz", "case_t2.mhd", ".hidden_t2.mhd", "notes.txt", "case_t2.raw"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_one_file_per_pattern_in_their_order(folder: Path) -> None:
    found = choose_files(folder, ["*_t2.*", "*_t1.nii.gz", "case_t1ce.nii.gz"])
    assert [p.name for p in found] == ["case_t2.mhd", "case_t1.nii.gz", "case_t1ce.nii.gz"]


def test_without_patterns_the_first_volume(folder: Path) -> None:
    assert [p.name for p in choose_files(folder, [])] == ["case_t1.nii.gz"]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["*_flair*"], "expected one file *_flair*, found none (volumes there: case_t1.nii.gz, case_t1ce.nii.gz, "),
        (["*_t1*"], "expected one file *_t1*, found case_t1.nii.gz, case_t1ce.nii.gz (volumes there: "),
        (["*_t2*", "case_t2*"], "case_t2.mhd fits *_t2* and case_t2* (make the patterns of LoadNifti's `files` "),
    ],
)
def test_refusals(folder: Path, patterns: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_files(folder, patterns)
    assert str(caught.value).startswith(f"{folder}: {message}")


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="expected a folder with the files a, b"):
        choose_files(folder / "case_t1.nii.gz", ["a", "b"])


def test_read_as_channels(tmp_path: Path) -> None:
    geometry = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
    for n, name in enumerate(("a_t1", "a_t2")):
        write_metaimage(np.full((4, 3, 2), n + 1, np.uint8), geometry, tmp_path, name)
    volume = read_volumes(choose_files(tmp_path, ["*_t2.mhd", "*_t1.mhd"]))
    assert volume.channels == 2
    assert [int(c.max()) for c in volume.data] == [2, 1]
