"""Stages and their locks in one process; killed ones: test_killed_writers.py, tests/doctor/test_folders.py."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_infer.writers.staging import (
    ASIDE,
    HIDDEN_BYTES,
    MARK,
    claim_stage,
    find_stages,
    folder_lock,
    make_stage,
    remove_stage,
)


def test_a_living_stage_cannot_be_claimed(tmp_path: Path) -> None:
    stage, lock = make_stage(tmp_path, "ct")
    assert lock is not None
    assert find_stages(tmp_path) == [stage]
    with folder_lock(tmp_path) as is_locked:
        assert is_locked
        with claim_stage(stage) as is_dead:
            assert not is_dead
        os.close(lock)  # as the end of the process does
        with claim_stage(stage) as is_dead:
            assert is_dead
    remove_stage(stage)
    assert list(tmp_path.iterdir()) == []
    with claim_stage(stage) as is_dead:
        assert not is_dead


def test_names_of_stages_are_short_enough(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        stage, lock = make_stage(tmp_path, name)
        assert lock is not None
        os.close(lock)
        assert len(os.fsencode(stage.name)) == HIDDEN_BYTES


def test_hidden_folders_of_other_programs_are_no_stages(tmp_path: Path) -> None:
    kinds = ("mark", "aside", "empty", "other", "file", "link")
    names = {kind: tmp_path / f".{kind}.abcdefgh.partial" for kind in kinds}
    for name, path in names.items():
        if name == "file":
            path.touch()
        elif name == "link":
            path.symlink_to(tmp_path)
        else:
            path.mkdir()
    (names["mark"] / MARK).touch()
    (names["aside"] / ASIDE).mkdir()
    (names["other"] / "data").touch()
    assert find_stages(tmp_path) == sorted(names[name] for name in ("mark", "aside", "empty"))
    assert find_stages(tmp_path / "missing") == []


def test_everything_in_a_stage_is_removed(tmp_path: Path) -> None:
    stage, lock = make_stage(tmp_path, "ct")
    assert lock is not None
    os.close(lock)
    (stage / "a").touch()
    (stage / ASIDE).mkdir()
    (stage / ASIDE / "b").touch()
    remove_stage(stage)
    assert not stage.exists()
