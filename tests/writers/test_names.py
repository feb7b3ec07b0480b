"""Label maps with names that MetaImage cannot contain: the voxels have a safe name, and readers open them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_infer.errors import ResourceError
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import LabelMap, write_label_maps
from gpu_infer.writers.names import capture_folders, captures_folder, published_name, voxel_stem
from gpu_infer.writers.publish import publish

GRID = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 1, 0)
ODD = [
    *(" leading", "\tleading", "a\tb", "a\nb", "a\rb", "a\nElementDataFile = evil.raw\nb", "a\\b", "\\\\host\\share"),
    *(
        "a\x01b",
        "\x7f",
        "a\x85b",
        "\u2028line",
        "\ufeffbom",
        "\xa0nbsp",
        "\udcff",
        "a\udce4b",
        " ",
        "...",
        "#",
        "~user",
    ),
    *(":a", "=a", "%s%s%n", "100%d", "LIST", "list 1", "LOCAL", "local", "ü" * 100, "名前", "😀"),
]


@pytest.mark.parametrize("name", ODD)
def test_the_map_keeps_the_name_and_can_be_read(tmp_path: Path, name: str) -> None:
    mhd, raw = write_label_maps({"model": LabelMap(LABELS, "uint8")}, GRID, tmp_path, name)["model"]["mhd"]
    assert mhd.name == f"{name}.mhd"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mhd.name, raw.name])
    # ITK takes a \ in the header's own path for a folder, and its wrapper no bytes outside UTF-8.
    shutil.copyfile(mhd, tmp_path / "plain.mhd")
    np.testing.assert_array_equal(itk(tmp_path / "plain.mhd"), LABELS)
    np.testing.assert_array_equal(read_volume(tmp_path / "plain.mhd").data[0], LABELS)
    write_label_maps({"model": LabelMap(LABELS[::-1], "uint8")}, GRID, tmp_path, name)  # an older output of ours
    np.testing.assert_array_equal(itk(tmp_path / "plain.mhd"), LABELS[::-1])


@pytest.mark.parametrize("name", ODD)
def test_every_format_keeps_the_name(tmp_path: Path, name: str) -> None:
    for _ in range(2):  # the second time over an older output of ours
        maps = {"model": LabelMap(LABELS, "uint8", tuple(FORMATS))}
        files = write_label_maps(maps, GRID, tmp_path, name)["model"]
        assert [paths[0].name for paths in files.values()] == [f"{name}.{each}" for each in FORMATS]
        assert len(list(tmp_path.iterdir())) == len(FORMATS) + 1
    for each, paths in files.items():
        if each != "mhd":
            plain = tmp_path / f"plain.{each}"
            shutil.copyfile(paths[0], plain)
            np.testing.assert_array_equal(itk(plain), LABELS)


@pytest.mark.parametrize("name", ODD)
def test_published_files_can_be_read_by_their_names_in_config_meta(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    written = write_label_maps({"model": LabelMap(LABELS, "uint8")}, GRID, tmp_path / "out", name)
    volume = Volume(LABELS[None].astype(np.int16), GRID, tmp_path / f"{name}.nrrd", "nrrd")
    settings = resource_folder("config") / "config_render.json"
    files = publish(volume, written["model"]["mhd"][0], "m", tmp_path / "pub", settings)
    assert sorted(files) == sorted((tmp_path / "pub").iterdir())
    meta = json.loads((tmp_path / "pub/config.meta").read_text(encoding="utf-8"))
    for number, file in enumerate((meta["density"], *meta["seg_masks"])):
        assert "\\" not in file.encode().decode()
        shutil.copyfile(tmp_path / "pub" / file, tmp_path / f"pub/plain{number}.mhd")
        np.testing.assert_array_equal(itk(tmp_path / f"pub/plain{number}.mhd"), LABELS)


def itk(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(path)).transpose(2, 1, 0)


def file_names() -> st.SearchStrategy[str]:
    """Any bytes but / and NUL, as Python shows them; mostly text."""
    text = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
    raw = st.binary(min_size=1, max_size=60).map(lambda name: name.translate(None, b"/\0") or b"x")
    return text | raw.map(os.fsdecode)


@given(file_names())
def test_any_stem_can_be_written_into_a_header(name: str) -> None:
    stem = voxel_stem(name)
    line = f"ElementDataFile = {stem}.raw"
    assert line.encode().decode().splitlines() == [line]
    assert line.partition("=")[2].strip() == f"{stem}.raw"
    assert not set(stem) & set("%\\/")
    assert not stem.upper().startswith("LIST")
    assert voxel_stem(stem) == stem
    assert published_name(published_name(name)) == published_name(name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file_names())
def test_any_name_can_be_written_in_every_format(tmp_path: Path, name: str) -> None:
    maps = {"model": LabelMap(LABELS, "uint8", tuple(FORMATS))}
    written = write_label_maps(maps, GRID, tmp_path, name)["model"]
    assert {path.name for paths in written.values() for path in paths} <= {path.name for path in tmp_path.iterdir()}
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()


def test_names_that_would_become_one_stay_two() -> None:
    names = ["a\\b", "a_b", "a\tb", "a%b", "LIST", "_LIST", " a", "_a", "\ta"]
    assert len({voxel_stem(name) for name in names}) == len(names)
    assert voxel_stem("a_b") == "a_b"
    assert len(f"{voxel_stem('%' + 'ü' * 120)}.zraw".encode()) <= 255


def test_a_header_that_reads_back_differently_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.writers.metaimage.voxel_stem", lambda name: name)
    with pytest.raises(ResourceError, match=r"header reads back as .*, expected .* \(check the disk"):
        write_label_maps({"model": LabelMap(LABELS, "uint8")}, GRID, tmp_path, "a\nElementDataFile = evil.raw\nb")
    assert list(tmp_path.iterdir()) == []


def test_folders_of_pictures_are_found_again(tmp_path: Path) -> None:
    for name in ("case", "b.c"):
        captures_folder(tmp_path, name).mkdir()
    (tmp_path / "file.sc").write_text("")
    (tmp_path / "link.sc").symlink_to(tmp_path / "case.sc")
    assert capture_folders(tmp_path) == [tmp_path / "b.c.sc", tmp_path / "case.sc"]
    assert capture_folders(tmp_path / "none") == []
