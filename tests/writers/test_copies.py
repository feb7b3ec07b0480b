"""Copies for the publish folder: bytes, permissions, and the one field of a header that changes."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.copies import check_present, common_permissions, copy_file, copy_mask
from gpu_infer.writers.header_fields import read_fields
from gpu_infer.writers.metaimage import write_metaimage

GRID = Geometry((4, 3, 2), np.diag([1.0, 2.0, 3.0, 1.0]))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("bits", [0o600, 0o444, 0o755])
def test_bytes_and_permissions(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a").write_bytes(b"voxels")
    (tmp_path / "a").chmod(bits)
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"voxels"
    assert mode(tmp_path / "b") == bits


def test_a_mask_under_another_name(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 1, 0)
    stage = tmp_path / "stage"
    stage.mkdir()
    mhd, raw = write_metaimage(labels, GRID, tmp_path, "ct")
    raw.chmod(0o640)
    assert copy_mask(mhd, stage, "ct.out") == ["ct.out.raw", "ct.out.mhd"]
    before, after = read_fields(mhd), read_fields(stage / "ct.out.mhd")
    assert before is not None
    assert after == {**before, "ElementDataFile": "ct.out.raw"}
    np.testing.assert_array_equal(read_volume(stage / "ct.out.mhd").data[0], labels)
    assert mode(stage / "ct.out.mhd") == mode(stage / "ct.out.raw") == 0o640


def test_masks_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("text")
    with pytest.raises(InputError, match=r"a\.mhd: no MetaImage header \(write the mask again"):
        copy_mask(tmp_path / "a.mhd", tmp_path, "b")


def test_files_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    check_present([tmp_path / "a"])
    with pytest.raises(InputError, match="b: removed since it was read"):
        check_present([tmp_path / "a", tmp_path / "b"])


def test_permissions_that_all_files_have(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, bits in zip(files, (0o664, 0o755, 0o646), strict=True):
        file.touch()
        file.chmod(bits)
    assert common_permissions(files) == 0o644
    assert common_permissions([]) == 0o666
