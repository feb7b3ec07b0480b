"""Nothing that is written takes the place of the input or of another file of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.writers.collisions import check_folders, check_input_kept


def test_one_folder_for_labels_and_publishing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"output and publish folder are the same.*two folders"):
        check_folders(tmp_path / "out", tmp_path / "link")
    check_folders(tmp_path / "out", tmp_path / "out" / "publish")
    check_folders(tmp_path / "out", None)


@pytest.mark.parametrize("suffix", [".mhd", ".raw", ".zraw"])
def test_labels_over_the_input(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"ct{suffix}"
    source.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=rf"ct\{suffix}: is the input itself.*--output"):
        check_input_kept([source], "ct", tmp_path / "link", None)
    check_input_kept([source], "ct", tmp_path / "elsewhere", tmp_path / "third")


@pytest.mark.parametrize("suffix", [".mhd", ".out.mhd", ".out.raw"])
def test_published_files_over_the_input(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"ct{suffix}"
    source.touch()
    with pytest.raises(ConfigError, match=r"is the input itself.*--publish"):
        check_input_kept([source], "ct", tmp_path / "out", tmp_path)


def test_a_nifti_may_be_segmented_beside_itself(tmp_path: Path) -> None:
    """It is published as it is, and no other file of a run has its name."""
    check_input_kept([tmp_path / "ct.nii.gz"], "ct", tmp_path, tmp_path / "publish")
    check_input_kept([tmp_path / "ct.nii.gz"], "ct", tmp_path / "out", tmp_path)
