"""Complete or nothing: full disks, folders that cannot be written, interrupts; older output is replaced, or stays."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.writers import atomic, metaimage, staging
from gpu_infer.writers.atomic import check_folder, still_there
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.recognise import is_voxels
from gpu_infer.writers.unfinished import find_unfinished

GRID = Geometry((40, 30, 20), np.diag([1.0, 2, 3, 1]))


def labels(value: int) -> np.ndarray:
    return np.full(GRID.shape[::-1], value, np.uint8).transpose(2, 1, 0)


def write_compressed(value: int, folder: Path) -> None:
    """As another program would: seg.mhd and seg.zraw."""
    sitk.WriteImage(sitk.GetImageFromArray(labels(value).T), folder / "seg.mhd", True)
    assert sorted(content(folder)) == ["seg.mhd", "seg.zraw"]


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB; the test is skipped if this user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("no right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_replacing_an_older_output(tmp_path: Path) -> None:
    write_compressed(1, tmp_path)
    write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert sorted(content(tmp_path)) == ["seg.mhd", "seg.raw"]
    assert (read_volume(tmp_path / "seg.mhd").data == 2).all()


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "seg.zraw").write_bytes(b"mine")  # no seg.mhd points at it
    write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert sorted(content(tmp_path)) == ["seg.mhd", "seg.raw", "seg.zraw"]


def test_full_disk_is_seen_before_writing(mount: Path) -> None:
    big = Geometry((100, 100, 100), np.eye(4))
    with pytest.raises(ResourceError, match=rf"{mount}: \d+ bytes free, expected at least 1004096") as caught:
        write_metaimage(np.zeros(big.shape, np.uint8), big, mount, "seg")
    assert caught.value.exit_code == 5
    assert not list(mount.iterdir())


@pytest.mark.parametrize("older", [False, True])
def test_disk_that_fills_while_writing(mount: Path, monkeypatch: pytest.MonkeyPatch, older: bool) -> None:
    if older:
        write_metaimage(labels(1)[:2, :2, :2], Geometry((2, 2, 2), np.eye(4)), mount, "seg")
    before = content(mount)
    monkeypatch.setattr(metaimage, "check_space", lambda *_: None)
    big = Geometry((100, 100, 100), np.eye(4))
    with pytest.raises(ResourceError, match="No space left on device") as caught:
        write_metaimage(np.zeros(big.shape, np.uint8), big, mount, "seg")
    assert str(mount) in str(caught.value)
    assert content(mount) == before
    assert [p.name for p in mount.iterdir() if p.name.startswith(".")] == []


def test_read_only_mount(mount: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    for call in (lambda: write_metaimage(labels(1), GRID, mount, "seg"), lambda: check_folder(mount)):
        with pytest.raises(ConfigError, match=r"cannot be written: Read-only file system") as caught:
            call()
        assert str(mount) in str(caught.value)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("compressed", [False, True])
def test_no_space_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, compressed: bool) -> None:
    if compressed:
        write_compressed(1, tmp_path)
    else:
        write_metaimage(labels(1), GRID, tmp_path, "seg")
    before = content(tmp_path)

    def full(path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic, "sync", full)
    with pytest.raises(ResourceError, match="free space or give another output folder"):
        write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert content(tmp_path) == before


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
def test_a_failure_at_any_rename_brings_the_older_output_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException | type[BaseException]
) -> None:
    write_compressed(1, tmp_path)
    before = content(tmp_path)
    rename, count = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count - 1 == step:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    try:
        write_metaimage(labels(2), GRID, tmp_path, "seg")
    except (KeyboardInterrupt, ResourceError):
        assert content(tmp_path) == before
    else:
        assert step >= 4  # older header and voxels aside, new voxels and header in place
        assert sorted(content(tmp_path)) == ["seg.mhd", "seg.raw"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_header_appears_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, seen = Path.rename, []

    def watching(self: Path, target: Path) -> Path:
        seen.append(target.name)
        assert (tmp_path / "seg.raw").exists() == (target.name == "seg.mhd")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watching)
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    assert seen == ["seg.raw", "seg.mhd"]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    for call in (lambda: write_metaimage(labels(1), GRID, lost, "seg"), lambda: check_folder(lost)):
        with pytest.raises(ConfigError, match=r"lost: (cannot be written: No such file|no such folder)"):
            call()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: "):
        write_metaimage(labels(1), GRID, tmp_path / "file", "seg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes past permission bits")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written: Permission denied"):
        write_metaimage(labels(1), GRID, tmp_path, "seg")


def test_check_folder_leaves_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_folder_that_disappears_while_it_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def removed(*_: object) -> None:
        shutil.rmtree(folder)

    monkeypatch.setattr(metaimage, "check_header", removed)
    with pytest.raises(ResourceError, match=r"out: removed while seg was written into it \(run again") as caught:
        write_metaimage(labels(1), GRID, folder, "seg")
    assert caught.value.exit_code == 5


def test_folder_that_was_there_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(ResourceError, match="out: removed while the run went on"), still_there(folder):
        write_metaimage(labels(1), GRID, folder, "seg")
    (tmp_path / "seg.mhd").mkdir()
    with pytest.raises(ConfigError, match=r"seg\.mhd: found a folder"), still_there(tmp_path):
        write_metaimage(labels(1), GRID, tmp_path, "seg")


def test_folder_that_another_program_has_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_WAIT_S", 0.05)
    with staging.folder_lock(tmp_path), pytest.raises(ResourceError, match="locked by another program") as caught:
        write_metaimage(labels(1), GRID, tmp_path, "seg")
    assert "lslocks" in str(caught.value)
    write_metaimage(labels(1), GRID, tmp_path, "seg")


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    write_metaimage(labels(1), GRID, tmp_path, "seg")
    write_metaimage(labels(2), GRID, tmp_path, "seg")
    assert (read_volume(tmp_path / "seg.mhd").data == 2).all()
    (tmp_path / ".seg.abcdefgh.partial").mkdir()
    assert find_unfinished(tmp_path).dead == []  # nobody can know


def test_an_older_header_that_another_run_is_replacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It disappears between a look at it and reading it."""
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert not is_voxels(tmp_path / "seg.zraw", tmp_path / "seg.mhd")
    write_metaimage(labels(1), GRID, tmp_path, "seg")
