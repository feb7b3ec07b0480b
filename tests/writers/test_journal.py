"""The journal of a move: on the disk before the first rename, and damaged ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from output_checks import check_all_outputs

from gpu_infer.doctor.folders import check_unfinished
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.unfinished import clean

SETTINGS = resource_folder("config") / "config_render.json"
GRID = Geometry((4, 3, 2), np.eye(4))
WHOLE = json.dumps({"names": ["seg.raw", "seg.mhd"], "inodes": [1, 2]}).encode()
DAMAGED = {
    "empty": b"",
    "half": WHOLE[: len(WHOLE) // 2],
    "zeros": bytes(len(WHOLE)),
    "not ASCII": b"\xff" * 9,
    "a list": b"[]",
    "null": b"null",
    "nested too deep": b"[" * 100_000,
    "no inodes": b'{"names": ["seg.raw", "seg.mhd"]}',
    "no names": b'{"names": [], "inodes": []}',
    "too few inodes": b'{"names": ["seg.raw", "seg.mhd"], "inodes": [1]}',
    "names that are numbers": b'{"names": [1, 2], "inodes": [1, 2]}',
    "a text of names": b'{"names": "ab", "inodes": [1, 2]}',
    "inodes that are texts": b'{"names": ["seg.raw", "seg.mhd"], "inodes": ["1", "2"]}',
}
damaged = pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())


def labels(value: int) -> np.ndarray:
    return np.full((4, 3, 2), value, np.uint8)


def damaged_stage(folder: Path, content: bytes, *aside: str) -> Path:
    """The hidden folder of a killed run with a damaged journal and the older files `aside`."""
    stage = folder / ".seg.abcdefgh.partial"
    (stage / "replaced").mkdir(parents=True)
    (stage / ".gpu_infer").touch()
    (stage / ".journal").write_bytes(content)
    for name in aside:
        (folder / name).rename(stage / "replaced" / name)
    return stage


@damaged
def test_writing_into_a_folder_with_a_damaged_journal(tmp_path: Path, content: bytes) -> None:
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    stage = damaged_stage(tmp_path, content, "seg.mhd")
    write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert (read_volume(tmp_path / "seg.mhd").data == 2).all()
    assert not stage.exists()


@damaged
def test_checking_a_folder_with_a_damaged_journal(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    write_metaimage(labels(1), GRID, folder, "seg")
    stage = damaged_stage(folder, content, "seg.mhd", "seg.raw")
    source = Volume(labels(0)[None], GRID, tmp_path / "seg.nrrd", "nrrd")
    check_all_outputs(source, ["model"], folder, None, SETTINGS)
    assert (read_volume(folder / "seg.mhd").data == 1).all()
    assert not stage.exists()


@damaged
def test_cleaning_a_folder_with_a_damaged_journal(tmp_path: Path, content: bytes) -> None:
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    stage = damaged_stage(tmp_path, content, "seg.mhd")
    put_back, removed = check_unfinished("output", tmp_path, clean=True)
    assert put_back.found == f"older output put back: {tmp_path / 'seg.mhd'}"
    assert removed.found == f"removed: {stage}"
    assert (read_volume(tmp_path / "seg.mhd").data == 1).all()


def test_an_older_header_never_comes_back_to_new_voxels(tmp_path: Path) -> None:
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    stage = damaged_stage(tmp_path, b"", "seg.mhd", "seg.raw")
    (tmp_path / "seg.raw").write_bytes(bytes([2]) * 24)  # of the killed run, whose header is lost
    cleaned = clean(tmp_path)
    assert (cleaned.restored, cleaned.removed, cleaned.stuck) == ([], [], [stage])
    assert not (tmp_path / "seg.mhd").exists()
    (tmp_path / "seg.raw").unlink()
    assert clean(tmp_path).removed == [stage]
    assert (read_volume(tmp_path / "seg.mhd").data == 1).all()


def test_the_journal_is_on_the_disk_before_the_first_file_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    rename, replace, fsync = Path.rename, Path.replace, os.fsync
    steps: list[str] = []

    def note_rename(self: Path, target: Path) -> Path:
        steps.append(f"move {self.name}")
        return rename(self, target)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append(f"name {target.name}")
        return replace(self, target)

    def note_fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        steps.append("sync stage" if path.suffix == ".partial" else f"sync {path.name}")
        fsync(handle)

    monkeypatch.setattr(Path, "rename", note_rename)
    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(os, "fsync", note_fsync)
    write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert steps == [
        *("sync seg.raw", "sync seg.mhd"),
        *("sync .journal.half", "name .journal", "sync stage", f"sync {tmp_path.name}"),
        *("move seg.mhd", "move seg.raw", "move seg.raw", "move seg.mhd"),
        f"sync {tmp_path.name}",
    ]
