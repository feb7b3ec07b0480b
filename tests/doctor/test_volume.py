"""The input: which file a run takes, and what its header says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk

from gpu_infer.config.load import load_config
from gpu_infer.doctor.volume import check_input
from gpu_infer.planning import free_memory, strips
from gpu_infer.settings import Settings


@pytest.fixture(scope="module")
def volume() -> sitk.Image:
    image = sitk.Image([40, 30, 20], sitk.sitkInt16)
    image.SetSpacing((0.75, 0.75, 5.0))
    return image


def settings(path: Path) -> Settings:
    return Settings(input=path, output=Path("out"))


def test_a_header_is_read(tmp_path: Path, volume: sitk.Image) -> None:
    file = tmp_path / "scan.nii.gz"
    sitk.WriteImage(volume, file)
    used = settings(file)
    header, (check,) = check_input(used, load_config(used.config, {}))
    assert header is not None
    assert header.geometry.shape == (40, 30, 20)
    assert check.status == "ok"
    assert check.found == f"{file}: nifti, 40×30×20 voxels of 0.75×0.75×5 mm, int16"


def test_a_folder_with_several_volumes(tmp_path: Path, volume: sitk.Image) -> None:
    for name in "edcbaf":
        sitk.WriteImage(volume, tmp_path / f"{name}.nii")
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.nii").touch()
    header, (refusal,) = check_input(settings(tmp_path), None)
    assert header is None
    assert (refusal.status, refusal.exit_code) == ("fail", 3)
    assert refusal.found == f"{tmp_path}: found 6 volumes, expected one: a.nii, b.nii, c.nii, d.nii and 2 more"
    header, (check, choice) = check_input(replace(settings(tmp_path), first=True), None)
    assert header is not None
    assert check.found.startswith(f"{tmp_path}/a.nii: nifti, ")
    assert (choice.name, choice.status) == ("input", "warn")
    assert choice.found == (
        f"{tmp_path}/a.nii: the first of 6 volumes in the folder, the others are not read: b.nii, c.nii, d.nii, e.nii "
        "and 1 more"
    )
    _, checks = check_input(settings(tmp_path / "a.nii"), None)
    assert [check.status for check in checks] == ["ok"]


def test_a_damaged_volume_fails(tmp_path: Path, volume: sitk.Image) -> None:
    file = tmp_path / "scan.nii"
    sitk.WriteImage(volume, file)
    file.write_bytes(file.read_bytes()[:1000])
    header, (check,) = check_input(settings(file), None)
    assert header is None
    assert (check.status, check.exit_code) == ("fail", 3)
    assert check.found == f"{file}: truncated: found 648 bytes of voxels, expected 48000"
    assert check.remedy is not None


def test_a_folder_without_a_volume_has_a_remedy(tmp_path: Path) -> None:
    _, (check,) = check_input(settings(tmp_path), None)
    assert (check.status, check.exit_code) == ("fail", 3)
    assert check.remedy == "give a readable file or folder with --input"


def test_a_volume_that_does_not_fit_is_refused_with_what_needs_it(
    tmp_path: Path, volume: sitk.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scan.mhd"
    sitk.WriteImage(volume, file)
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 1)
    config = load_config(settings(file).config, {})
    _, (check,) = check_input(replace(settings(file), preview=True), config)
    assert (check.status, check.exit_code) == ("fail", 5)
    assert check.found.endswith("; it must be whole in memory: the whole volume is needed for --preview")
