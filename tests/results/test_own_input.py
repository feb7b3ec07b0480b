"""A folder whose first volume is a label map of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from planned_runs import inputs_of

from gpu_infer.choices import Format
from gpu_infer.errors import InputError
from gpu_infer.results.own_input import check_own_input
from gpu_infer.settings import Settings
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.input_files import choose_input
from gpu_infer.volume.read import read_header
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

SHAPE = (6, 5, 4)
MARKED = [each for each in get_args(Format) if each != "mhd"]


def write_labels(folder: Path, form: Any, name: str = "a") -> None:
    voxels = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    write_label_maps({"model": LabelMap(voxels, np.uint8, (form,))}, Geometry(SHAPE, np.eye(4)), folder, name)


def check(folder: Path, path: Path) -> list[str]:
    (folder / "config").mkdir(exist_ok=True)
    inputs = inputs_of(folder / "config", SHAPE)
    header = read_header([choose_input(path)])
    return check_own_input(replace(inputs.settings, input=path), inputs.pipeline, header)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("form", MARKED)
def test_it_is_refused_if_there_is_another_volume(tmp_path: Path, folder: Path, form: Format) -> None:
    write_labels(folder, form)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)), folder / "b.nii")
    words = rf"the first volume is a\.{form}, a label map that gpu_infer wrote, expected a volume to segment, such as b"
    with pytest.raises(InputError, match=words):
        check(tmp_path, folder)
    assert check(tmp_path, folder / "b.nii") == []
    assert check(tmp_path, folder / f"a.{form}") == []  # the user named it


@pytest.mark.parametrize("form", MARKED)
def test_a_label_map_alone_is_a_warning(tmp_path: Path, folder: Path, form: Format) -> None:
    write_labels(folder, form)
    write_labels(folder, form, "b")
    (message,) = check(tmp_path, folder)
    assert message == f"{folder}/a.{form}: is a label map that gpu_infer wrote (name the volume with --input)"


@pytest.mark.parametrize("form", MARKED)
def test_a_volume_that_comes_first_is_taken(tmp_path: Path, folder: Path, form: Format) -> None:
    write_labels(folder, form, "z")
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)), folder / "b.nii")
    assert check(tmp_path, folder) == []


def test_files_that_the_configuration_names_are_meant(tmp_path: Path, folder: Path) -> None:
    write_labels(folder, "nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)), folder / "b.nii")
    settings = Settings.from_environment({}, input=folder, output=tmp_path)
    names = SimpleNamespace(input_files=("a*",))
    assert check_own_input(settings, names, read_header([folder / "a.nii.gz"])) == []  # type: ignore[arg-type]


def test_a_plain_metaimage_of_a_user_is_no_label_map_of_ours(tmp_path: Path, folder: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros(SHAPE[::-1], np.uint8))
    sitk.WriteImage(image, folder / "b.nii.gz")
    for name in ("a.mha", "a.mhd", "a.nrrd"):
        sitk.WriteImage(image, folder / name, name.endswith("nrrd"))
        assert choose_input(folder) == folder / name
        assert check(tmp_path, folder) == []
        (folder / name).unlink()


def test_a_file_that_cannot_be_read_counts_as_another_volume(tmp_path: Path, folder: Path) -> None:
    write_labels(folder, "nrrd")
    (folder / "b.nrrd").symlink_to(folder / "b.nrrd2")
    (folder / "c.nrrd").touch()
    with pytest.raises(InputError, match=r"such as c\.nrrd"):
        check(tmp_path, folder)
