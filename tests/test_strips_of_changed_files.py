"""Strips of a file that another program replaces or writes to after its header was read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from strip_runs import affine_of, inputs_of_file, plans_of, run_strips, write_volume

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import InputError
from gpu_infer.planning import strips

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
