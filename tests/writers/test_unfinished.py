"""Stages of killed runs, found and cleaned; through the doctor: tests/doctor/test_folders.py."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from gpu_infer.writers.atomic import open_stage
from gpu_infer.writers.staging import MARK
from gpu_infer.writers.unfinished import Cleanup, clean, find_unfinished, undo_unfinished_moves


def killed_stage(folder: Path, name: str) -> Path:
    """A stage with one new file, whose run does not live any more."""
    stage = folder / f".{name}.abcdefgh.partial"
    stage.mkdir()
    (stage / MARK).touch()
    (stage / "new").touch()
    return stage


def moved(folder: Path) -> Path:
    """A stage whose run was killed after its file a.raw was in its place, and before a.mhd was."""
    stage = killed_stage(folder, "a")
    (stage / "replaced").mkdir()
    for name in ("a.raw", "a.mhd"):
        (stage / "replaced" / name).write_text("older")
        (stage / name).write_text("newer")
    inodes = [(stage / name).stat().st_ino for name in ("a.raw", "a.mhd")]
    (stage / ".journal").write_text(json.dumps({"names": ["a.raw", "a.mhd"], "inodes": inodes}))
    (stage / "a.raw").rename(folder / "a.raw")
    return stage


def test_dead_and_living_stages(tmp_path: Path) -> None:
    dead = killed_stage(tmp_path, "dead")
    with open_stage(tmp_path, "living") as living:
        unfinished = find_unfinished(tmp_path)
        assert (unfinished.dead, unfinished.living, unfinished.foreign) == ([dead], [living], [])
        assert clean(tmp_path) == Cleanup(removed=[dead])
        assert living.exists()
    assert list(tmp_path.iterdir()) == []


def test_older_files_come_back(tmp_path: Path) -> None:
    stage = moved(tmp_path)
    cleanup = clean(tmp_path)
    assert sorted(cleanup.restored) == [tmp_path / "a.mhd", tmp_path / "a.raw"]
    assert (cleanup.removed, cleanup.stuck) == ([stage], [])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.mhd": "older", "a.raw": "older"}


def test_only_moves_are_undone_before_another_move(tmp_path: Path) -> None:
    stage = moved(tmp_path)
    waiting = killed_stage(tmp_path, "b")
    undo_unfinished_moves(tmp_path)
    assert not stage.exists()
    assert waiting.exists()
    assert (tmp_path / "a.mhd").read_text() == "older"


def test_without_locks_no_stage_counts_as_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = killed_stage(tmp_path, "a")

    def unsupported(*_: object) -> None:
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert find_unfinished(tmp_path).dead == []
    assert clean(tmp_path) == Cleanup()
    assert stage.exists()


def test_a_missing_folder_has_none(tmp_path: Path) -> None:
    assert find_unfinished(tmp_path / "missing").dead == []
    assert clean(tmp_path / "missing") == Cleanup()
