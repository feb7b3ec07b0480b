"""The publish folder: its files, their voxels as SimpleITK reads them, both dialects of config.meta."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import ConfigError, InputError
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.file_state import file_states
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti
from gpu_infer.writers.publish import publish

SETTINGS = resource_folder("config") / "config_render.json"
SHAPE = (5, 4, 3)
GEOMETRY = Geometry(
    SHAPE,
    np.array([[0.0, -1.5, 0.0, 10.25], [0.8, 0.0, 0.0, -7.5], [0.0, 0.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]]),
)


def volume(path: Path, data: Any, slope: float = 1.0, inter: float = 0.0, kind: str = "nrrd") -> Volume:
    return Volume(np.asarray(data).reshape(-1, *SHAPE), GEOMETRY, path, kind, slope, inter)


@pytest.fixture
def labels() -> Any:
    return np.random.default_rng(2).integers(0, 3, SHAPE).astype(np.uint8)


@pytest.fixture
def mask(tmp_path: Path, labels: Any) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return write_metaimage(labels, GEOMETRY, folder, "case")[0]


@pytest.fixture
def image() -> Any:
    return np.random.default_rng(1).integers(-1000, 2000, SHAPE).astype(np.int16)


def assert_same_grid(actual: Any, expected: Any) -> None:
    assert actual.GetSize() == expected.GetSize()
    for of in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(actual, of)(), getattr(expected, of)(), atol=1e-6)


def test_nifti_input_v1(tmp_path: Path, image: Any, mask: Path, labels: Any) -> None:
    source = write_nifti(volume(tmp_path, image), tmp_path / "input", "case.nii.gz")
    folder = tmp_path / "deep" / "publish"
    files = publish(read_volume(source), mask, "lung_v1", folder, SETTINGS)
    names = ["case.raw", "case.mhd", "case.nii.gz", "case.out.raw", "case.out.mhd", "config_render.json", "config.meta"]
    assert files == [folder / name for name in names]
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    assert (folder / "config.meta").read_text() == (
        '{\n    "density": "case.mhd",\n    "name": "lung_v1",\n    "seg_masks": [\n        "case.out.mhd"\n    ],\n'
        '    "settings": "config_render.json"\n}\n'
    )
    assert (folder / "case.nii.gz").read_bytes() == source.read_bytes()
    assert (folder / "config_render.json").read_bytes() == SETTINGS.read_bytes()
    density = sitk.ReadImage(str(folder / "case.mhd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(density).T, image)
    assert_same_grid(density, sitk.ReadImage(str(source)))
    seg = sitk.ReadImage(str(folder / "case.out.mhd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(seg).T, labels)
    assert_same_grid(seg, density)
    # The mask in the output folder still points at its own voxels.
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(mask))).T, labels)


@pytest.mark.parametrize("change", ["replaced", "written to"])
def test_an_input_that_changed_since_it_was_read_is_not_copied(
    tmp_path: Path, image: Any, mask: Path, change: str
) -> None:
    source = write_nifti(volume(tmp_path, image), tmp_path / "input", "case.nii.gz")
    case, states = read_volume(source), file_states([source])
    if change == "replaced":
        write_nifti(volume(tmp_path, image + 1), tmp_path / "other", "case.nii.gz").replace(source)
    else:
        with source.open("ab") as file:
            file.write(b"\0")
    with pytest.raises(InputError, match=r"case\.nii\.gz: changed since its header was read"):
        publish(case, mask, "m", tmp_path / "pub", SETTINGS, states=states)
    assert list((tmp_path / "pub").iterdir()) == []


def test_later_dialects(tmp_path: Path, image: Any, mask: Path) -> None:
    case = volume(tmp_path / "case.nrrd", image)
    data = [{"file": "case.mhd", "order": "DXYZ"}, {"file": "case.out.mhd", "order": "MXYZ"}]
    common = {"name": "m", "settings": "config_render.json"}
    publish(case, mask, "m", tmp_path / "v2", SETTINGS, dialect="v2")
    assert json.loads((tmp_path / "v2" / "config.meta").read_text()) == {"data": data, **common}
    publish(case, mask, "m", tmp_path / "both", SETTINGS, dialect="both")
    both = {"data": data, "density": "case.mhd", "seg_masks": ["case.out.mhd"], **common}
    assert json.loads((tmp_path / "both" / "config.meta").read_text()) == both
    assert not list((tmp_path / "both").glob("*.nii*"))
    with pytest.raises(ConfigError, match="publish dialect 'v3' unknown"):
        publish(case, mask, "m", tmp_path / "v3", SETTINGS, dialect="v3")  # type: ignore[arg-type]
    assert not (tmp_path / "v3").exists()


@pytest.mark.parametrize(
    ("stored", "slope", "inter", "kind"),
    [
        (np.int16, 1.0, 0.0, np.int16),
        (np.uint8, 1.0, 0.0, np.uint8),
        (np.float32, 1.0, 0.0, np.float32),
        (np.uint16, 2.0, -1024.0, np.int16),  # whole and within int16
        (np.uint16, 40.0, -1024.0, np.float32),  # whole, too large
        (np.int16, 0.1, 3.0, np.float32),
        (np.float64, 1.0, 0.0, np.int16),
        (np.float16, 1.0, 0.0, np.int16),
    ],
)
def test_published_voxels_are_physical(
    tmp_path: Path, mask: Path, stored: Any, slope: float, inter: float, kind: Any
) -> None:
    data = np.random.default_rng(4).integers(0, 1000, SHAPE).astype(stored)
    publish(volume(tmp_path / "case.nrrd", data, slope, inter), mask, "m", tmp_path / "p", SETTINGS)
    actual = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p" / "case.mhd"))).T
    assert actual.dtype == kind
    np.testing.assert_array_equal(actual, (data.astype(np.float64) * slope + inter).astype(kind))


def test_first_of_several_channels(tmp_path: Path, image: Any, mask: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(volume(tmp_path / "case.nrrd", [image, image + 1]), mask, "m", tmp_path / "p", SETTINGS)
    actual = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p" / "case.mhd"))).T
    np.testing.assert_array_equal(actual, image)
    assert "2 channels, the first one is published" in caplog.text


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, image: Any, mask: Path) -> None:
    case = volume(tmp_path / "case.nrrd", image)
    folder = tmp_path / "p"
    publish(case, mask, "old", folder, SETTINGS)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    mask.with_suffix(".raw").unlink()
    with pytest.raises(InputError, match=r"case\.mhd: ElementDataFile 'case\.raw' is not a file beside it"):
        publish(case, mask, "new", folder, SETTINGS)
    bad = tmp_path / "config_render.json"
    bad.write_text('{"Kamera": {}}')
    with pytest.raises(ConfigError, match=r"Kamera: unknown key .did you mean Camera"):
        publish(case, mask, "new", folder, bad)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_second_case_replaces_the_first(tmp_path: Path, image: Any, mask: Path) -> None:
    folder = tmp_path / "p"
    publish(volume(tmp_path / "case.nrrd", image), mask, "m", folder, SETTINGS)
    publish(volume(tmp_path / "case.nrrd", image + 1), mask, "n", folder, SETTINGS)
    actual = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case.mhd"))).T
    np.testing.assert_array_equal(actual, image + 1)
    assert json.loads((folder / "config.meta").read_text())["name"] == "n"


def test_a_folder_that_cannot_be_made(tmp_path: Path, image: Any, mask: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        publish(volume(tmp_path / "case.nrrd", image), mask, "m", tmp_path / "file" / "p", SETTINGS)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_published_copies_keep_the_permissions(tmp_path: Path, image: Any, mask: Path, mode: int) -> None:
    source = write_nifti(volume(tmp_path, image), tmp_path / "input", "case.nii.gz")
    source.chmod(mode)
    for file in (mask, mask.with_suffix(".raw")):
        file.chmod(0o600)
    for _ in range(2):  # an older copy without the right to write is replaced, too
        publish(read_volume(source), mask, "m", tmp_path / "p", SETTINGS)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "p").iterdir()}
        assert {modes.pop(name) for name in ("case.nii.gz", "case.mhd", "case.raw")} == {mode}
        assert {modes.pop(name) for name in ("case.out.mhd", "case.out.raw")} == {0o600}
        assert set(modes) == {"config.meta", "config_render.json"}


def test_voxels_of_several_files_are_as_private_as_the_most_private(tmp_path: Path, image: Any, mask: Path) -> None:
    files = (tmp_path / "case.mhd", tmp_path / "case.bin")
    for file, mode in zip(files, (0o644, 0o660), strict=True):
        file.touch()
        file.chmod(mode)
    case = Volume(image[None], GEOMETRY, files[0], "metaimage", files=files)
    publish(case, mask, "m", tmp_path / "p", SETTINGS)
    assert stat.S_IMODE((tmp_path / "p/case.raw").stat().st_mode) == 0o640


def test_a_label_map_that_is_replaced_meanwhile_is_published_whole(
    tmp_path: Path, image: Any, mask: Path, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run of the same name ends between reading the header and copying the voxels."""
    copy = shutil.copyfileobj

    def replace_first(source: Any, target: Any, length: int) -> None:
        write_metaimage(np.ones((9, 9, 9), np.uint8), Geometry((9, 9, 9), np.eye(4)), mask.parent, "case")
        copy(source, target, length)

    monkeypatch.setattr(shutil, "copyfileobj", replace_first)
    publish(volume(tmp_path / "case.nrrd", image), mask, "m", tmp_path / "p", SETTINGS)
    seg = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p/case.out.mhd"))).T
    np.testing.assert_array_equal(seg, labels)


def test_an_input_that_is_gone(tmp_path: Path, image: Any, mask: Path) -> None:
    source = write_nifti(volume(tmp_path, image), tmp_path / "input", "case.nii.gz")
    case = read_volume(source)
    source.unlink()
    with pytest.raises(InputError, match=r"case\.nii\.gz: removed since it was read"):
        publish(case, mask, "m", tmp_path / "p", SETTINGS)
    assert not (tmp_path / "p").exists()


def test_two_inputs_with_one_file_name_are_published_under_the_names_of_their_cases(tmp_path: Path) -> None:
    for number, base in enumerate(("pat1", "pat2", "pat1")):
        data = np.full((1, *SHAPE), number % 2, np.int16)
        source = write_nifti(Volume(data, GEOMETRY, Path("scan"), "nifti"), tmp_path / base, "scan.nii.gz")
        case = Volume(data, GEOMETRY, source, "nifti", files=(source,))
        mask, _ = write_metaimage(np.zeros(SHAPE, np.uint8), GEOMETRY, tmp_path / base, base)
        publish(case, mask, "m", tmp_path / "pub", SETTINGS, base=base)
        assert (tmp_path / "pub" / f"{base}.nii.gz").read_bytes() == source.read_bytes()
    names = {path.name for path in (tmp_path / "pub").iterdir()}
    assert {"pat1.nii.gz", "pat2.nii.gz", "pat1.out.mhd", "pat2.out.mhd"} <= names
    assert "scan.nii.gz" not in names
