"""Output folders that are files, or are meant as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.writers.output_folder import check_output_folder


@pytest.mark.parametrize("name", ["file", "file/out", "file/a/b"])
def test_a_file_in_the_place_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        check_output_folder(tmp_path / name)
    assert str(caught.value) == (
        f"--output: found '{tmp_path / name}', but {tmp_path}/file is a file, expected a folder "
        "(give a folder, for example --output out; it is made if missing)"
    )


@pytest.mark.parametrize("name", ["out.nii.gz", "out.mhd", "a/out.nrrd"])
def test_a_name_of_a_volume(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="a file name that ends with"):
        check_output_folder(tmp_path / name)
    (tmp_path / name).mkdir(parents=True)
    check_output_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["", "out", "a/b/c", "x" * 300])
def test_other_folders(tmp_path: Path, name: str) -> None:
    check_output_folder(tmp_path / name)
