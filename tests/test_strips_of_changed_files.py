"""Strips of a file that another program replaces or writes to after its header was read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strip_runs import affine_of, inputs_of_file, plans_of, run_strips, write_volume

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import InputError
from gpu_infer.planning import strips
from gpu_infer.volume.boxes import BoxReader

SHAPE, WINDOW = (12, 10, 14), (6, 6, 6)


@pytest.fixture(autouse=True)
def every_volume_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)


@pytest.mark.parametrize(
    ("name", "changed"),
    [("case.nii", "case.nii"), ("case.nii.gz", "case.nii.gz"), ("case.mhd", "case.raw"), ("case.mhd", "case.mhd")],
)
def test_a_file_that_is_replaced_after_its_header_is_refused(tmp_path: Path, name: str, changed: str) -> None:
    """By one of the same size and time: neither the header nor the reader can see it."""
    voxels = np.random.default_rng(5).integers(0, 900, SHAPE).astype(np.uint16)
    path = write_volume(tmp_path / name, voxels, affine_of((0, 1, 2), (-1, -1, 1), (1, 1, 1)))
    inputs = inputs_of_file(path)
    _, plan = plans_of(inputs, WINDOW)
    status, other = (tmp_path / changed).stat(), tmp_path / "other"
    other.write_bytes((tmp_path / changed).read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(tmp_path / changed)
    with pytest.raises(InputError, match=rf"{changed}: changed since its header was read"):
        run_strips(inputs, plan, CpuBackend())


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz", "case.mhd"])
@pytest.mark.parametrize("windows", [1, 5])
def test_a_file_that_is_written_again_during_the_run_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, windows: int
) -> None:
    """It is shorter then, which looks like damage."""
    voxels = np.random.default_rng(5).integers(0, 900, (12, 10, 200)).astype(np.uint16)
    path = write_volume(tmp_path / name, voxels, affine_of((0, 1, 2), (-1, -1, 1), (1, 1, 1)))
    inputs = inputs_of_file(path)
    _, plan = plans_of(inputs, WINDOW)
    file = path.with_suffix(".raw") if name == "case.mhd" else path
    read, calls = BoxReader.read, []

    def write_and_read(reader: BoxReader, j: slice, k: slice) -> Any:
        calls.append(k)
        if len(calls) == windows:
            os.truncate(file, 400)
        return read(reader, j, k)

    monkeypatch.setattr(BoxReader, "read", write_and_read)
    with pytest.raises(InputError, match=rf"{file.name}: changed while it was read, expected the file that was there"):
        run_strips(inputs, plan, CpuBackend())


def test_a_file_whose_lines_are_gone_when_it_is_opened_has_changed(tmp_path: Path) -> None:
    """NRRD's `line skip`: where the voxels begin is looked for again."""
    header = "NRRD0004\ntype: uint16\ndimension: 3\nsizes: 12 10 14\nencoding: raw\nendian: little\nline skip: 2\n"
    geometry = "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
    (tmp_path / "case.nhdr").write_text(f"{header}{geometry}data file: case.raw\n")
    (tmp_path / "case.raw").write_bytes(b"one\ntwo\n" + bytes(2 * 12 * 10 * 14))
    inputs = inputs_of_file(tmp_path / "case.nhdr")
    _, plan = plans_of(inputs, WINDOW)
    (tmp_path / "case.raw").write_bytes(bytes(2 * 12 * 10 * 14 + 8))
    with pytest.raises(InputError, match=r"case.raw: changed since its header was read"):
        run_strips(inputs, plan, CpuBackend())
